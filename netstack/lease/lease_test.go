package lease

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// four is a subnet of which 10.0.0.2 to 10.0.0.4 are handed out.
func four() [][]Range {
	a := netip.MustParseAddr
	return [][]Range{{{Subnet: netip.MustParsePrefix("10.0.0.0/29"), Start: a("10.0.0.1"), End: a("10.0.0.4"), Gateway: a("10.0.0.1")}}}
}

func owner(id string) string { return "the owner of " + id }

// take is the address that h gets, or the error.
func take(t *testing.T, d Folder, h Holder, static ...string) string {
	t.Helper()
	var want []netip.Addr
	for _, s := range static {
		want = append(want, netip.MustParseAddr(s))
	}
	got, err := d.Take(t.Context(), four(), want, h, owner)
	if err != nil {
		return err.Error()
	}
	return got[0].Address.String()
}

// An address that was just freed is the last to be used again.
func TestAddressesGoRound(t *testing.T) {
	d := Folder(filepath.Join(t.TempDir(), "net"))
	a := Holder{"a", "eth0"}
	for i, want := range []string{"10.0.0.2/29", "10.0.0.3/29", "10.0.0.4/29", "10.0.0.2/29"} {
		if got := take(t, d, a); got != want {
			t.Errorf("%d: %s, not %s", i, got, want)
		}
		must(t, d.Release(t.Context(), nil, a))
	}
	for i, want := range []string{"10.0.0.3/29", "10.0.0.4/29", "10.0.0.2/29", `network "net" has no free address left in 10.0.0.0/29: give it a larger subnet`} {
		if got := take(t, d, Holder{"b", fmt.Sprint("eth", i)}); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}

func TestStaticAddresses(t *testing.T) {
	d := Folder(filepath.Join(t.TempDir(), "net"))
	a, b := Holder{"a", "eth0"}, Holder{"b", "eth0"}
	for _, c := range []struct {
		h            Holder
		static, want string
	}{
		{a, "10.0.0.6", "10.0.0.6/29"}, // outside of what is handed out
		{a, "10.0.0.6", "10.0.0.6/29"}, // again: it is a's
		{b, "10.0.0.6", `address 10.0.0.6 on network "net" is in use by the owner of a`},
		{b, "10.0.0.1", `address 10.0.0.1 cannot be used on network "net", which is 10.0.0.0/29 with gateway 10.0.0.1`},
		{b, "10.0.0.7", `address 10.0.0.7 cannot be used on network "net", which is 10.0.0.0/29 with gateway 10.0.0.1`},
		{b, "fd00::2", `address fd00::2 cannot be used on network "net", which has no subnet of that family`},
	} {
		if got := take(t, d, c.h, c.static); got != c.want {
			t.Errorf("%s for %s: %s, not %s", c.static, c.h.ID, got, c.want)
		}
	}
	_, err := d.Take(t.Context(), four(), []netip.Addr{netip.MustParseAddr("10.0.0.6")}, b, owner)
	if !errdefs.IsConflict(err) {
		t.Errorf("not a conflict: %v", err)
	}
}

// What is released is what its holder has, whatever it is thought to have; a damaged lease is nobody's.
func TestRelease(t *testing.T) {
	d := Folder(filepath.Join(t.TempDir(), "net"))
	must(t, d.Release(t.Context(), nil, Holder{"a", "eth0"}))
	a, b := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	take(t, d, Holder{"a", "eth0"})
	take(t, d, Holder{"b", "eth0"})
	must(t, d.Release(t.Context(), []netip.Addr{b}, Holder{"a", "eth0"}))
	if !d.Free(a) || d.Free(b) {
		t.Errorf("free: %t %t", d.Free(a), d.Free(b))
	}
	must(t, os.WriteFile(d.file(a), nil, 0o600))
	must(t, d.DropDamaged(t.Context(), b))
	leases, err := d.List(t.Context())
	must(t, err)
	if len(leases) != 2 || leases[a] != (Holder{}) || leases[b] != (Holder{"b", "eth0"}) {
		t.Errorf("leases %v", leases)
	}
	must(t, d.DropDamaged(t.Context(), a))
	if !d.Free(a) {
		t.Error("a damaged lease stays")
	}
}
