package project

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden plans each testdata/*.txtar and compares the text of the plan. A file has the sections wish, observed, options
// (JSON), verb (what else than up), and plan or error.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]int{}
	for i, f := range a.Files {
		sections[f.Name] = i
	}
	section := func(name string) []byte {
		if i, ok := sections[name]; ok {
			return a.Files[i].Data
		}
		return nil
	}
	d, o := parseWish(t, section("wish")), parseObserved(t, section("observed"))
	plan, err := planVerb(t, strings.TrimSpace(string(section("verb"))), section("options"), d, o)
	name, got := "plan", details(plan)
	if err != nil {
		name, got = "error", err.Error()+"\n"
	} else {
		checkOrder(t, plan)
	}
	if *update {
		kept := a.Files[:0]
		for _, f := range a.Files {
			if f.Name != "plan" && f.Name != "error" {
				kept = append(kept, f)
			}
		}
		a.Files = append(kept, txtar.File{Name: name, Data: []byte(got)})
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := string(section(name)); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// details adds to the text of a plan what it does not show: inherited volumes and claimed ports.
func details(p Plan) string {
	var b strings.Builder
	b.WriteString(p.String())
	for _, s := range p.Steps {
		if c, ok := s.Do.(CreatePod); ok {
			for _, m := range c.Spec.Container.Mounts {
				if p.inherits[c.Spec.Name][m.Target] != "" {
					fmt.Fprintf(&b, "# %s inherits %s at %s\n", c.Spec.Name, m.Source, m.Target)
				}
			}
		}
	}
	for _, c := range p.Claims {
		fmt.Fprintf(&b, "# %s claims port %s\n", c.Owner, portName(c.Port))
	}
	return b.String()
}

func planVerb(t *testing.T, verb string, options []byte, d Desired, o Observed) (Plan, error) {
	switch verb {
	case "boot":
		return planBoot(Desired{Name: d.Name}, o, nil)
	case "shutdown":
		return planShutDown(Desired{Name: d.Name}, o)
	}
	plans := map[string]func(*testing.T, []byte, Desired, Observed) (Plan, error){
		"": planned(Diff), "down": planned(planDown), "stop": planned(planStop), "start": planned(planStart), "restart": planned(planRestart),
		"kill": planned(planKill), "rm": planned(planRemove), "pause": planned(planPause), "unpause": planned(planUnpause)}
	return plans[verb](t, options, d, o)
}

var inTests = Remedies{DropOrphans: "drop orphans", TakeProfiles: "take all profiles", RemoveService: "remove {name}", LoadImage: "load it"}

// planned gives the planning of a verb its options, none of which may be unknown to it.
func planned[O any](plan func(Desired, Observed, O) (Plan, error)) func(*testing.T, []byte, Desired, Observed) (Plan, error) {
	return func(t *testing.T, options []byte, d Desired, o Observed) (Plan, error) {
		var opt O
		dec := json.NewDecoder(bytes.NewReader(options))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&opt); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		switch o := any(&opt).(type) {
		case *UpOptions:
			o.Remedies = inTests
		case *DownOptions:
			o.Remedies = inTests
		}
		return plan(d, o, opt)
	}
}

// checkOrder fails unless keys are unique and every step comes after those it names.
func checkOrder(t interface{ Fatalf(string, ...any) }, p Plan) {
	seen := map[Key]bool{}
	for _, s := range p.Steps {
		for _, id := range slices.Concat(s.After, s.Past) {
			if !seen[id] {
				t.Fatalf("step %q is listed before %q, which it comes after\n%s", s.Key, id, p)
			}
		}
		if s.Why.String() == "" {
			t.Fatalf("the reason of step %q, %v, has no text", s.Key, s.Why)
		}
		if seen[s.Key] || s.Key != s.Do.Key() {
			t.Fatalf("step %q is not unique or not named after its action\n%s", s.Key, p)
		}
		seen[s.Key] = true
	}
}
