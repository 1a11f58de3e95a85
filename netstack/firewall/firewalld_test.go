package firewall

import (
	"maps"
	"slices"
	"testing"
)

// firewalld is told of podc's own bridges by one name, of those that users name by theirs, and of none that somebody else made.
func TestFirewalldNames(t *testing.T) {
	fw := New("0a1b2c3d", nil, nil)
	names := fw.firewalldNames([]Bridge{{Name: "b0a1b2c3dxyz"}, {Name: "b0a1b2c3duvw"}, {Name: "mine"}, {Name: "theirs", Borrowed: true}})
	if got := slices.Sorted(maps.Keys(names)); !slices.Equal(got, []string{"b0a1b2c3d+", "mine"}) {
		t.Errorf("names %q", got)
	}
}
