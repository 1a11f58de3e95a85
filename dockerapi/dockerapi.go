// Package dockerapi describes pods, networks, volumes and images in the shapes of Docker's Engine API: pure functions from podc's
// facts to values whose JSON is docker's, field for field. A fact that podc does not have is docker's zero value, never a guess.
//
// The types are podc's own: those of github.com/moby/moby/api cost every command a tenth of its start, in the regular expressions
// of a package below them. A test holds that moby's types read and write the same JSON.
package dockerapi

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// ShortID is the part of an id or digest that people are shown.
func ShortID(id string) string {
	_, hex, found := strings.Cut(id, ":")
	if !found {
		hex = id
	}
	return hex[:min(12, len(hex))]
}

// imageID is an image's id as docker writes it.
func imageID(id string) string {
	if id == "" {
		return ""
	}
	return "sha256:" + id
}

// derivedID is a lasting id in docker's form for something that podc knows by name only.
func derivedID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

// stamp is a moment as docker writes it; the zero time is its year 1.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// text is an address or a range, and nothing for none. These are texts in docker's shapes too: templates print them.
func text[T interface {
	IsValid() bool
	String() string
}](v T) string {
	if !v.IsValid() {
		return ""
	}
	return v.String()
}

// set is docker's way of writing a list without order.
func set(names []string) map[string]struct{} {
	if len(names) == 0 {
		return nil
	}
	m := map[string]struct{}{}
	for _, n := range names {
		m[n] = struct{}{}
	}
	return m
}

// notNil makes no map an empty one, where docker writes "{}".
func notNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
