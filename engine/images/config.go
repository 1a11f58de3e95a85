package images

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"podc.example/podc/api"
	"podc.example/podc/engine/commit"
	"podc.example/podc/internal/valid"
)

// Limits of a config. An image is input from strangers: nothing it says may cost more than this.
const (
	maxConfig   = 4 << 20   // bytes of JSON, as containers/image has it
	maxArgument = 128 << 10 // bytes of one string given to execve: Linux's MAX_ARG_STRLEN
	maxPorts    = 10000     // exposed ports, ranges counted in full
)

// imageConfig is the part of an image's config that podc reads: the OCI image config with docker's Healthcheck.
type imageConfig struct {
	api.ImageConfig `json:"-"`    // what the rest says of containers, checked
	Author          string        `json:"author"`
	Architecture    string        `json:"architecture"`
	OS              string        `json:"os"`
	Run             commit.Config `json:"config"`
	RootFS          struct {
		DiffIDs []digest.Digest `json:"diff_ids"`
	} `json:"rootfs"`
	History []api.ImageHistory `json:"history"`
}

// parseConfig reads an image's config, strictly: what cannot mean anything, or could mean something harmful to whoever
// runs the container, is an error that names the key.
func parseConfig(raw []byte) (*imageConfig, error) {
	if len(raw) > maxConfig {
		return nil, fmt.Errorf("config of %d bytes: at most %d are read", len(raw), maxConfig)
	}
	c := &imageConfig{}
	if err := json.Unmarshal(raw, c); err != nil {
		return nil, fmt.Errorf("config is no image config: %w", err)
	}
	for _, d := range c.RootFS.DiffIDs {
		if !validDigest(d) {
			return nil, fmt.Errorf("config: rootfs.diff_ids: %q is no digest", d)
		}
	}
	for i := range c.History {
		c.History[i].Size = 0 // the layer's own says that
	}
	return c, c.check()
}

// check fills c.ImageConfig from what the image says about its containers.
func (c *imageConfig) check() error {
	r := c.Run
	c.ImageConfig = api.ImageConfig{
		User: r.User, Env: r.Env, Labels: r.Labels, Entrypoint: r.Entrypoint, Cmd: r.Cmd, StopSignal: r.StopSignal,
		Health: (*api.HealthCheck)(r.Healthcheck), OS: c.OS, Architecture: c.Architecture,
	}
	var dirErr, volumesErr, portsErr error
	c.WorkingDir, dirErr = workingDir(r.WorkingDir)
	c.Volumes, volumesErr = volumeTargets(r.Volumes)
	c.ExposedPorts, portsErr = exposedPorts(r.ExposedPorts)
	for _, check := range []struct {
		key string
		err error
	}{
		{"User", checkUser(r.User)},
		{"Env", checkEnv(r.Env)},
		{"Entrypoint", checkArguments(r.Entrypoint)},
		{"Cmd", checkArguments(r.Cmd)},
		{"WorkingDir", dirErr},
		{"Volumes", volumesErr},
		{"ExposedPorts", portsErr},
		{"StopSignal", checkSignal(r.StopSignal)},
		{"Healthcheck", checkHealth(r.Healthcheck)},
	} {
		if check.err != nil {
			return fmt.Errorf("config: %s: %w", check.key, check.err)
		}
	}
	return nil
}

// checkEnv wants NAME=value. Without the equals sign some runtimes would copy the variable from the host.
func checkEnv(env []string) error {
	for _, e := range env {
		if strings.IndexByte(e, '=') < 1 {
			return fmt.Errorf("%q is not NAME=value", e)
		}
	}
	return checkArguments(env)
}

func checkArguments(args []string) error {
	for _, a := range args {
		if len(a) >= maxArgument {
			return fmt.Errorf("a string of %d bytes: no program can be given more than %d", len(a), maxArgument-1)
		}
		if strings.IndexByte(a, 0) >= 0 {
			return fmt.Errorf("%q holds a zero byte", a)
		}
	}
	return nil
}

var userForm = regexp.MustCompile(`^[^:/\s[:cntrl:]]*(:[^:/\s[:cntrl:]]+)?$`)

