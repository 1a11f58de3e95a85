package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/engine/oci"
	"podc.example/podc/internal/child"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

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
