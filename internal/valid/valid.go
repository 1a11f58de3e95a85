// Package valid holds the rules of single values that podc hands to the kernel or to the OCI runtime: what they take, and what a
// program can do with. Each rule is one pure function, called where the value is read, so that the message names the place, and
// by whoever takes it from a program. It knows nothing of compose files or pods.
//
// The errors say what is wrong with the value and quote it; they have no class.
package valid

import (
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/sys/signal"
	"golang.org/x/sys/unix"
)

// Text takes what a process may be given: no control characters but those of layout. None of them can be in an argument or a
// variable for NUL, and the others are for terminals.
func Text(s string) error {
	for _, r := range s {
		if control(r) && r != '\n' && r != '\t' && r != '\r' {
			return fmt.Errorf("%.60q holds the control character U+%04X", s, r)
		}
	}
	return nil
}

// Line takes Text of one line.
func Line(s string) error {
	if strings.ContainsAny(s, "\n\r") {
		return fmt.Errorf("%.60q is more than one line", s)
	}
	return Text(s)
}

// lastSignal is the kernel's SIGRTMAX.
const lastSignal = 64

// Signal takes the name of a signal, with or without "SIG", or its number.
func Signal(name string) (unix.Signal, error) {
	s, err := signal.ParseSignal(name)
	if err != nil || s < 1 || s > lastSignal {
		return 0, fmt.Errorf("signal %q is not known", name)
	}
	return s, nil
}

func control(r rune) bool { return r < 0x20 || r >= 0x7f && r <= 0x9f }

// Labels takes the labels of an object.
func Labels(labels map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if key == "" {
			return fmt.Errorf("a label has no name")
		}
		if err := Line(key); err != nil {
			return fmt.Errorf("the label %w", err)
		}
		if err := Text(labels[key]); err != nil {
			return fmt.Errorf("the label %s: %w", key, err)
		}
	}
	return nil
}

// VariableName takes the name of an environment variable.
func VariableName(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("an environment variable has no name")
	case strings.ContainsAny(s, "= \t\n\r"):
		return fmt.Errorf("%.60q is no name of an environment variable", s)
	}
	return Text(s)
}

// maxVariable is what the kernel takes of one string of arguments or environment, in bytes with its NUL (MAX_ARG_STRLEN);
// maxArguments what it takes of all of them, with a pointer for each, where the stack is limited to the usual 8 MiB.
const (
	maxVariable  = 128 << 10
	maxArguments = 2 << 20
)

// Arguments takes the argument list and the environment ("NAME=VALUE") of a process.
func Arguments(args, env []string) error {
	total := 0
	for _, s := range args {
		if len(s) >= maxVariable {
			return fmt.Errorf("the argument %.20q... is longer than the %d KiB that the kernel takes", s, maxVariable>>10)
		}
		if err := Text(s); err != nil {
			return fmt.Errorf("the argument %w", err)
		}
		total += len(s) + 9
	}
	for _, s := range env {
		name, value, _ := strings.Cut(s, "=")
		if err := VariableName(name); err != nil {
			return err
		}
		if len(s) >= maxVariable {
			return fmt.Errorf("the environment variable %.40s is longer than the %d KiB that the kernel takes", name, maxVariable>>10)
		}
		if err := Text(value); err != nil {
			return fmt.Errorf("the environment variable %s: %w", name, err)
		}
		total += len(s) + 9
	}
	if total > maxArguments {
		return fmt.Errorf("arguments and environment take %d KiB, and the kernel takes %d KiB", total>>10, maxArguments>>10)
	}
	return nil
}

var (
	hostName = form(`^[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?)*$`)
	sysctl   = form(`^[a-z0-9_]+([./][a-zA-Z0-9_*-]+)+$`)
)

// Word takes what must be one word, such as an option of resolv.conf.
func Word(s string) error {
	if s == "" || strings.ContainsAny(s, " \t\n\r") {
		return fmt.Errorf("%.60q is not one word", s)
	}
	return Text(s)
}

// Sysctl takes the name of a setting of the kernel, written with dots or slashes, and its value.
func Sysctl(name, value string) error {
	if !sysctl(name) || strings.Contains(name, "..") {
		return fmt.Errorf("%.60q is no name of a setting of the kernel such as net.core.somaxconn", name)
	}
	if err := Line(value); err != nil {
		return fmt.Errorf("the value %w", err)
	}
	return nil
}

// AbsolutePath takes a path that begins with "/".
func AbsolutePath(s string) error {
	if !path.IsAbs(s) {
		return fmt.Errorf("%.60q is not an absolute path", s)
	}
	return Path(s)
}

// WorkingDir takes the folder, a path like another, in which a container begins. Below /proc none does: the links there are to
// descriptors, from where it would be in files of the host's (CVE-2024-21626). What is started in one that runs may.
func WorkingDir(s string) error {
	if strings.HasPrefix(path.Clean(s), "/proc/") {
		return fmt.Errorf("%.60q lies in /proc, where no container may work", s)
	}
	return nil
}

