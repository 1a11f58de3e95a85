package container

import (
	"bytes"
	"testing"
)

func TestDetachKeys(t *testing.T) {
	for text, want := range map[string]string{
		"": "\x10\x11", "ctrl-p,ctrl-q": "\x10\x11", "a": "a", "ctrl-a,x": "\x01x", "ctrl-@": "\x00", "ctrl-[": "\x1b", "ctrl-_,ctrl-\\": "\x1f\x1c",
	} {
		if got, err := detachKeys(text); err != nil || string(got) != want {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
	for _, text := range []string{",", "ab", "ctrl-", "ctrl-A", "ctrl-1", "ctrl-p,", "é", "strg-p"} {
		if got, err := detachKeys(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestDetacher(t *testing.T) {
	for _, c := range []struct {
		keys, typed, passed string
		leaves              bool
	}{
		{"pq", "abc", "abc", false},
		{"pq", "apq", "a", true},
		{"pq", "apqx", "a", true},
		{"pq", "app", "ap", false}, // the last one may be the beginning
		{"pq", "apxq", "apxq", false},
		{"ppq", "pppq", "p", true},
		{"aab", "aaab", "a", true},
		{"x", "x", "", true},
		{"", "pq", "pq", false},
	} {
		whole, leave := (&detacher{keys: []byte(c.keys)}).pass([]byte(c.typed))
		if string(whole) != c.passed || leave != c.leaves {
			t.Errorf("of %q, %q passes, left: %t; want %q, %t", c.typed, whole, leave, c.passed, c.leaves)
		}
		// Key by key it is the same.
		d, got, left := &detacher{keys: []byte(c.keys)}, []byte{}, false
		for i := 0; i < len(c.typed) && !left; i++ {
			var b []byte
			b, left = d.pass([]byte(c.typed[i : i+1]))
			got = append(got, b...)
		}
		if string(got) != c.passed || left != c.leaves {
			t.Errorf("of %q key by key, %q passes, left: %t", c.typed, got, left)
		}
	}
}

func FuzzDetachKeys(f *testing.F) {
	f.Add("ctrl-p,ctrl-q", []byte("ls\r\x10\x11"))
	f.Add("a,a,b", []byte("aaab"))
	f.Fuzz(func(t *testing.T, text string, typed []byte) {
		keys, err := detachKeys(text)
		if err != nil {
			return
		}
		d := &detacher{keys: keys}
		out, leave := d.pass(typed)
		if i := bytes.Index(typed, keys); (i >= 0) != leave {
			t.Errorf("keys %q in %q: left: %t", keys, typed, leave)
		} else if leave && !bytes.Equal(out, typed[:i]) || !leave && !bytes.HasPrefix(typed, out) {
			t.Errorf("keys %q in %q: %q passes", keys, typed, out)
		}
	})
}
