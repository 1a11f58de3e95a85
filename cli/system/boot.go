package system

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

func BootCommand() *command.Command {
	return &command.Command{
		Name: "boot", Usage: "start again what is to run after the machine has started",
		Flags: []*command.Flag{
			command.Toggle("stop", "stop all that runs, for the machine goes down: the next start brings it back"),
			command.Toggle("unit", "print a systemd unit that does both, and do nothing"),
		},
		TooMany: "it starts what is to run of every project", Needs: command.NoRoot, // for --unit
		Run: func(s *command.Session, c *cli.Context) error {
			switch {
			case c.Bool("unit") && c.Bool("stop"):
				return fault.Invalid("--unit and --stop exclude each other")
			case c.Bool("unit"):
				_, err := fmt.Fprint(s.Con.Out, unit(c.Context, s))
				return err
			}
			if err := s.Con.NeedRoot(); err != nil {
				return err
			}
			m := command.ManagerOf(s.Con)
			if c.Bool("stop") {
				return shutDown(c.Context, s, m)
			}
			return boot(c.Context, s, m)
		},
	}
}

// unit is a systemd unit for this podc and its roots. What containers need must be there before them and stay until they have
// ended: the roots, the images, file systems of the network, the network, the firewall. Containers are not the service's own
// processes. One that cannot start must not fail the service, which would then not be stopped either: hence the "-". How long
// containers take to start and to stop both commands tell systemd (see manager): one that tells nothing any more hangs.
func unit(ctx context.Context, s *command.Session) string {
	command := quoteUnit(s.Con.Exe)
	if s.Root != control.DefaultRoot {
		command += " --root " + quoteUnit(s.Root)
	}
	if s.RunRoot != control.DefaultRunRoot {
		command += " --runroot " + quoteUnit(s.RunRoot)
	}
	return `[Unit]
Description=containers of podc that run again after a start of the machine
Documentation=man:podc-boot(1)
RequiresMountsFor=` + quoteUnit(s.Root) + ` ` + quoteUnit(s.RunRoot) + ` ` + quoteUnit(imageStore(ctx, s)) + `
Wants=network-online.target
After=network-online.target remote-fs.target time-set.target apparmor.service nftables.service firewalld.service podc-containers.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-` + command + ` boot --progress plain
ExecStop=` + command + ` boot --stop --progress plain
NotifyAccess=exec
TimeoutStartSec=2min
TimeoutStopSec=2min

[Install]
WantedBy=multi-user.target
`
}

// imageStore is where images lie: where storage.conf says, or where it says by default.
func imageStore(ctx context.Context, s *command.Session) string {
	dir, err := s.Podc.Images.Where(ctx)
	if err != nil {
		return "/var/lib/containers/storage"
	}
	return dir
}

// quoteUnit quotes a path for a unit, where "%" and "$" mean something.
func quoteUnit(path string) string {
	path = strings.NewReplacer("%", "%%", "$", "$$").Replace(path)
	if strings.ContainsAny(path, " \t\"'\\;") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
	}
	return path
}

// boot clears away what the last run of the machine left, and starts every group's pods that are to return, all groups at
// once. What cannot start does not keep the rest from it.
func boot(ctx context.Context, s *command.Session, m *command.Manager) error {
	if s.DryRun {
		return startAll(ctx, s, m)
	}
	m.Wait("what the last run of the machine left", healPatience)
	err := s.Podc.System.BeginRun(ctx)
	err = errors.Join(err, startAll(ctx, s, m))
	if ctx.Err() != nil && s.Podc.System.Stops() { // it went down before it was up: systemd stops no service that has not begun
		return errors.Join(err, shutDown(context.WithoutCancel(ctx), s, m))
	}
	return err
}

func startAll(ctx context.Context, s *command.Session, m *command.Manager) error {
	due := func(p api.Pod) bool { return p.Returns }
	return eachGroup(ctx, s, "boot", m, due, func(ctx context.Context, group string, w control.Watch) error {
		return s.Podc.Projects.Boot(ctx, group, project.BootOptions{Contents: func(ctx context.Context, pods []api.Pod) (map[string][]byte, error) {
			return lostContents(ctx, s, pods)
		}}, w)
	})
}

// healPatience is how long what the last run of the machine left may take to be cleared away.
const healPatience = 10 * time.Minute

// shutDown stops all that runs of every group. Commands that are at work start nothing more.
func shutDown(ctx context.Context, s *command.Session, m *command.Manager) error {
	var noted error
	if !s.DryRun {
		noted = s.Podc.System.EndRun()
	}
	runs := func(p api.Pod) bool { return p.Status.Up() }
	err := errors.Join(noted, eachGroup(ctx, s, "stop", m, runs, s.Podc.Projects.ShutDown))
	if s.DryRun {
		return err
	}
	late, _ := s.Podc.Containers.List(ctx, control.Selection{}) // what was started meanwhile; of what cannot be read ShutDownAll tells
	for _, p := range late {
		if runs(p) {
			m.Wait("stop pod "+p.Spec.Name, api.ShutDownPatience(p.Spec))
		}
	}
	return errors.Join(err, s.Podc.System.AwaitEnd(ctx))
}

// eachGroup runs a verb for every group that has a matching pod, all at once, and tells m what they wait for.
func eachGroup(ctx context.Context, s *command.Session, name string, m *command.Manager, match func(api.Pod) bool, verb func(context.Context, string, control.Watch) error) error {
	pods, err := s.Podc.Containers.List(ctx, control.Selection{})
	groups := map[string]bool{}
	for _, p := range pods {
		if match(p) {
			groups[p.Spec.Group] = true
		}
	}
	o := s.Operate(name)
	defer o.Close()
	var wg sync.WaitGroup
	var mu sync.Mutex // protects errs
	errs := []error{err}
	for group := range groups {
		wg.Go(func() {
			w := o.Watch()
			w.Report = func(e project.Event) {
				m.Hear(e)
				o.Report(e)
			}
			err := verb(ctx, group, w)
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// lostContents reads the compose files that pods were made from again, for what their configs and secrets hold.
func lostContents(ctx context.Context, s *command.Session, pods []api.Pod) (map[string][]byte, error) {
	client, err := s.Compose()
	if err != nil {
		return nil, err
	}
	contents := map[string][]byte{}
	var errs []error
	for _, p := range pods {
		reply, err := client.Ask(ctx, requestOf(p))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.Spec.Name, err))
			continue
		}
		maps.Copy(contents, reply.Contents)
	}
	return contents, errors.Join(errs...)
}

// requestOf asks for the service of a pod as the files say that it was made from.
func requestOf(p api.Pod) podccompose.LoadRequest {
	l := p.Spec.Labels
	dir := l[project.LabelWorkingDir]
	req := podccompose.LoadRequest{WorkingDir: dir, ProjectDir: dir, ProjectName: l[project.LabelProject],
		Services: []string{l[project.LabelService]}, NoDeps: true, Version: command.Version}
	if files := l[project.LabelConfigFiles]; files != "" {
		req.Files = strings.Split(files, ",")
	}
	if files := l[project.LabelEnvFile]; files != "" {
		req.EnvFiles = strings.Split(files, ",")
	}
	return req
}
