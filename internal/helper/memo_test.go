package helper

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// later1h is a time of asking at which no file of a test counts as just written.
var later1h = func() time.Time { return time.Now().Add(time.Hour) }

func TestMemo(t *testing.T) {
	dir := t.TempDir()
	helper, input, absent := filepath.Join(dir, "helper"), filepath.Join(dir, "compose.yaml"), filepath.Join(dir, ".env")
	write := func(path, s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// touch writes with another time, since the clock of an old kernel's file system may stand still between two writes.
	touch := func(path, s string) {
		t.Helper()
		write(path, s)
		at := time.Now().Add(time.Duration(len(s)) * time.Minute)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"A": "1", "B": "2"}
	key := []byte("key")
	open := func() Memos { return Program{Path: helper, Env: env}.Memos(filepath.Join(dir, "run"), key) }
	store := func() { Keep(open(), "question", "answer", []string{input, absent}, later1h()) }
	known := func(q string) bool {
		a, ok := Recall[string](open(), q)
		return ok && a == "answer"
	}
	write(helper, "v1")
	write(input, "services: {}")
	if known("question") {
		t.Fatal("known before it was asked")
	}
	store()
	if !known("question") {
		t.Fatal("not kept")
	}
	if known("another question") {
		t.Error("answers another question")
	}
	for name, change := range map[string]func() (undo func()){
		"environment":              func() func() { env["A"] = "3"; return func() { env["A"] = "1" } },
		"new variable":             func() func() { env["C"] = ""; return func() { delete(env, "C") } },
		"same bytes written again": func() func() { touch(input, "services: {}"); return func() {} },
		"replaced": func() func() {
			write(input+".new", "services: {}")
			if err := os.Rename(input+".new", input); err != nil {
				t.Fatal(err)
			}
			return func() {}
		},
		"absent file appears": func() func() { write(absent, ""); return func() { os.Remove(absent) } },
		"input vanishes":      func() func() { os.Remove(input); return func() { write(input, "services: {}") } },
		"helper upgraded":     func() func() { touch(helper, "v2"); return func() {} },
	} {
		undo := change()
		if known("question") {
			t.Errorf("%s: still believed", name)
		}
		undo()
		store()
		if !known("question") {
			t.Errorf("%s: not kept again", name)
		}
	}
}

func TestMemoDamaged(t *testing.T) {
	dir := t.TempDir()
	input := filepath.Join(dir, "f")
	if err := os.WriteFile(input, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := Program{Path: input}.Memos(dir, nil)
	Keep(m, "q", "a", nil, later1h())
	b, err := os.ReadFile(m.file("q"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		damaged := append([]byte{}, b[:i]...)
		if err := os.WriteFile(m.file("q"), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if a, ok := Recall[string](m, "q"); ok && a != "a" {
			t.Fatalf("cut at %d: believed %q", i, a)
		}
	}
}

// TestMemoRacy: an input written while the helper read it may have the same stamp before and after.
func TestMemoRacy(t *testing.T) {
	dir := t.TempDir()
	input := filepath.Join(dir, "f")
	if err := os.WriteFile(input, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := Program{Path: input}.Memos(dir, nil)
	Keep(m, "q", "a", nil, time.Now())
	if _, ok := Recall[string](m, "q"); ok {
		t.Error("an input just written is believed")
	}
}

func TestMemoPrune(t *testing.T) {
	dir := t.TempDir()
	input := filepath.Join(dir, "f")
	if err := os.WriteFile(input, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := Program{Path: input}.Memos(dir, nil)
	for i := range memosKept + 20 {
		Keep(m, i, i, nil, later1h())
	}
	entries, err := os.ReadDir(m.dir)
	if err != nil || len(entries) != memosKept {
		t.Errorf("%d memos are kept (%v)", len(entries), err)
	}
	if _, ok := Recall[int](m, memosKept+19); !ok {
		t.Error("the latest is gone")
	}
}
