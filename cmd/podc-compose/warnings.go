package main

import (
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sirupsen/logrus"
)

// captureWarnings diverts what compose-go logs through its global logger; the returned function gives the messages so far,
// without those that package compose says better.
func captureWarnings() func() []string {
	h := &warningHook{}
	logrus.SetOutput(io.Discard)
	logrus.AddHook(h)
	return h.messages
}

type warningHook struct {
	mu   sync.Mutex
	seen []string
}

func (*warningHook) Levels() []logrus.Level { return []logrus.Level{logrus.WarnLevel} }

// unsetVariable is how compose-go says it of env files; of compose files package compose says it.
var unsetVariable = regexp.MustCompile(`^The "(.*)" variable is not set\. Defaulting to a blank string\.$`)

func (h *warningHook) Fire(e *logrus.Entry) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	text := unsetVariable.ReplaceAllString(e.Message, "variable $1 is not set; using an empty string")
	if !strings.Contains(text, "the attribute `version` is obsolete") {
		h.seen = append(h.seen, text)
	}
	return nil
}

func (h *warningHook) messages() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen
}

// once leaves out what was said before.
func once(warnings []string) []string {
	said := map[string]bool{}
	return slices.DeleteFunc(warnings, func(w string) bool {
		again := said[w]
		said[w] = true
		return again
	})
}

func truthy(s string) bool {
	b, _ := strconv.ParseBool(s)
	return b
}
