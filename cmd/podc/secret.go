package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/dockerapi"
	"podc.example/podc/internal/disk"
	"podc.example/podc/secrets"
)

func secretCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "secret", Usage: "manage the secrets that compose files call external",
		Subcommands: objectCommands(con, secrets.Secret, "NAME [FILE|-]"),
	}
}

// configsCommand is `podc config ls` and the like: see objectVerbs.
func configsCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: configsName, HelpName: "podc config", Hidden: true, Usage: "manage the configs that compose files call external",
		Subcommands: objectCommands(con, secrets.Config, "NAME FILE|-"),
	}
}

// `podc config` is compose's, unless one of the objectVerbs follows at once: then configsName is meant.
const configsName = "configs"

var objectVerbs = []string{"create", "ls", "list", "inspect", "rm", "remove"}

func objectCommands(con *console, k secrets.Kind, createArgs string) []*cli.Command {
	on := func(do func(*session, *cli.Context, secrets.Kind) error) cli.ActionFunc {
		return with(con, func(s *session, c *cli.Context) error { return do(s, c, k) })
	}
	return []*cli.Command{
		{
			Name: "create", Usage: "keep a " + k.Name + ", from a file or the standard input", ArgsUsage: createArgs,
			Flags:  []cli.Flag{list("label", "label, `KEY=VALUE`, repeatable", "l")},
			Action: on((*session).createObject),
		},
		{
			Name: "ls", Aliases: []string{"list"}, Usage: "list " + k.Name + "s",
			Flags: []cli.Flag{
				list("filter", "only those for which `KEY=VALUE` holds (id, name, label); repeatable", "f"),
				text("format", "table, json or a Go template (`FORMAT`)"),
				toggle("quiet", "only ids", "q"),
			},
			Action: on((*session).listObjects),
		},
		{
			Name: "inspect", Usage: "show all about " + k.Name + "s", ArgsUsage: "NAME...",
			Flags:  []cli.Flag{text("format", "json or a Go template (`FORMAT`)", "f"), toggle("pretty", "for people to read")},
			Action: on((*session).inspectObjects),
		},
		{
			Name: "rm", Aliases: []string{"remove"}, Usage: "forget " + k.Name + "s; containers keep what they have", ArgsUsage: "NAME...",
			Action: on((*session).removeObjects),
		},
	}
}

func (s *session) createObject(c *cli.Context, k secrets.Kind) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	path := c.Args().Get(1)
	if c.NArg() > 2 || path == "" && k == secrets.Config {
		return usage("create takes NAME and FILE, \"-\" for the standard input")
	}
	data, err := s.objectData(path, k)
	if err != nil {
		return err
	}
	labels, err := pairs("label", c.StringSlice("label"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.root, 0o700); err != nil {
		return err
	}
	o, err := secrets.Open(s.root, k).Create(c.Context, secrets.Object{Name: c.Args().First(), Labels: labels, Data: data})
	if err == nil {
		fmt.Fprintln(s.con.out, o.ID)
	}
	return err
}

func (s *session) objectData(path string, k secrets.Kind) ([]byte, error) {
	if path == "" || path == "-" {
		return readStdin(s.con, int64(k.Limit))
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.con.dir, path)
	}
	b, err := disk.ReadGiven(path, int64(k.Limit))
	if err != nil {
		return nil, fmt.Errorf("cannot read the %s %s: %w", k.Name, path, err)
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
	Labels    labelSet
}

// Label is {{.Label "key"}} of templates.
func (r objectRow) Label(key string) string { return r.Labels[key] }

func objectLayout(k secrets.Kind) layout {
	l := layout{columns: []column{{"ID", "ID"}, {"NAME", "Name"}}, headers: map[string]string{"Labels": "LABELS"}}
	if k == secrets.Secret {
		l.columns = append(l.columns, column{"DRIVER", "Driver"})
	}
	l.columns = append(l.columns, column{"CREATED", "CreatedAt"}, column{"UPDATED", "UpdatedAt"})
	return l
}

func (s *session) listObjects(c *cli.Context, k secrets.Kind) error {
	f, err := filtersOf(c, "id", "name", "label")
	if err != nil {
		return err
	}
	named, err := f.matches("name")
	if err != nil {
		return err
	}
	all, err := secrets.Open(s.root, k).List()
	if err != nil {
		return err
	}
	rows := []objectRow{}
	for _, o := range all {
		if !named(o.Name) || !f.is("id", o.ID) || !f.labelled(o.Labels) {
			continue
		}
		if c.Bool("quiet") {
			fmt.Fprintln(s.con.out, o.ID)
			continue
		}
		age := dockerapi.Since(o.Created, time.Now())
		rows = append(rows, objectRow{ID: o.ID, Name: o.Name, CreatedAt: age, UpdatedAt: age, Labels: o.Labels})
	}
	if c.Bool("quiet") {
		return nil
	}
	return printList(s.con.out, c.String("format"), objectLayout(k), rows, false)
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

func (s *session) inspectObjects(c *cli.Context, k secrets.Kind) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	var found []objectInspect
	err := forEach(c, func(_ context.Context, ref string) error {
		o, err := secrets.Open(s.root, k).Get(ref)
		if err != nil {
			return err
		}
		i := objectInspect{ID: o.ID, CreatedAt: o.Created, UpdatedAt: o.Created, Spec: objectSpec{Name: o.Name, Labels: o.Labels}}
		if i.Spec.Labels == nil {
			i.Spec.Labels = map[string]string{}
		}
		i.Version.Index = 1 // it never changes
		if k == secrets.Config {
			i.Spec.Data = o.Data
		}
		found = append(found, i)
		return nil
	})
	if c.Bool("pretty") {
		for _, i := range found {
			printObject(s.con, i, k)
		}
		return err
	}
	return errors.Join(printInspect(s.con, c.String("format"), found), err)
}

func printObject(con *console, o objectInspect, k secrets.Kind) {
	fmt.Fprintf(con.out, "ID:\t\t\t%s\nName:\t\t\t%s\n", o.ID, o.Spec.Name)
	if labels := labelSet(o.Spec.Labels).String(); labels != "" {
		fmt.Fprintf(con.out, "Labels:\t\t\t%s\n", labels)
	}
	fmt.Fprintf(con.out, "Created at:\t\t%s\n", o.CreatedAt.Local().Format(dockerTime))
	if k == secrets.Config {
		fmt.Fprintf(con.out, "Data:\n%s\n", bytes.TrimSuffix(o.Spec.Data, []byte("\n")))
	}
}

func (s *session) removeObjects(c *cli.Context, k secrets.Kind) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	return forEach(c, func(ctx context.Context, ref string) error {
		err := secrets.Open(s.root, k).Remove(ctx, ref)
		if err == nil {
			fmt.Fprintln(s.con.out, ref)
		}
		return err
	})
}
