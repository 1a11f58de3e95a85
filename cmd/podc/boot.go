package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"podc.example/podc/engine"
	"podc.example/podc/project"
)

func bootCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "boot", Usage: "start again what is to run after the machine has started",
		Flags: []cli.Flag{toggle("unit", "print a systemd unit that runs this at every start, and do nothing")},
		Action: with(con, func(s *session, c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("podc boot takes no arguments: it starts what is to run of every project")
			}
			if c.Bool("unit") {
				_, err := fmt.Fprint(con.out, s.unit())
				return err
			}
			return s.boot(c.Context)
		}),
	}
}

// unit is a systemd unit for this podc and its roots. The roots must be there and the firewall loaded before; containers are
// not the service's own processes, and stay when it is stopped.
func (s *session) unit() string {
	command := quoteUnit(s.con.exe)
	if s.root != defaultRoot {
		command += " --root " + quoteUnit(s.root)
	}
	if s.runRoot != defaultRunRoot {
		command += " --runroot " + quoteUnit(s.runRoot)
	}
	return `[Unit]
Description=containers of podc that run again after a start of the machine
Documentation=man:podc-boot(1)
RequiresMountsFor=` + quoteUnit(s.root) + ` ` + quoteUnit(s.runRoot) + `
Wants=network-online.target
After=network-online.target nftables.service firewalld.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=` + command + ` boot --progress plain
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
`
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
func (s *session) boot(ctx context.Context) error {
	if s.dryRun {
		return s.eachGroup(ctx)
	}
	healed := s.engine.Heal(ctx)
	return errors.Join(healed, s.eachGroup(ctx))
}

func (s *session) eachGroup(ctx context.Context) error {
	pods, err := s.engine.Pods("")
	if err != nil {
		return err
	}
	groups := map[string]bool{}
	for _, p := range pods {
		if p.Returns {
			groups[p.Spec.Group] = true
		}
	}
	o := s.operate("boot")
	defer o.close()
	var wg sync.WaitGroup
	var mu sync.Mutex // protects errs
	var errs []error
	for group := range groups {
		wg.Go(func() {
			err := o.run(ctx, func(ctx context.Context) error {
				return project.Boot(ctx, o.deps(), group, project.BootOptions{Contents: s.lostContents})
			})
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
func (s *session) lostContents(ctx context.Context, pods []engine.Pod) (map[string][]byte, error) {
	key, _, err := s.secretKey()
	if err != nil {
		return nil, err
	}
	contents := map[string][]byte{}
	var errs []error
	for _, p := range pods {
		reply, err := s.askCompose(ctx, requestOf(p), key)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.Spec.Name, err))
			continue
		}
		for k, b := range reply.Contents {
			contents[k] = b
		}
	}
	return contents, errors.Join(errs...)
}

// requestOf asks for the service of a pod as the files say that it was made from.
func requestOf(p engine.Pod) project.LoadRequest {
	l := p.Spec.Labels
	dir := l[project.LabelWorkingDir]
	req := project.LoadRequest{WorkingDir: dir, ProjectDir: dir, ProjectName: l[project.LabelProject],
		Services: []string{l[project.LabelService]}, NoDeps: true, Version: version}
	if files := l[project.LabelConfigFiles]; files != "" {
		req.Files = strings.Split(files, ",")
	}
	if files := l[project.LabelEnvFile]; files != "" {
		req.EnvFiles = strings.Split(files, ",")
	}
	return req
}
