package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"podc.example/podc/control"
	"podc.example/podc/engine"
	"podc.example/podc/internal/child"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podcimage"
	"podc.example/podc/project"
	"podc.example/podc/secrets"
)

func systemCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "system", Usage: "look after podc's own state",
		Subcommands: []*cli.Command{
			{
				Name: "check", Usage: "list what is broken or left over; exit code 1 if there is anything",
				Flags: []cli.Flag{
					toggle("repair", "mend it, then list what remains"),
					text("format", "text or json (`FORMAT`)"),
				},
				Action: with(con, func(s *session, c *cli.Context) error {
					return s.check(c.Context, c.Bool("repair"), c.String("format"))
				}),
			},
			{
				Name: "info", Usage: "show where podc keeps things and what it runs with",
				Flags: []cli.Flag{text("format", "text, json or a Go template (`FORMAT`)", "f")},
				Action: with(con, func(s *session, c *cli.Context) error {
					return s.info(c.Context, c.String("format"))
				}),
			},
		},
	}
}

// check prints the broken invariants of pods, networks, volumes and images.
func (s *session) check(ctx context.Context, repair bool, format string) error {
	if format != "" && format != "text" && format != "json" {
		return usage("unknown --format %q: want text or json", format)
	}
	var mended []string
	var errs []error
	if repair {
		done, err := s.engine.Checker().Repair(ctx)
		errs = append(errs, err)
		for _, p := range done {
			mended = append(mended, problemLine(p))
		}
	}
	problems, err := s.engine.Checker().Check(ctx)
	errs = append(errs, err)
	files, done, err := s.checkFiles(repair)
	errs = append(errs, err)
	problems, mended = append(problems, files...), append(mended, done...)
	images, err := s.checkImages(ctx, repair)
	errs = append(errs, err)
	problems, mended = append(problems, images.Problems...), append(mended, images.Repaired...)
	if err := printProblems(s.con, problems, mended, format); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(problems) > 0 {
		return fault.Silent(exitFailure)
	}
	return nil
}

func (s *session) checkImages(ctx context.Context, repair bool) (podcimage.CheckReply, error) {
	var reply podcimage.CheckReply
	return reply, s.askImages(ctx, "system check", true, helper.Question{Verb: podcimage.Check, Request: podcimage.CheckRequest{Repair: repair}}, &reply)
}

// checkFiles finds the files of a root that cannot be read and that no pod, network or volume owns. With repair it removes those that
// podc makes anew by itself.
func (s *session) checkFiles(repair bool) (problems []engine.Problem, mended []string, err error) {
	add := func(kind, object, detail string, mend func() error) {
		p := engine.Problem{Kind: kind, Object: object, Detail: detail}
		if !repair || mend == nil {
			problems = append(problems, p)
		} else if merr := mend(); merr != nil {
			problems, err = append(problems, p), errors.Join(err, merr)
		} else {
			mended = append(mended, problemLine(p))
		}
	}
	remove := func(path string) func() error { return func() error { return os.RemoveAll(path) } }
	if key, err := disk.ReadFile(s.keyPath()); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && len(key) != keySize {
		add("file", s.keyPath(), "the root's key is damaged; another one is made when it is needed, and containers with secrets in their files are made anew then", remove(s.keyPath()))
	}
	for path, damage := range project.DamagedNotes(s.runRoot) {
		add("file", path, damage.Error()+"; the anonymous volumes that it names are kept (podc volume ls)", remove(path))
	}
	memos, _ := filepath.Glob(filepath.Join(s.runRoot, "memo", "*.json"))
	for _, path := range memos {
		var any json.RawMessage
		if err := disk.ReadJSON(path, &any); errors.Is(err, disk.ErrDamaged) {
			add("file", path, err.Error()+"; it only saves time", remove(path))
		}
	}
	for _, kind := range []secrets.Kind{secrets.Secret, secrets.Config} {
		damaged, derr := secrets.Open(s.root, kind).Damaged()
		err = errors.Join(err, derr)
		for _, name := range slices.Sorted(maps.Keys(damaged)) {
			add(kind.Name, name, damaged[name], nil)
		}
	}
	return problems, mended, err
}

func problemLine(p engine.Problem) string {
	line := strings.TrimSpace(p.Kind + " " + p.Object)
	if p.Detail != "" {
		line += ": " + p.Detail
	}
	return line
}

func printProblems(con *console, problems []engine.Problem, mended []string, format string) error {
	if format == "json" {
		if problems == nil {
			problems = []engine.Problem{}
		}
		return json.NewEncoder(con.out).Encode(problems)
	}
	for _, line := range mended {
		fmt.Fprintf(con.err, "repaired %s\n", printable(line))
	}
	for _, p := range problems {
		fmt.Fprintln(con.out, printable(problemLine(p)))
	}
	return nil
}

// systemInfo is the answer of `system info`.
type systemInfo struct {
	Version    string
	Root       string
	RunRoot    string
	RootID     string
	Runtime    string
	Conmon     string
	Pods       int
	Running    int
	Networks   int
	Volumes    int
	CgroupV2   bool
	ImageStore string `json:",omitempty"`
}

func (s *session) info(ctx context.Context, format string) error {
	snap, err := s.engine.Snapshot(ctx, "")
	if err != nil {
		return err
	}
	info := systemInfo{
		Version: version, Root: s.root, RunRoot: s.runRoot, RootID: s.engine.RootID(),
		Runtime: programVersion(ctx, "crun"), Conmon: programVersion(ctx, "conmon"), CgroupV2: cgroupV2(),
		Pods: len(snap.Pods), Networks: len(snap.Networks), Volumes: len(snap.Volumes),
	}
	if s.root != defaultRoot {
		info.ImageStore = s.root + "/storage"
	}
	for _, p := range snap.Pods {
		if control.IsUp(p) {
			info.Running++
		}
	}
	switch format {
	case "", "text":
		return info.print(s.con)
	case "json":
		return json.NewEncoder(s.con.out).Encode(info)
	}
	t, err := parseTemplate(format)
	if err != nil {
		return err
	}
	return render(s.con.out, t, info)
}

func (i systemInfo) print(con *console) error {
	cgroups := "v1 or hybrid"
	if i.CgroupV2 {
		cgroups = "v2"
	}
	tw := newTable(con.out)
	fmt.Fprintf(tw, "Version:\t%s\nRoot:\t%s\nRun root:\t%s\nRoot ID:\t%s\n", i.Version, i.Root, i.RunRoot, i.RootID)
	fmt.Fprintf(tw, "Image store:\t%s\n", cmp.Or(i.ImageStore, "as storage.conf says"))
	fmt.Fprintf(tw, "Runtime:\t%s\nConmon:\t%s\nCgroups:\t%s\n", i.Runtime, i.Conmon, cgroups)
	fmt.Fprintf(tw, "Pods:\t%d (%d running)\nNetworks:\t%d\nVolumes:\t%d\n", i.Pods, i.Running, i.Networks, i.Volumes)
	return tw.Flush()
}

// programVersion is the first line of what a program says about its version, or why there is none.
func programVersion(ctx context.Context, name string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := child.Command(ctx, name, "--version")
	cmd.WaitDelay = time.Second // what it has started may keep its output open
	out, err := cmd.Output()
	if err != nil {
		return "cannot be run: " + err.Error()
	}
	return oneLine(string(out))
}

// cgroupV2 reports whether the host has the unified cgroup hierarchy only.
func cgroupV2() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}
