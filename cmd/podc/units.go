package main

import (
	"fmt"
	"strings"
	"time"
)

// size is a number of bytes for people, in powers of 1000 with up to three digits, as docker prints it: "12.3MB".
func size(n int64) string {
	f, unit := float64(n), 0
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	for f >= 999.5 && unit < len(units)-1 {
		f /= 1000
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%dB", n)
	}
	s := fmt.Sprintf("%.3g", f)
	return s + units[unit]
}

// ago is how long something has lasted, roughly, in docker's words: "2 hours".
func ago(d time.Duration) string {
	seconds, minutes, hours := int(d.Seconds()), int(d.Minutes()), int(d.Hours()+0.5)
	switch {
	case seconds < 1:
		return "Less than a second"
	case seconds == 1:
		return "1 second"
	case seconds < 60:
		return fmt.Sprintf("%d seconds", seconds)
	case minutes == 1:
		return "About a minute"
	case minutes < 60:
		return fmt.Sprintf("%d minutes", minutes)
	case hours == 1:
		return "About an hour"
	case hours < 48:
		return fmt.Sprintf("%d hours", hours)
	case hours < 24*14:
		return fmt.Sprintf("%d days", hours/24)
	case hours < 24*60:
		return fmt.Sprintf("%d weeks", hours/24/7)
	case hours < 24*365*2:
		return fmt.Sprintf("%d months", hours/24/30)
	}
	return fmt.Sprintf("%d years", hours/24/365)
}

// since is ago in a sentence: "2 hours ago".
func since(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return ago(now.Sub(t)) + " ago"
}

// shortID is the part of an id or digest that people are shown.
func shortID(id string) string {
	_, hex, found := strings.Cut(id, ":")
	if !found {
		hex = id
	}
	return hex[:min(12, len(hex))]
}
