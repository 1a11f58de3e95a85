package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

func SecretCommand() *command.Command {
	return &command.Command{
		Name: "secret", Usage: "manage the secrets that compose files call external",
		Subcommands: objectCommands(secretKind, command.Maybe(object)),
	}
}

// ConfigsCommand is `podc config ls` and the like: see objectVerbs.
func ConfigsCommand() *command.Command {
	return &command.Command{
		Name: command.ConfigsName, Hidden: true, Usage: "manage the configs that compose files call external",
		Subcommands: objectCommands(configKind, command.One(object)),
	}
}

// object is what a secret or a config is made of.
var object = command.Value{Name: "FILE|-", Kind: command.FileNames}

// objectKind tells secrets from configs.
type objectKind struct {
	name  string
	store func(*command.Session) control.Objects
}

var (
	secretKind = objectKind{"secret", func(s *command.Session) control.Objects { return s.Podc.Secrets }}
	configKind = objectKind{"config", func(s *command.Session) control.Objects { return s.Podc.Configs }}
)

func objectCommands(k objectKind, from command.Arg) []*command.Command {
	on := func(do func(*command.Session, *cli.Context, objectKind) error) func(*command.Session, *cli.Context) error {
		return func(s *command.Session, c *cli.Context) error { return do(s, c, k) }
	}
	names := command.Args{command.Many(command.Name)}
	return []*command.Command{
		{
			Name: "create", Usage: "keep a " + k.name + ", from a file or the standard input", Args: command.Args{command.One(command.Name), from},
			Flags: []*command.Flag{command.List("label", command.Pair, "label, KEY=VALUE, repeatable", "l")},
			Run:   on(createObject),
		},
		{
			Name: "ls", Aliases: []string{"list"}, Usage: "list " + k.name + "s",
			Flags: []*command.Flag{
				command.FilterFlag(objectFilters, "f"),
				command.Text("format", command.Format("table", "json"), ""),
				command.Toggle("quiet", "only ids", "q"),
			},
			Run: on(listObjects),
		},
		{
			Name: "inspect", Usage: "show all about " + k.name + "s", Args: names,
			Flags: command.InspectFlags(command.Toggle("pretty", "for people to read")),
			Run:   on(inspectObjects),
		},
		{
			Name: "rm", Aliases: []string{"remove"}, Usage: "forget " + k.name + "s; containers keep what they have", Args: names,
			Run: func(s *command.Session, c *cli.Context) error { return command.RemoveEach(s, c, k.store(s).Remove) },
		},
	}
}

func createObject(s *command.Session, c *cli.Context, k objectKind) error {
	data, err := objectData(s, c.Args().Get(1), k)
	if err != nil {
		return err
	}
	labels, err := command.Pairs("label", c.StringSlice("label"))
	if err != nil {
		return err
	}
	o, err := k.store(s).Create(c.Context, api.Object{Name: c.Args().First(), Labels: labels, Data: data})
	if err == nil {
		fmt.Fprintln(s.Con.Out, o.ID)
	}
	return err
}

func objectData(s *command.Session, path string, k objectKind) ([]byte, error) {
	if path == "" && k.name == configKind.name {
		return nil, fault.Invalid("create takes NAME and FILE, \"-\" for the standard input")
	}
	if path == "" || path == "-" {
		return show.ReadStdin(s.Con, k.store(s).Limit())
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.Con.Dir, path)
	}
	b, err := disk.ReadGiven(path, k.store(s).Limit())
	if err != nil {
		return nil, fmt.Errorf("cannot read the %s %s: %w", k.name, path, err)
	}
	return b, nil
}

// objectRow is one secret or config of a list, with docker's keys.
type objectRow struct {
	ID        string
	Name      string
	Driver    string
	CreatedAt string
	UpdatedAt string
	Labels    show.LabelSet
}

// Label is {{.Label "key"}} of templates.
func (r objectRow) Label(key string) string { return r.Labels[key] }

func objectLayout(k objectKind) show.Layout {
	l := show.Layout{Columns: []show.Column{{"ID", "ID"}, {"NAME", "Name"}}, Headers: map[string]string{"Labels": "LABELS"}}
	if k.name == secretKind.name {
		l.Columns = append(l.Columns, show.Column{"DRIVER", "Driver"})
	}
	l.Columns = append(l.Columns, show.Column{"CREATED", "CreatedAt"}, show.Column{"UPDATED", "UpdatedAt"})
	return l
}

var objectFilters = []string{"id", "name", "label"}

func listObjects(s *command.Session, c *cli.Context, k objectKind) error {
	f, err := command.FiltersOf(c, objectFilters...)
	if err != nil {
		return err
	}
	named, err := f.Matches("name")
	if err != nil {
		return err
	}
	all, err := k.store(s).List(c.Context)
	if err != nil {
		return err
	}
	rows := []objectRow{}
	for _, o := range all {
		if !named(o.Name) || !f.Is("id", o.ID) || !f.Labelled(o.Labels) {
			continue
		}
		age := dockerapi.Since(o.Created, time.Now())
		rows = append(rows, objectRow{ID: o.ID, Name: o.Name, CreatedAt: age, UpdatedAt: age, Labels: o.Labels})
	}
	return command.ShowList(s, c, objectLayout(k), rows, false, func(r objectRow) string { return r.ID })
}

// objectInspect has docker's shape. Of secrets the data is left out: nothing but a container shows it.
type objectInspect struct {
	ID        string
	Version   struct{ Index uint64 }
	CreatedAt time.Time
	UpdatedAt time.Time
	Spec      objectSpec
}

type objectSpec struct {
	Name   string
	Labels map[string]string
	Data   []byte `json:",omitempty"`
}

func inspectObjects(s *command.Session, c *cli.Context, k objectKind) error {
	var found []objectInspect
	err := command.ForEach(c, func(_ context.Context, ref string) error {
		o, err := k.store(s).Get(c.Context, ref)
		if err != nil {
			return err
		}
		i := objectInspect{ID: o.ID, CreatedAt: o.Created, UpdatedAt: o.Created, Spec: objectSpec{Name: o.Name, Labels: o.Labels}}
		if i.Spec.Labels == nil {
			i.Spec.Labels = map[string]string{}
		}
		i.Version.Index = 1 // it never changes
		if k.name == configKind.name {
			i.Spec.Data = o.Data
		}
		found = append(found, i)
		return nil
	})
	if c.Bool("pretty") {
		for _, i := range found {
			printObject(s.Con, i, k)
		}
		return err
	}
	return errors.Join(show.PrintInspect(s.Con, c.String("format"), found), err)
}

func printObject(con *show.Console, o objectInspect, k objectKind) {
	fmt.Fprintf(con.Out, "ID:\t\t\t%s\nName:\t\t\t%s\n", o.ID, o.Spec.Name)
	if labels := show.LabelSet(o.Spec.Labels).String(); labels != "" {
		fmt.Fprintf(con.Out, "Labels:\t\t\t%s\n", labels)
	}
	fmt.Fprintf(con.Out, "Created at:\t\t%s\n", o.CreatedAt.Local().Format(show.DockerTime))
	if k.name == configKind.name {
		fmt.Fprintf(con.Out, "Data:\n%s\n", bytes.TrimSuffix(o.Spec.Data, []byte("\n")))
	}
}