// maxPath is what the kernel takes of a path, in bytes with its NUL; maxPathPart of what stands between two slashes.
const (
	maxPath     = 4096
	maxPathPart = 255
)

// Path takes what may name a file.
func Path(s string) error {
	if err := PathLength(s); err != nil {
		return err
	}
	return Text(s)
}

// PathLength takes a path, of whatever characters, that is no longer than the kernel takes.
func PathLength(s string) error {
	if len(s) >= maxPath {
		return fmt.Errorf("the path %.20q... is longer than %d bytes", s, maxPath-1)
	}
	for part := range strings.SplitSeq(s, "/") {
		if len(part) > maxPathPart {
			return fmt.Errorf("the path %.20q... has a name of more than %d bytes", s, maxPathPart)
		}
	}
	return nil
}

// User takes USER or USER:GROUP, by name or id.
func User(s string) error {
	user, group, _ := strings.Cut(s, ":")
	if strings.Contains(group, ":") || strings.ContainsAny(s, "\n\r\t /") {
		return fmt.Errorf("%.60q is not USER or USER:GROUP", s)
	}
	if err := ID(user); err != nil {
		return err
	}
	return ID(group)
}

// Group takes one group, by name or id.
func Group(s string) error {
	if s == "" || strings.ContainsAny(s, ":\n\r\t /") {
		return fmt.Errorf("%.60q is no group", s)
	}
	return ID(s)
}

// ID takes a name, or the id of a user or a group: a larger number would wrap around, to root at worst, and the largest means none.
func ID(s string) error {
	digits := strings.TrimLeft(s, "+-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		if strings.HasPrefix(s, "-") {
			return fmt.Errorf("%.60q is no name", s)
		}
		return Text(s)
	}
	return NumericID(s)
}

// NumericID takes the id of a user or a group, up to the largest that a process may be started with, in docker too.
func NumericID(s string) error {
	if id, err := strconv.ParseInt(s, 10, 64); err != nil || id < 0 || id > math.MaxInt32 {
		return fmt.Errorf("%.60s is not an id between 0 and %d", s, math.MaxInt32)
	}
	return nil
}

// MostRetries bounds the retries of health checks.
const MostRetries = 1_000_000

// maxDuration is more than any container lives.
const maxDuration = 100 * 365 * 24 * time.Hour

// Duration takes how long to wait: 0, which may mean a default, or a millisecond at least.
func Duration(d time.Duration) error {
	switch {
	case d < 0:
		return fmt.Errorf("%s is negative", d)
	case d != 0 && d < time.Millisecond:
		return fmt.Errorf("%s is less than 1ms", d)
	case d > maxDuration:
		return fmt.Errorf("%s is longer than 100 years", d)
	}
	return nil
}

// HealthTest takes the test of a health check; none means the image's.
func HealthTest(test []string) error {
	if len(test) == 0 {
		return nil
	}
	switch form := test[0]; {
	case form != "NONE" && form != "CMD" && form != "CMD-SHELL":
		return fmt.Errorf("begins with %.60q rather than \"CMD\", \"CMD-SHELL\" or \"NONE\"", form)
	case form == "NONE" && len(test) > 1:
		return fmt.Errorf("\"NONE\" takes no arguments")
	case form == "CMD" && len(test) < 2:
		return fmt.Errorf("\"CMD\" needs a command")
	case form == "CMD-SHELL" && len(test) < 2:
		return fmt.Errorf("\"CMD-SHELL\" needs a line")
	}
	return Arguments(test, nil)
}

// CgroupParent takes the path of a cgroup below the root of the hierarchy.
func CgroupParent(s string) error {
	if strings.Trim(s, "/.") == "" {
		return fmt.Errorf("%.60q names no cgroup", s)
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == ".." {
			return fmt.Errorf("%.60q leads upwards", s)
		}
	}
	if err := Line(s); err != nil {
		return err
	}
	return Path(s)
}

// IsName reports whether s is a name as objects have them: of letters, digits, "_", "." and "-", with a letter or digit first. CNI
// allows the same for networks and containers.
var IsName = form(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// form is what tells whether a text has the form of a pattern, which is compiled when it is first asked for: few commands, and no
// exit of a container, need one.
func form(pattern string) func(string) bool {
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
	return func(s string) bool { return compiled().MatchString(s) }
}

// Driver takes the name of a driver, which is that of a program in certain folders.
func Driver(s string) error {
	if !IsName(s) || len(s) > 64 {
		return fmt.Errorf("%.60q is no name of a driver", s)
	}
	return nil
}

// Runtime takes an OCI runtime: a program's name, or its absolute path.
func Runtime(s string) error {
	if IsName(s) {
		return nil
	}
	if !path.IsAbs(s) {
		return fmt.Errorf("%.60q is no OCI runtime: want the name of a program, or its absolute path", s)
	}
	return Path(s)
}
