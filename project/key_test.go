package project

import (
	"slices"
	"testing"

	"github.com/containerd/errdefs"
)

// An edge to a step that the plan lacks is an error that names both, unless the step can do without the other.
func TestEdges(t *testing.T) {
	var g graph
	stop := g.add(because(AskedFor), StopPod{Name: "a"}).after(stopKey("gone")).past(removeKey("gone")).step()
	if len(g.errs) > 0 || len(stop.After)+len(stop.Past) > 0 {
		t.Errorf("it comes after %v, %v, and fails with %v", stop.After, stop.Past, g.errs)
	}
	remove := g.add(because(AskedFor), RemovePod{Name: "a"}).needs(stopKey("a"), stopKey("a")).step()
	if len(g.errs) > 0 || !slices.Equal(remove.After, []Key{stopKey("a")}) {
		t.Errorf("it comes after %v, and fails with %v", remove.After, g.errs)
	}
	g.add(because(Missing), StartPod{Name: "a"}).needs(createKey("a"))
	want := `cannot plan "start pod a": it needs "create pod a", which is not planned before it`
	if len(g.errs) != 1 || !errdefs.IsInternal(g.errs[0]) || g.errs[0].Error() != want {
		t.Errorf("it fails with %v", g.errs)
	}
}
