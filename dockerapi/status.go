package dockerapi

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"podc.example/podc/api"
)

// StatusText is docker's sentence about what a container does: "Up 2 hours (healthy)". An exit code that nobody saw is "?".
func StatusText(p api.Pod, now time.Time) string {
	switch status := StatusOf(p); status {
	case "running":
		return "Up " + Ago(now.Sub(p.Started)) + healthText(p.Health)
	case "paused":
		return "Up " + Ago(now.Sub(p.Started)) + " (Paused)"
	case "restarting":
		return fmt.Sprintf("Restarting (%d) %s", p.ExitCode, Since(p.Finished, now))
	case "exited":
		code := strconv.Itoa(p.ExitCode)
		if !p.ExitKnown {
			code = "?"
		}
		return strings.TrimSpace(fmt.Sprintf("Exited (%s) %s", code, Since(p.Finished, now)))
	case "removing":
		return "Removal In Progress"
	case "created":
		return "Created"
	case "dead":
		return "Dead"
	default:
		return status
	}
}

func healthText(h api.Health) string {
	switch h {
	case api.HealthNone:
		return ""
	case api.HealthStarting:
		return " (health: starting)"
	}
	return " (" + string(h) + ")"
}

// Ago is how long something has lasted, roughly, in docker's words: "2 hours".
func Ago(d time.Duration) string {
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

// Since is Ago in a sentence: "2 hours ago". The zero time has no such.
func Since(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return Ago(now.Sub(t)) + " ago"
}
