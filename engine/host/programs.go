package host

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
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
	"podc.example/podc/engine/oci"
	"podc.example/podc/internal/child"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

// Programs are those of the host's, and podc's own, that pods need.
type Programs struct {
	Helpers string   // folder of podc's own
	Runtime string   // of pods that name none
	Env     []string // of conmon, runtime and helpers: nothing of the caller's but where programs are found, and what they share with it
	Stamp   string   // path of a file that says which AppArmor profile was loaded

	profile sync.Mutex // held to load the default one
}

// Check fails with everything of the host's that pods need and is not there: conmon, the runtimes (empty: the
// default), podc's own helper, and cgroups that the runtime takes, and warns of runtimes in whose place the default runs. It is for
// before anything is made.
func (p *Programs) Check(ctx context.Context, runtimes []string) (warnings []string, err error) {
	_, err = Lookup("conmon")
	errs := []error{err}
	if _, err := os.Stat(p.Helper("podc-monitor")); err != nil {
		errs = append(errs, fmt.Errorf("cannot find podc's helper beside podc (build it with: go tool task build): %w", err))
	}
	var paths []string
	for _, name := range runtimes {
		path, err := p.RuntimePath(name)
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
func (p *Programs) checkRuntime(ctx context.Context, path string) error {
	if slices.Contains([]string{"crun", "runc"}, filepath.Base(path)) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := child.Command(ctx, path, "--version")
	cmd.Env, cmd.WaitDelay = p.Env, 100*time.Millisecond // what it has started may keep its output open
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

// Path is the environment's entry by which programs find others.
const Path = "PATH=" + searchPath

// searchPath holds where distributions put conmon and the runtimes; the caller's PATH may lack the sbin folders.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/libexec/podman:/usr/lib/podman"

// Lookup finds a program on the caller's PATH, then where distributions put it.
func Lookup(name string) (string, error) {
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

// RuntimePath finds the OCI runtime of a pod.
func (p *Programs) RuntimePath(name string) (string, error) {
	path, err := Lookup(cmp.Or(name, p.Runtime))
	if err != nil && (name == "runc" || name == "crun") { // what files ask for by these names is the usual one
		return Lookup(p.Runtime)
	}
	return path, err
}

// Helper is the path of one of podc's own helper binaries.
func (p *Programs) Helper(name string) string { return filepath.Join(p.Helpers, name) }

// parserDeadline bounds the parser, which takes a moment.
const parserDeadline = time.Minute

//go:embed apparmor.profile
var defaultPolicy []byte

// appArmorProfiles lists what is loaded, a line each: "name (mode)".
const appArmorProfiles = "/sys/kernel/security/apparmor/profiles"

// hasAppArmor reports whether the kernel confines processes, and lets podc say how.
func hasAppArmor() bool {
	on, err := disk.ReadFile("/sys/module/apparmor/parameters/enabled")
	if err != nil || !bytes.HasPrefix(on, []byte("Y")) {
		return false
	}
	_, err = disk.ReadFile(appArmorProfiles)
	return err == nil
}

// profileLoaded reports whether the kernel has a profile of that name.
func profileLoaded(name string) (bool, error) {
	list, err := disk.ReadFile(appArmorProfiles)
	for line := range strings.Lines(string(list)) {
		if i := strings.LastIndex(line, " ("); i >= 0 && line[:i] == name {
			return true, nil
		}
	}
	return false, err
}

// checkProfile refuses a profile that the kernel does not have. The default one is loaded when it is needed.
func checkProfile(h oci.Host, name string) error {
	if name == "" || name == oci.Unconfined || name == h.Profile {
		return nil
	}
	if !h.AppArmor {
		return fault.New(errdefs.ErrFailedPrecondition, "security option apparmor=%s: AppArmor is not on", name)
	}
	loaded, err := profileLoaded(name)
	if err == nil && !loaded {
		err = fault.New(errdefs.ErrFailedPrecondition, "security option apparmor=%s: no profile of that name is loaded: apparmor_parser -r FILE loads one", name)
	}
	return err
}

// LoadProfile sees to it that the default profile is loaded, and is that of this podc: once after a start of the machine or a change
// of podc, and again should somebody unload it.
func (p *Programs) LoadProfile(ctx context.Context) error {
	p.profile.Lock()
	defer p.profile.Unlock()
	want := fmt.Sprintf("%s %x\n", kernel.BootID(), sha256.Sum256(defaultPolicy))
	if have, err := disk.ReadFile(p.Stamp); err == nil && string(have) == want {
		if loaded, err := profileLoaded(oci.DefaultProfile); loaded || err != nil {
			return err
		}
	}
	parser, err := Lookup("apparmor_parser")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, parserDeadline)
	defer cancel()
	cmd := child.Command(ctx, parser, "--replace", "--skip-cache")
	cmd.Env, cmd.Stdin = p.Env, bytes.NewReader(defaultPolicy)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot load the AppArmor profile %s: %w: %s", oci.DefaultProfile, err, bytes.TrimSpace(out))
	}
	return disk.WriteFile(p.Stamp, []byte(want), 0o600, disk.Volatile)
}
