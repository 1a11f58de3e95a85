package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/engine/conmon"
	"podc.example/podc/internal/child"
	"podc.example/podc/internal/fault"
)

// programs are those of the host's, and podc's own, that pods need.
type programs struct {
	cfg     Config
	run     string     // the run root
	profile sync.Mutex // held to load the default AppArmor profile
}

// CheckPrograms fails with everything of the host's that pods need and is not there: conmon, the runtimes (empty: the
// default), podc's own helper, and cgroups that the runtime takes, and warns of runtimes in whose place the default runs. It is for
// before anything is made.
func (p *programs) CheckPrograms(ctx context.Context, runtimes []string) (warnings []string, err error) {
	_, err = lookupBinary("conmon")
	errs := []error{err}
	if _, err := os.Stat(p.helper("podc-monitor")); err != nil {
		errs = append(errs, fmt.Errorf("cannot find podc's helper beside podc (build it with: go tool task build): %w", err))
	}
	var paths []string
	for _, name := range runtimes {
		path, err := p.runtimePath(name)
		if err == nil {
			err = p.checkRuntime(ctx, path)
		}
		if used := filepath.Base(path); err == nil && name != "" && used != filepath.Base(name) {
			warnings = append(warnings, fmt.Sprintf("runtime %q is not installed: %q runs what asks for it", name, used))
		}
		if errs = append(errs, err); err == nil {
			paths = append(paths, path)
		}
	}
	if slices.ContainsFunc(paths, func(p string) bool { return filepath.Base(p) == "crun" }) {
		errs = append(errs, checkHybrid("/sys/fs/cgroup"))
	}
	return warnings, errors.Join(errs...)
}

// specLine is in what every OCI runtime says of its version: which version of the specification it is for.
var specLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)\bspecs?\s*:`) })

// checkRuntime refuses a program that is no OCI runtime. Those that podc is tested with are not asked, which would cost every
// start.
func (p *programs) checkRuntime(ctx context.Context, path string) error {
	if slices.Contains([]string{"crun", "runc"}, filepath.Base(path)) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := child.Command(ctx, path, "--version")
	cmd.Env, cmd.WaitDelay = p.helperEnv(), 100*time.Millisecond // what it has started may keep its output open
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return fault.New(errdefs.ErrInvalidArgument, "cannot run %q, which is asked for as runtime: %w", path, err)
	}
	if err != nil || !specLine().Match(out) {
		return fault.New(errdefs.ErrInvalidArgument, "the program %q is no OCI runtime: it does not tell with --version which specification it is for", path)
	}
	return nil
}

// checkHybrid refuses what crun refuses: a v2 hierarchy beside those of v1 that holds a controller.
func checkHybrid(cgroups string) error {
	b, _ := os.ReadFile(filepath.Join(cgroups, "unified", "cgroup.controllers"))
	if held := strings.Fields(string(b)); len(held) > 0 {
		return conmon.HybridCgroups(strings.Join(held, ", "))
	}
	return nil
}

// helperEnv is the environment of conmon, runtime and helpers: nothing of the caller's but where programs are found.
func (p *programs) helperEnv() []string {
	return append([]string{"PATH=" + searchPath}, p.cfg.CNI.environ()...)
}

// searchPath holds where distributions put conmon and the runtimes; the caller's PATH may lack the sbin folders.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec/podman:/usr/lib/podman"

// lookupBinary finds a program on the caller's PATH, then where distributions put it.
func lookupBinary(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	if !strings.Contains(name, "/") {
		for dir := range strings.SplitSeq(searchPath, ":") {
			if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return path, nil
			}
		}
	}
	return "", fault.New(errdefs.ErrFailedPrecondition, "cannot find the program %q that containers need (%s)", name, whereToGet(name))
}

// whereToGet says what brings a program, or where it was looked for: a package that only has the name of one is a stranger's.
func whereToGet(name string) string {
	switch base := filepath.Base(name); {
	case base == "apparmor_parser":
		return "on Debian: apt-get install apparmor"
	case slices.Contains([]string{"conmon", "crun", "runc"}, base):
		return "on Debian: apt-get install " + base
	case strings.Contains(name, "/"):
		return "there is no program at that path"
	}
	return "looked for in PATH and in " + strings.ReplaceAll(searchPath, ":", ", ")
}

// runtimePath finds the OCI runtime of a pod.
func (p *programs) runtimePath(name string) (string, error) {
	path, err := lookupBinary(cmp.Or(name, p.cfg.Runtime))
	if err != nil && (name == "runc" || name == "crun") { // what files ask for by these names is the usual one
		return lookupBinary(p.cfg.Runtime)
	}
	return path, err
}

// helper is the path of one of podc's own helper binaries.
func (p *programs) helper(name string) string { return filepath.Join(p.cfg.Helpers, name) }
