package translate

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"

	"podc.example/podc/api"
	"podc.example/podc/compose"
	"podc.example/podc/internal/valid"
)

// container translates what runs and how it is watched.
func (t *translation) container(c *api.ContainerSpec, key string, s types.ServiceConfig) error {
	c.Image = imageName(t, s)
	c.Entrypoint, c.Command = s.Entrypoint, s.Command
	c.Env = environment(s.Environment)
	c.WorkingDir, c.User, c.GroupAdd = s.WorkingDir, s.User, s.GroupAdd
	c.TTY, c.StdinOpen = s.Tty, s.StdinOpen
	c.Init = s.Init != nil && *s.Init
	c.Annotations = s.Annotations
	c.Runtime, c.CgroupParent, c.CgroupNS = s.Runtime, s.CgroupParent, s.Cgroup
	c.Health = health(s.HealthCheck)
	t.resources(c, s)
	if s.StopGracePeriod != nil {
		grace := time.Duration(*s.StopGracePeriod)
		c.StopGrace = &grace
	}
	var exposed error
	c.Expose, exposed = expose(key, s.Expose)
	return compose.Join(exposed, deployMode(key+".deploy.mode", s.Deploy), stopSignal(c, key, s), restart(c, key, s),
		logging(c, key+".logging", s.Logging), t.startInterval(key, s.HealthCheck))
}

// deployMode accepts services that keep running: replicated, or one for each of one machine.
func deployMode(key string, d *types.DeployConfig) error {
	if d == nil || d.Mode == "" || d.Mode == "replicated" || d.Mode == "global" {
		return nil
	}
	return compose.NotServed(key, fmt.Sprintf("%q", d.Mode), "use replicated")
}

// environment lists the variables by name; those without a value are not set.
func environment(vars types.MappingWithEquals) []string {
	var env []string
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if v := vars[name]; v != nil {
			env = append(env, name+"="+*v)
		}
	}
	return env
}

func stopSignal(c *api.ContainerSpec, key string, s types.ServiceConfig) error {
	if c.StopSignal = s.StopSignal; c.StopSignal == "" {
		return nil
	}
	if _, err := valid.Signal(c.StopSignal); err != nil {
		return compose.Invalid(key+".stop_signal", "%q is no signal", s.StopSignal)
	}
	return nil
}

// restart translates the policy; deploy.restart_policy goes before restart.
func restart(c *api.ContainerSpec, key string, s types.ServiceConfig) error {
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil {
		return deployRestart(c, key+".deploy.restart_policy", s.Deploy.RestartPolicy)
	}
	name, retries, has := strings.Cut(s.Restart, ":")
	switch name {
	case "", "no":
	case "always", "unless-stopped", "on-failure":
		c.Restart.Name = name
	default:
		return compose.Invalid(key+".restart", "%q is none of no, always, on-failure, unless-stopped", s.Restart)
	}
	if !has {
		return nil
	}
	n, err := strconv.ParseUint(retries, 10, 31)
	switch {
	case name != "on-failure":
		return compose.Invalid(key+".restart", "%q: only on-failure takes a number of attempts", s.Restart)
	case err != nil:
		return compose.Invalid(key+".restart", "%q is no number of attempts", retries)
	}
	c.Restart.MaxRetries = int(n)
	return nil
}

func deployRestart(c *api.ContainerSpec, key string, p *types.RestartPolicy) error {
	switch p.Condition {
	case "none":
	case "", "any":
		c.Restart.Name = "always"
	case "on-failure":
		c.Restart.Name = "on-failure"
	default:
		return compose.Invalid(key+".condition", "%q is none of none, on-failure, any", p.Condition)
	}
	if p.MaxAttempts != nil && c.Restart.Name == "on-failure" {
		c.Restart.MaxRetries = int(min(*p.MaxAttempts, math.MaxInt32))
	}
	return nil
}

func health(h *types.HealthCheckConfig) *api.HealthCheck {
	if h == nil {
		return nil
	}
	if h.Disable {
		return &api.HealthCheck{Test: []string{"NONE"}}
	}
	out := &api.HealthCheck{
		Test:          h.Test,
		Interval:      duration(h.Interval),
		Timeout:       duration(h.Timeout),
		StartPeriod:   duration(h.StartPeriod),
		StartInterval: duration(h.StartInterval),
	}
	if h.Retries != nil {
		out.Retries = int(*h.Retries)
	}
	return out
}

// startInterval refuses, in docker compose's words, an interval that would never apply.
func (t *translation) startInterval(key string, h *types.HealthCheckConfig) error {
	if t.opt.Existing || h == nil || h.Disable || h.StartInterval == nil || h.StartPeriod != nil {
		return nil
	}
	return compose.Invalid(key+".healthcheck", "healthcheck.start_interval requires healthcheck.start_period to be set")
}

func duration(d *types.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return time.Duration(*d)
}

// logging translates where output goes.
func logging(c *api.ContainerSpec, key string, l *types.LoggingConfig) error {
	if l == nil {
		return nil
	}
	switch l.Driver {
	case "", "json-file":
	case "local", "journald", "none":
		c.Log.Driver = l.Driver
	default:
		return compose.NotServed(key+".driver", fmt.Sprintf("%q", l.Driver), "use json-file, local, journald or none")
	}
	for _, opt := range slices.Sorted(maps.Keys(l.Options)) {
		if err := logOption(&c.Log, key+".options."+opt, opt, l.Options[opt]); err != nil {
			return err
		}
	}
	return nil
}

// logOption serves the options that change something: what docker's `logs --details` shows (labels, env) podc does not keep.
func logOption(log *api.LogConfig, key, opt, value string) error {
	files := log.Driver != "none" && log.Driver != "journald"
	switch {
	case opt == "mode" && value == "blocking", opt == "compress" && value == "false" && files: // so it is anyway
	case opt == "tag" && log.Driver == "journald":
		if strings.Contains(value, "{{") {
			return compose.NotServed(key, "a template", "write the tag out")
		}
		log.Tag = value
	case opt == "max-size" && files:
		size, err := units.RAMInBytes(value)
		if err != nil || size < 4096 {
			return compose.Invalid(key, "%q is no size of at least 4k", value)
		}
		log.MaxSize = size
	case opt == "max-file" && files:
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > 1000 {
			return compose.Invalid(key, "%q is no number of files between 1 and 1000", value)
		}
		log.MaxFile = n
	default:
		return compose.NotServed(key, cmp.Or(log.Driver, "json-file"), "max-size and max-file are for json-file and local, tag for journald")
	}
	return nil
}
