package host

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/oci"
)

// Where the machine has AppArmor every container is confined, unless it asks for something else; a profile that is not loaded is
// refused.
func TestTheProfileOfAContainer(t *testing.T) {
	on, bare, off := oci.Host{AppArmor: true, Profile: oci.DefaultProfile}, oci.Host{AppArmor: true}, oci.Host{}
	for _, tt := range []struct {
		name       string
		host       oci.Host
		opts       []string
		privileged bool
		spec, says string // in config.json; and in inspect
		refused    string
	}{
		{"by default", on, nil, false, oci.DefaultProfile, oci.DefaultProfile, ""},
		{"asked for", on, []string{"apparmor=" + oci.DefaultProfile}, false, oci.DefaultProfile, oci.DefaultProfile, ""},
		{"unconfined", on, []string{"apparmor:unconfined"}, false, "", oci.Unconfined, ""},
		{"privileged", on, nil, true, "", oci.Unconfined, ""},
		{"privileged with a profile", on, []string{"apparmor=" + oci.DefaultProfile}, true, oci.DefaultProfile, oci.DefaultProfile, ""},
		{"no parser", bare, nil, false, "", "", ""},
		{"off", off, nil, false, "", "", ""},
		{"off, unconfined", off, []string{"apparmor=unconfined"}, false, "", oci.Unconfined, ""},
		{"off, named", off, []string{"apparmor=mine"}, false, "mine", "mine", "AppArmor is not on"},
	} {
		c := oci.Container{Host: tt.host, Image: api.ImageConfig{Cmd: []string{"/x"}}}
		c.Spec.SecurityOpt, c.Spec.Privileged = tt.opts, tt.privileged
		o, err := oci.ParseSecurityOpt(tt.opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Host.ProfileOf(c.Spec, o); got != tt.says {
			t.Errorf("%s: inspect says %q", tt.name, got)
		}
		s, err := c.Generate()
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Process.ApparmorProfile; got != tt.spec {
			t.Errorf("%s: the container has %q", tt.name, got)
		}
		err = CheckSecurity(c)
		if tt.refused == "" && err != nil || tt.refused != "" && (!errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), tt.refused)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// The policy is one that the parser understands, whether or not this kernel has AppArmor.
func TestThePolicyIsUnderstood(t *testing.T) {
	parser, err := Lookup("apparmor_parser")
	if err != nil {
		t.Skip("no apparmor_parser")
	}
	cmd := exec.Command(parser, "--skip-kernel-load", "--skip-cache", "--names")
	cmd.Stdin = bytes.NewReader(defaultPolicy)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), oci.DefaultProfile) {
		t.Errorf("%v: %s", err, out)
	}
	cmd = exec.Command(parser, "--skip-kernel-load", "--skip-cache")
	cmd.Stdin = bytes.NewReader(defaultPolicy)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
