package main

import (
	"io"
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

func (h *warningHook) Fire(e *logrus.Entry) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !strings.Contains(e.Message, "the attribute `version` is obsolete") {
		h.seen = append(h.seen, e.Message)
	}
	return nil
}

func (h *warningHook) messages() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen
}

func truthy(s string) bool {
	b, _ := strconv.ParseBool(s)
	return b
}
