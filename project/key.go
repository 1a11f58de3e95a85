package project

import (
	"cmp"
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/fault"
)

// Key identifies a step: no two of a plan have the same, and plans of the same project give the same act the same one.
type Key struct {
	Verb  string `json:"verb"` // "create", "start", ...
	Kind  string `json:"kind"` // "pod", "network", "volume"
	Name  string `json:"name"`
	Until string `json:"until,omitempty"` // of a wait: its condition; of a connection: the network
}

// String is the key in words, for people: "start pod shop-web-1".
func (k Key) String() string {
	s := k.Verb + " " + k.Kind + " " + k.Name
	if k.Until != "" {
		s += " " + k.Until
	}
	return s
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Verb, b.Verb), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Until, b.Until))
}

func createKey(pod string) Key              { return Key{"create", "pod", pod, ""} }
func startKey(pod string) Key               { return Key{"start", "pod", pod, ""} }
func stopKey(pod string) Key                { return Key{"stop", "pod", pod, ""} }
func removeKey(pod string) Key              { return Key{"remove", "pod", pod, ""} }
func connectKey(pod, network string) Key    { return Key{"connect", "pod", pod, network} }
func disconnectKey(pod, network string) Key { return Key{"disconnect", "pod", pod, network} }

// graph collects the steps of a plan, dependencies before dependents.
type graph struct {
	steps []Step
	index map[Key]int // place in steps
	errs  []error
}

// node is a step of a graph that is still given its edges.
type node struct {
	*graph
	at int
}

func (g *graph) add(why Reason, do Action) node {
	if g.index == nil {
		g.index = map[Key]int{}
	}
	key := do.Key()
	g.index[key] = len(g.steps)
	g.steps = append(g.steps, Step{Key: key, Why: why, Do: do})
	return node{g, len(g.steps) - 1}
}

// find returns the step that bears key.
func (g *graph) find(key Key) (node, bool) {
	at, ok := g.index[key]
	return node{g, at}, ok
}

// step is valid until the next one is added.
func (n node) step() *Step { return &n.steps[n.at] }

// needs has the step come after others, all of which must be in the graph already and succeed.
func (n node) needs(keys ...Key) node {
	for _, key := range keys {
		if _, ok := n.index[key]; !ok {
			n.errs = append(n.errs, fault.New(errdefs.ErrInternal, "cannot plan %q: it needs %q, which is not planned before it", n.step().Key, key))
		}
	}
	return n.after(keys...)
}

// after has the step come after the success of those of keys that are in the graph already.
func (n node) after(keys ...Key) node {
	s := n.step()
	s.After = n.insert(s.After, keys)
	return n
}

// past has the step come after the end of those of keys that are in the graph already, however they end.
func (n node) past(keys ...Key) node {
	s := n.step()
	s.Past = n.insert(s.Past, keys)
	return n
}

func (g *graph) insert(into, keys []Key) []Key {
	for _, key := range keys {
		if _, ok := g.index[key]; !ok {
			continue
		}
		if i, has := slices.BinarySearchFunc(into, key, compareKeys); !has {
			into = slices.Insert(into, i, key)
		}
	}
	return into
}
