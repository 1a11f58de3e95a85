package command

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"podc.example/podc/cli/show"
	"podc.example/podc/project"
)

// Manager is systemd where podc is a command of a unit, which systemd ends if it is not done in time. How long containers take only
// podc knows: it asks for time with each thing that it begins, all of which have bounds of their own. So a long wait is no fault, and
// a podc that hangs is ended nevertheless. It also says what it waits for (systemctl status). Without a unit it tells nobody.
type Manager struct {
	con    *show.Console
	socket string

	mu       sync.Mutex // protects what follows
	underWay []string   // IDs of steps
	failed   bool
}

// planTime is what podc asks for beyond the bound of what it has begun: between two things it looks and plans.
const planTime = 2 * time.Minute

// ManagerOf takes systemd's socket out of the environment: what podc starts would tell systemd about itself in podc's name.
func ManagerOf(con *show.Console) *Manager {
	const variable = "NOTIFY_SOCKET"
	m := &Manager{con: con, socket: con.Env[variable]}
	delete(con.Env, variable)
	os.Unsetenv(variable)
	return m
}

// Hear tells of a piece of progress.
func (m *Manager) Hear(e project.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case e.Step != nil:
		m.underWay = slices.DeleteFunc(m.underWay, func(id string) bool { return id == e.Step.Key.String() })
		if e.Kind == project.StepBegan {
			m.underWay = append(m.underWay, e.Step.Key.String())
		}
		m.tell(atMost(5, m.underWay), e.Patience)
	case e.Text != "":
		m.tell(e.Text, e.Patience)
	}
}

// Wait tells of something that takes no longer than patience.
func (m *Manager) Wait(what string, patience time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tell(what, patience)
}

// tell asks systemd for time (sd_notify(3)); what was asked for before and ends later stays.
func (m *Manager) tell(status string, patience time.Duration) {
	if m.socket == "" {
		return
	}
	err := sendTo(m.socket, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d\nSTATUS=%s\n", (patience+planTime).Microseconds(), show.OneLine(show.Printable(status))))
	if err != nil && !m.failed {
		show.Warn(m.con, fmt.Sprintf("cannot tell systemd how long containers take, for which it may not wait then: %v", err))
	}
	m.failed = err != nil
}

// sendPatience bounds the wait for a systemd that does not read what it is told.
const sendPatience = 5 * time.Second

// sendTo sends a datagram to a socket in a folder, or an abstract one if its name begins with "@".
func sendTo(socket, text string) error {
	c, err := net.Dial("unixgram", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(sendPatience)); err != nil {
		return err
	}
	_, err = c.Write([]byte(text))
	return err
}

// atMost lists the first n of names and counts the others.
func atMost(n int, names []string) string {
	if len(names) > n {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
	}
	return strings.Join(names, ", ")
}
