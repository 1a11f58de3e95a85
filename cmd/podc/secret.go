package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
	"podc.example/podc/internal/disk"
)

func secretCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "secret", Usage: "manage the secrets that compose files call external",
		Subcommands: objectCommands(con, secretKind, "NAME [FILE|-]"),
	}
}

// configsCommand is `podc config ls` and the like: see objectVerbs.
func configsCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: configsName, HelpName: "podc config", Hidden: true, Usage: "manage the configs that compose files call external",
		Subcommands: objectCommands(con, configKind, "NAME FILE|-"),
	}
}

// objectKind tells secrets from configs.
type objectKind struct {
	name  string
	store func(*session) control.Objects
}

var (
	secretKind = objectKind{"secret", func(s *session) control.Objects { return s.podc.Secrets }}
	configKind = objectKind{"config", func(s *session) control.Objects { return s.podc.Configs }}
)

func objectCommands(con *console, k objectKind, createArgs string) []*cli.Command {
	on := func(do func(*session, *cli.Context, objectKind) error) cli.ActionFunc {
		return with(con, func(s *session, c *cli.Context) error { return do(s, c, k) })
	}
	return []*cli.Command{
		{
			Name: "create", Usage: "keep a " + k.name + ", from a file or the standard input", ArgsUsage: createArgs,
			Flags:  []cli.Flag{list("label", "label, `KEY=VALUE`, repeatable", "l")},
			Action: on((*session).createObject),
		},
		{
			Name: "ls", Aliases: []string{"list"}, Usage: "list " + k.name + "s",
			Flags: []cli.Flag{
				list("filter", "only those for which `KEY=VALUE` holds (id, name, label); repeatable", "f"),
				text("format", "table, json or a Go template (`FORMAT`)"),
				toggle("quiet", "only ids", "q"),
			},
			Action: on((*session).listObjects),
		},
		{
			Name: "inspect", Usage: "show all about " + k.name + "s", ArgsUsage: "NAME...",
			Flags:  []cli.Flag{text("format", "json or a Go template (`FORMAT`)", "f"), toggle("pretty", "for people to read")},
			Action: on((*session).inspectObjects),
		},
		{
			Name: "rm", Aliases: []string{"remove"}, Usage: "forget " + k.name + "s; containers keep what they have", ArgsUsage: "NAME...",
			Action: on((*session).removeObjects),
		},
	}
}

func (s *session) createObject(c *cli.Context, k objectKind) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	path := c.Args().Get(1)
	if c.NArg() > 2 || path == "" && k.name == configKind.name {
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
	o, err := k.store(s).Create(c.Context, api.Object{Name: c.Args().First(), Labels: labels, Data: data})
	if err == nil {
		fmt.Fprintln(s.con.out, o.ID)
	}
	return err
}

func (s *session) objectData(path string, k objectKind) ([]byte, error) {
	if path == "" || path == "-" {
		return readStdin(s.con, k.store(s).Limit())
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.con.dir, path)
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
	Labels    labelSet
}

// Label is {{.Label "key"}} of templates.
func (r objectRow) Label(key string) string { return r.Labels[key] }

func objectLayout(k objectKind) layout {
	l := layout{columns: []column{{"ID", "ID"}, {"NAME", "Name"}}, headers: map[string]string{"Labels": "LABELS"}}
	if k.name == secretKind.name {
		l.columns = append(l.columns, column{"DRIVER", "Driver"})
	}
	l.columns = append(l.columns, column{"CREATED", "CreatedAt"}, column{"UPDATED", "UpdatedAt"})
	return l
}

func (s *session) listObjects(c *cli.Context, k objectKind) error {
	f, err := filtersOf(c, "id", "name", "label")
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

func (s *session) inspectObjects(c *cli.Context, k objectKind) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	var found []objectInspect
	err := forEach(c, func(_ context.Context, ref string) error {
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
			printObject(s.con, i, k)
		}
		return err
	}
	return errors.Join(printInspect(s.con, c.String("format"), found), err)
}

func printObject(con *console, o objectInspect, k objectKind) {
	fmt.Fprintf(con.out, "ID:\t\t\t%s\nName:\t\t\t%s\n", o.ID, o.Spec.Name)
	if labels := labelSet(o.Spec.Labels).String(); labels != "" {
		fmt.Fprintf(con.out, "Labels:\t\t\t%s\n", labels)
	}
	fmt.Fprintf(con.out, "Created at:\t\t%s\n", o.CreatedAt.Local().Format(dockerTime))
	if k.name == configKind.name {
		fmt.Fprintf(con.out, "Data:\n%s\n", bytes.TrimSuffix(o.Spec.Data, []byte("\n")))
	}
}

func (s *session) removeObjects(c *cli.Context, k objectKind) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	return forEach(c, func(ctx context.Context, ref string) error {
		err := k.store(s).Remove(ctx, ref)
		if err == nil {
			fmt.Fprintln(s.con.out, ref)
		}
		return err
	})
}
