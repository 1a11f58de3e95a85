package images

import (
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

	"github.com/moby/sys/signal"
	"github.com/opencontainers/go-digest"

	"podc.example/podc/api"
)

// Limits of a config. An image is input from strangers: nothing it says may cost more than this.
const (
	maxConfig   = 4 << 20   // bytes of JSON, as containers/image has it
	maxArgument = 128 << 10 // bytes of one string given to execve: Linux's MAX_ARG_STRLEN
	maxPorts    = 10000     // exposed ports, ranges counted in full
)

// parsedConfig is the part of an image's config that podc reads, checked.
type parsedConfig struct {
	api.ImageConfig
	Created time.Time
	Author  string
	DiffIDs []digest.Digest
	History []api.ImageHistory
}

// rawConfig is the OCI image config with docker's Healthcheck.
type rawConfig struct {
	Created      *time.Time `json:"created"`
	Author       string     `json:"author"`
	Architecture string     `json:"architecture"`
	OS           string     `json:"os"`
	Config       rawRun     `json:"config"`
	RootFS       struct {
		DiffIDs []digest.Digest `json:"diff_ids"`
	} `json:"rootfs"`
	History []struct {
		Created    *time.Time `json:"created"`
		CreatedBy  string     `json:"created_by"`
		Comment    string     `json:"comment"`
		EmptyLayer bool       `json:"empty_layer"`
	} `json:"history"`
}

type rawRun struct {
	User         string
	ExposedPorts map[string]struct{}
	Env          []string
	Entrypoint   []string
	Cmd          []string
	Volumes      map[string]struct{}
	WorkingDir   string
	Labels       map[string]string
	StopSignal   string
	Healthcheck  *rawHealth
}

type rawHealth struct {
	Test                                          []string
	Interval, Timeout, StartPeriod, StartInterval time.Duration
	Retries                                       int
}

// parseConfig reads an image's config, strictly: what cannot mean anything, or could mean something harmful to whoever
// runs the container, is an error that names the key.
func parseConfig(raw []byte) (*parsedConfig, error) {
	if len(raw) > maxConfig {
		return nil, fmt.Errorf("config of %d bytes: at most %d are read", len(raw), maxConfig)
	}
	var r rawConfig
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("config is no image config: %w", err)
	}
	c := &parsedConfig{Author: r.Author, DiffIDs: r.RootFS.DiffIDs}
	if r.Created != nil {
		c.Created = *r.Created
	}
	for _, d := range c.DiffIDs {
		if !validDigest(d) {
			return nil, fmt.Errorf("config: rootfs.diff_ids: %q is no digest", d)
		}
	}
	for _, h := range r.History {
		step := api.ImageHistory{CreatedBy: h.CreatedBy, Comment: h.Comment, Empty: h.EmptyLayer}
		if h.Created != nil {
			step.Created = *h.Created
		}
		c.History = append(c.History, step)
	}
	c.OS, c.Architecture = r.OS, r.Architecture
	return c, r.Config.check(&c.ImageConfig)
}

// check fills c from what the image says about its containers.
func (r *rawRun) check(c *api.ImageConfig) (err error) {
	c.User, c.Env, c.Labels = r.User, r.Env, r.Labels
	c.Entrypoint, c.Cmd = r.Entrypoint, r.Cmd
	for _, check := range []struct {
		key string
		err error
	}{
		{"User", checkUser(r.User)},
		{"Env", checkEnv(r.Env)},
		{"Entrypoint", checkArguments(r.Entrypoint)},
		{"Cmd", checkArguments(r.Cmd)},
	} {
		if check.err != nil {
			return fmt.Errorf("config: %s: %w", check.key, check.err)
		}
	}
	if c.WorkingDir, err = workingDir(r.WorkingDir); err != nil {
		return fmt.Errorf("config: WorkingDir: %w", err)
	}
	if c.Volumes, err = volumeTargets(r.Volumes); err != nil {
		return fmt.Errorf("config: Volumes: %w", err)
	}
	if c.ExposedPorts, err = exposedPorts(r.ExposedPorts); err != nil {
		return fmt.Errorf("config: ExposedPorts: %w", err)
	}
	if c.StopSignal, err = stopSignal(r.StopSignal); err != nil {
		return fmt.Errorf("config: StopSignal: %w", err)
	}
	if c.Health, err = health(r.Healthcheck); err != nil {
		return fmt.Errorf("config: Healthcheck: %w", err)
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
		last := first
		if m[2] != "" {
			last, _ = strconv.Atoi(m[2])
		}
		if first < 1 || last > 65535 || first > last {
			return nil, fmt.Errorf("%q: ports are 1 to 65535", p)
		}
		if left -= last - first + 1; left < 0 {
			return nil, fmt.Errorf("more than %d ports", maxPorts)
		}
		proto := m[3]
		if proto == "" {
			proto = "tcp"
		}
		for n := first; n <= last; n++ {
			all[strconv.Itoa(n)+"/"+proto] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

func stopSignal(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	n, err := signal.ParseSignal(s)
	if err != nil || n < 1 || n > 64 {
		return "", fmt.Errorf("%q is no signal", s)
	}
	return s, nil
}

// health checks what docker's API would check.
func health(r *rawHealth) (*api.HealthCheck, error) {
	if r == nil {
		return nil, nil
	}
	for name, d := range map[string]time.Duration{
		"Interval": r.Interval, "Timeout": r.Timeout, "StartPeriod": r.StartPeriod, "StartInterval": r.StartInterval,
	} {
		if d < 0 || d != 0 && d < time.Millisecond {
			return nil, fmt.Errorf("%s of %d ns: at least 1 ms", name, d)
		}
	}
	if r.Retries < 0 || r.Retries > math.MaxInt32 {
		return nil, fmt.Errorf("%d retries", r.Retries)
	}
	if err := checkTest(r.Test); err != nil {
		return nil, err
	}
	return &api.HealthCheck{Test: r.Test, Interval: r.Interval, Timeout: r.Timeout, Retries: r.Retries,
		StartPeriod: r.StartPeriod, StartInterval: r.StartInterval}, nil
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
