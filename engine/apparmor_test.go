package engine

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// Where the machine has AppArmor every container is confined, unless it asks for something else; a profile that is not loaded is
// refused.
func TestTheProfileOfAContainer(t *testing.T) {
	on, bare, off := host{AppArmor: true, Profile: defaultProfile}, host{AppArmor: true}, host{}
	for _, tt := range []struct {
		name       string
		host       host
		opts       []string
		privileged bool
		spec, says string // in config.json; and in inspect
		refused    string
	}{
		{"by default", on, nil, false, defaultProfile, defaultProfile, ""},
		{"asked for", on, []string{"apparmor=" + defaultProfile}, false, defaultProfile, defaultProfile, ""},
		{"unconfined", on, []string{"apparmor:unconfined"}, false, "", unconfined, ""},
		{"privileged", on, nil, true, "", unconfined, ""},
		{"privileged with a profile", on, []string{"apparmor=" + defaultProfile}, true, defaultProfile, defaultProfile, ""},
		{"no parser", bare, nil, false, "", "", ""},
		{"off", off, nil, false, "", "", ""},
		{"off, unconfined", off, []string{"apparmor=unconfined"}, false, "", unconfined, ""},
		{"off, named", off, []string{"apparmor=mine"}, false, "mine", "mine", "AppArmor is not on"},
	} {
		c := container{Host: tt.host, Image: api.ImageConfig{Cmd: []string{"/x"}}}
		c.Spec.SecurityOpt, c.Spec.Privileged = tt.opts, tt.privileged
		o, err := parseSecurityOpt(tt.opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Host.profileOf(c.Spec, o); got != tt.says {
			t.Errorf("%s: inspect says %q", tt.name, got)
		}
		s, err := c.spec()
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Process.ApparmorProfile; got != tt.spec {
			t.Errorf("%s: the container has %q", tt.name, got)
		}
		err = c.checkSecurity()
		if tt.refused == "" && err != nil || tt.refused != "" && (!errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), tt.refused)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// The policy is one that the parser understands, whether or not this kernel has AppArmor.
func TestThePolicyIsUnderstood(t *testing.T) {
	parser, err := lookupBinary("apparmor_parser")
	if err != nil {
		t.Skip("no apparmor_parser")
	}
	cmd := exec.Command(parser, "--skip-kernel-load", "--skip-cache", "--names")
	cmd.Stdin = bytes.NewReader(defaultPolicy)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), defaultProfile) {
		t.Errorf("%v: %s", err, out)
	}
	cmd = exec.Command(parser, "--skip-kernel-load", "--skip-cache")
	cmd.Stdin = bytes.NewReader(defaultPolicy)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