// checkUser wants user[:group], each a name or a number that fits a uid_t. The value -1 means "unchanged" to the kernel.
func checkUser(user string) error {
	if len(user) > 256 || !userForm.MatchString(user) {
		return fmt.Errorf("%q is not user[:group]", user)
	}
	for _, part := range strings.Split(user, ":") {
		if n, err := strconv.ParseUint(part, 10, 64); err == nil && n >= math.MaxUint32 || errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("%q: %s is no valid id", user, part)
		}
	}
	return nil
}

// workingDir wants an absolute path, and gives it clean. The host's view through /proc (a leaked descriptor of the runtime,
// CVE-2024-21626) is nobody's working directory.
func workingDir(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	clean, err := cleanPath(dir)
	if err == nil && within(clean, "/proc") {
		err = fmt.Errorf("%q is in /proc", dir)
	}
	return clean, err
}

func cleanPath(p string) (string, error) {
	switch {
	case !path.IsAbs(p):
		return "", fmt.Errorf("%q is not absolute", p)
	case slices.Contains(strings.Split(p, "/"), ".."):
		return "", fmt.Errorf("%q contains \"..\"", p)
	case strings.IndexByte(p, 0) >= 0:
		return "", fmt.Errorf("%q holds a zero byte", p)
	case len(p) >= 4096:
		return "", fmt.Errorf("a path of %d bytes", len(p))
	}
	return path.Clean(p), nil
}

func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

func volumeTargets(targets map[string]struct{}) ([]string, error) {
	var clean []string
	for t := range targets {
		p, err := cleanPath(t)
		if err != nil {
			return nil, err
		}
		if p == "/" || p == "/dev" || p == "/sys" || within(p, "/proc") {
			return nil, fmt.Errorf("%q cannot be a volume", t)
		}
		clean = append(clean, p)
	}
	slices.Sort(clean)
	return slices.Compact(clean), nil
}

var portForm = regexp.MustCompile(`^([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?$`)

// exposedPorts gives "port/protocol" each, ranges in full.
func exposedPorts(ports map[string]struct{}) ([]string, error) {
	all := map[string]struct{}{}
	left := maxPorts
	for p := range ports {
		m := portForm.FindStringSubmatch(strings.ToLower(p))
		if m == nil {
			return nil, fmt.Errorf("%q is not port[-port][/protocol]", p)
		}
		first, _ := strconv.Atoi(m[1])
		last, _ := strconv.Atoi(cmp.Or(m[2], m[1]))
		if first < 1 || last > 65535 || first > last {
			return nil, fmt.Errorf("%q: ports are 1 to 65535", p)
		}
		if left -= last - first + 1; left < 0 {
			return nil, fmt.Errorf("more than %d ports", maxPorts)
		}
		for n := first; n <= last; n++ {
			all[strconv.Itoa(n)+"/"+cmp.Or(m[3], "tcp")] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

func checkSignal(s string) error {
	if s == "" {
		return nil
	}
	_, err := valid.Signal(s)
	return err
}

// checkHealth checks what docker's API would check.
func checkHealth(h *commit.Health) error {
	if h == nil {
		return nil
	}
	for name, d := range map[string]time.Duration{
		"Interval": h.Interval, "Timeout": h.Timeout, "StartPeriod": h.StartPeriod, "StartInterval": h.StartInterval,
	} {
		if d < 0 || d != 0 && d < time.Millisecond {
			return fmt.Errorf("%s of %d ns: at least 1 ms", name, d)
		}
	}
	if h.Retries < 0 || h.Retries > math.MaxInt32 {
		return fmt.Errorf("%d retries", h.Retries)
	}
	return checkTest(h.Test)
}

func checkTest(test []string) error {
	if len(test) == 0 {
		return nil
	}
	rest := len(test) - 1
	switch kind := test[0]; {
	case kind == "NONE" && rest == 0:
	case kind == "CMD" && rest >= 1:
	case kind == "CMD-SHELL" && rest >= 1:
	default:
		return fmt.Errorf("test %q is not NONE, CMD with arguments, or CMD-SHELL with a line", test)
	}
	return checkArguments(test)
}
