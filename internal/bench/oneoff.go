package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// runTrue measures a one-off beside a running project. Its floor is the runtime alone with the configuration of bundle.
func (b *bench) runTrue(size int, bundle string) error {
	bare, err := b.trueBundle(bundle)
	if err != nil {
		return err
	}
	run := func() (sample, error) { return timed(b.podc("run", "-q", "--rm", "-T", "s00", "true")) }
	if _, err := run(); err != nil { // the first warms up
		return err
	}
	got, floor, err := b.inTurn(run, func() (sample, error) {
		return timed(exec.Command("crun", "--root", filepath.Join(b.dir, "crun"), "run", "--bundle", bare, "bare-true"))
	})
	if err != nil {
		return err
	}
	b.results = append(b.results, row(fmt.Sprintf("run --rm true (%d)", size), got, "crun run", floor, 0))
	return nil
}

// trueBundle derives a bundle whose container ends at once.
func (b *bench) trueBundle(bundle string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(bundle, "config.json"))
	if err != nil {
		return "", err
	}
	var s specs.Spec
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", err
	}
	s.Process.Args, s.Linux.CgroupsPath = []string{"true"}, "/podc-bench/true"
	if raw, err = json.Marshal(s); err != nil {
		return "", err
	}
	dir := filepath.Join(b.dir, "bundles", "true")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "config.json"), raw, 0o644)
}
