// Package commit makes the config of an image out of a container: what a commit asks for beside the container's files.
package commit

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
)

// Config is the config of an image that is made of a container, by the names that it has in images.
type Config struct {
	User         string              `json:"User,omitempty"`
	ExposedPorts map[string]struct{} `json:"ExposedPorts,omitempty"`
	Env          []string            `json:"Env,omitempty"`
	Entrypoint   []string            `json:"Entrypoint,omitempty"`
	Cmd          []string            `json:"Cmd,omitempty"`
	Volumes      map[string]struct{} `json:"Volumes,omitempty"`
	WorkingDir   string              `json:"WorkingDir,omitempty"`
	Labels       map[string]string   `json:"Labels,omitempty"`
	StopSignal   string              `json:"StopSignal,omitempty"`
	Healthcheck  *Health             `json:"Healthcheck,omitempty"`
	// OnBuild comes after what the image below has.
	OnBuild []string `json:"OnBuild,omitempty"`
}

// Health is an api.HealthCheck by the names that it has in images; durations are in nanoseconds.
type Health struct {
	Test          []string
	Interval      time.Duration `json:",omitempty"`
	Timeout       time.Duration `json:",omitempty"`
	Retries       int           `json:",omitempty"`
	StartPeriod   time.Duration `json:",omitempty"`
	StartInterval time.Duration `json:",omitempty"`
}

