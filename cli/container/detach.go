package container

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// DefaultDetachKeys are ctrl-p, ctrl-q, as in docker.
var DefaultDetachKeys = []byte{0x10, 0x11}

// detachKeys reads docker's notation of a sequence of keys: single characters, or ctrl- and a letter or one of @[\]^_.
func detachKeys(text string) ([]byte, error) {
	if text == "" {
		return DefaultDetachKeys, nil
	}
	var keys []byte
	for key := range strings.SplitSeq(text, ",") {
		name, ctrl := strings.CutPrefix(key, "ctrl-")
		switch {
		case len(name) != 1 || name[0] >= 0x80:
			return nil, unknownKey(key)
		case !ctrl:
			keys = append(keys, name[0])
		case name[0] >= 'a' && name[0] <= 'z':
			keys = append(keys, name[0]-'a'+1)
		case name[0] >= '@' && name[0] <= '_' && (name[0] < 'A' || name[0] > 'Z'):
			keys = append(keys, name[0]-'@')
		default:
			return nil, unknownKey(key)
		}
	}
	return keys, nil
}

func unknownKey(key string) error {
	return fault.Invalid(`unknown key %q: want keys such as "a" or "ctrl-p", separated by commas`, key)
}

// detacher looks for a sequence of keys in what is typed.
type detacher struct {
	keys []byte
	held int // how many of the keys were typed last, and kept back
}

// pass returns what of b is to be passed on. leave says that the sequence was completed: what follows it is nobody's.
func (d *detacher) pass(b []byte) (out []byte, leave bool) {
	if len(d.keys) == 0 {
		return b, false
	}
	for _, c := range b {
		// The longest end of what was typed that the sequence begins with is held; what is before that passes.
		typed := append(bytes.Clone(d.keys[:d.held]), c)
		keep := len(typed)
		for !bytes.HasSuffix(typed, d.keys[:keep]) {
			keep--
		}
		out = append(out, typed[:len(typed)-keep]...)
		if d.held = keep; keep == len(d.keys) {
			return out, true
		}
	}
	return out, false
}

// EndOf is the exit code of podc for the end of a container.
func EndOf(p api.Pod) error {
	switch {
	case !p.ExitKnown:
		return fault.Exit(fmt.Errorf("container %q ended unseen: its exit code is not known", p.Spec.Name), fault.ExitUnable)
	case p.ExitCode != 0:
		return fault.Silent(p.ExitCode)
	}
	return nil
}

// LastWords bounds the wait for what containers wrote before they were stopped.
const LastWords = 10 * time.Second