// Of is how a pod's container is run, as an image would say it: the image's own config with what the pod changes.
// Labels that say what a container is part of are left out: they would make every container of the image a part of it.
func Of(p api.Pod, own func(label string) bool) Config {
	img := p.Image.Config
	is := api.Effective(p.Spec.Container, img)
	c := Config{
		User: is.User, WorkingDir: is.WorkingDir, StopSignal: is.StopSignal, Env: is.Env, Entrypoint: is.Entrypoint, Cmd: is.Command,
		ExposedPorts: map[string]struct{}{}, Volumes: map[string]struct{}{}, Labels: maps.Clone(img.Labels), Healthcheck: (*Health)(is.Health),
	}
	for _, port := range is.Exposed {
		c.ExposedPorts[port] = struct{}{}
	}
	for _, port := range p.Spec.Network.Ports {
		c.ExposedPorts[strconv.Itoa(int(port.Container))+"/"+port.Protocol] = struct{}{}
	}
	for _, target := range img.Volumes {
		c.Volumes[target] = struct{}{}
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	maps.Copy(c.Labels, p.Spec.Labels)
	maps.DeleteFunc(c.Labels, func(k, _ string) bool { return own(k) })
	return c
}

// Change applies instructions of a Dockerfile, those that change no files: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL,
// ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR. What it cannot read is errdefs.ErrInvalidArgument, and changes nothing.
func (c *Config) Change(instructions []string) error {
	changed := *c
	changed.ExposedPorts, changed.Volumes, changed.Labels = maps.Clone(c.ExposedPorts), maps.Clone(c.Volumes), maps.Clone(c.Labels)
	changed.Env, changed.OnBuild = slices.Clone(c.Env), slices.Clone(c.OnBuild)
	for _, text := range instructions {
		name, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
		apply, ok := changes[strings.ToUpper(name)]
		if !ok {
			return fault.New(errdefs.ErrInvalidArgument, "cannot apply the change %q: want one of %s", text, strings.Join(slices.Sorted(maps.Keys(changes)), ", "))
		}
		if err := apply(&changed, strings.TrimSpace(rest)); err != nil {
			return fault.New(errdefs.ErrInvalidArgument, "cannot apply the change %q: %v", text, err)
		}
	}
	*c = changed
	return nil
}

var changes = map[string]func(c *Config, rest string) error{
	"CMD": func(c *Config, rest string) error {
		c.Cmd = commandOrShell(rest)
		return needed(rest, "a command")
	},
	"ENTRYPOINT": func(c *Config, rest string) error {
		c.Entrypoint, c.Cmd = commandOrShell(rest), nil
		return needed(rest, "a command")
	},
	"ENV": func(c *Config, rest string) error {
		return eachPair(rest, func(k, v string) error {
			c.Env = api.MergeEnv(c.Env, []string{k + "=" + v})
			return valid.Arguments(nil, []string{k + "=" + v})
		})
	},
	"LABEL": func(c *Config, rest string) error {
		return eachPair(rest, func(k, v string) error {
			c.Labels = with(c.Labels, k, v)
			return valid.Labels(map[string]string{k: v})
		})
	},
	"EXPOSE": func(c *Config, rest string) error {
		for port := range strings.FieldsSeq(rest) {
			number, protocol, found := strings.Cut(port, "/")
			if n, err := strconv.ParseUint(number, 10, 16); err != nil || n == 0 {
				return fmt.Errorf("%q is no port", port)
			}
			if !found {
				protocol = "tcp"
			}
			c.ExposedPorts = with(c.ExposedPorts, number+"/"+strings.ToLower(protocol), struct{}{})
		}
		return needed(rest, "a port")
	},
	"VOLUME": func(c *Config, rest string) error {
		targets, ok := jsonWords(rest)
		if !ok {
			targets = strings.Fields(rest)
		}
		for _, t := range targets {
			if !path.IsAbs(t) {
				return fmt.Errorf("%q is no absolute path", t)
			}
			c.Volumes = with(c.Volumes, t, struct{}{})
		}
		return needed(rest, "a path")
	},
	"USER": func(c *Config, rest string) error {
		c.User = rest
		return needed(rest, "a user")
	},
	"WORKDIR": func(c *Config, rest string) error {
		if !path.IsAbs(rest) {
			rest = path.Join("/", c.WorkingDir, rest)
		}
		c.WorkingDir = path.Clean(rest)
		return needed(rest, "a path")
	},
	"STOPSIGNAL": func(c *Config, rest string) error {
		c.StopSignal = rest
		_, err := valid.Signal(rest)
		return err
	},
	"ONBUILD": func(c *Config, rest string) error {
		c.OnBuild = append(c.OnBuild, rest)
		return needed(rest, "an instruction")
	},
	"HEALTHCHECK": changeHealth,
}

func needed(s, what string) error {
	if s == "" {
		return fmt.Errorf("it needs %s", what)
	}
	return valid.Text(s)
}

func with[V any](m map[string]V, k string, v V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[k] = v
	return m
}

// jsonWords reads the JSON form of an instruction.
func jsonWords(s string) (words []string, ok bool) {
	if !strings.HasPrefix(s, "[") {
		return nil, false
	}
	return words, json.Unmarshal([]byte(s), &words) == nil
}

// commandOrShell reads the JSON form of a command, or takes the line for one of the shell.
func commandOrShell(s string) []string {
	if words, ok := jsonWords(s); ok {
		return words
	}
	return []string{"/bin/sh", "-c", s}
}

// eachPair reads "K=V K2='v 2' ..." or, the old way, "K the rest".
func eachPair(s string, do func(k, v string) error) error {
	first, rest, _ := strings.Cut(s, " ")
	if first == "" {
		return fmt.Errorf("it needs a name and a value")
	}
	if !strings.Contains(first, "=") {
		if rest = strings.TrimSpace(rest); rest == "" {
			return fmt.Errorf("%q has no value", first)
		}
		return do(first, rest)
	}
	words, err := quotedWords(s)
	if err != nil {
		return err
	}
	for _, w := range words {
		k, v, found := strings.Cut(w, "=")
		if !found || k == "" {
			return fmt.Errorf("%q is no NAME=VALUE", w)
		}
		if err := do(k, v); err != nil {
			return err
		}
	}
	return nil
}

// quotedWords cuts at spaces outside of quotes; a backslash takes the next character as it is, but not within single quotes.
func quotedWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	begun, escaped := false, false
	for _, r := range s {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, begun = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, begun = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 || escaped {
		return nil, fmt.Errorf("a quote is not closed")
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// changeHealth reads "NONE", or "[--interval=D ...] CMD command".
func changeHealth(c *Config, rest string) error {
	h := &Health{}
	for strings.HasPrefix(rest, "--") {
		var option string
		option, rest, _ = strings.Cut(rest, " ")
		rest = strings.TrimSpace(rest)
		name, value, _ := strings.Cut(strings.TrimPrefix(option, "--"), "=")
		if name == "retries" {
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 {
				return fmt.Errorf("%q is no number of retries", value)
			}
			h.Retries = n
			continue
		}
		field, ok := map[string]*time.Duration{"interval": &h.Interval, "timeout": &h.Timeout, "start-period": &h.StartPeriod, "start-interval": &h.StartInterval}[name]
		if !ok {
			return fmt.Errorf("option %s is not known", option)
		}
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return fmt.Errorf("%q is no duration", value)
		}
		*field = d
	}
	kind, command, _ := strings.Cut(rest, " ")
	command = strings.TrimSpace(command)
	switch words, isJSON := jsonWords(command); {
	case strings.EqualFold(kind, "NONE") && command == "":
		h = &Health{Test: []string{"NONE"}}
	case !strings.EqualFold(kind, "CMD") || command == "":
		return fmt.Errorf("want NONE, or CMD and a command")
	case isJSON:
		h.Test = append([]string{"CMD"}, words...)
	default:
		h.Test = []string{"CMD-SHELL", command}
	}
	c.Healthcheck = h
	return nil
}
