package project

import (
	"fmt"

	"podc.example/podc/cli/command"
)

// The keyboard menu of an attached `up`: single keys, while the output of containers goes on.

const (
	keyDetach  = 'd'
	keyWatch   = 'w'
	keySuspend = 'Z' - '@'
	keyEnter   = '\n'
	menuText   = "  d detach   Ctrl-C stop   Ctrl-Z suspend"
)

// wantsMenu reports whether an attached `up` listens to the keyboard: on a terminal, unless --menu or COMPOSE_MENU says no.
func wantsMenu(s *command.Session) bool {
	if !s.Con.InTTY || !s.Con.OutTTY || s.Con.Keyboard == nil {
		return false
	}
	if s.Flags.IsSet("menu") {
		return s.Flags.Bool("menu")
	}
	return s.Con.Env["COMPOSE_MENU"] == "" || s.Con.IsTrue("COMPOSE_MENU")
}

// openMenu begins to listen; a terminal that cannot be asked for keys, as in the background, is no reason to fail.
func (a *attachment) openMenu() (shut func()) {
	if !a.opt.menu {
		return func() {}
	}
	k, err := a.o.S.Con.Keyboard()
	if err != nil {
		return func() {}
	}
	a.keyboard = k
	fmt.Fprintln(a.o.S.Con.Err, menuText)
	return k.Restore
}

// pressed does what a key asks for, and reports whether `up` ends without stopping anything.
func (a *attachment) pressed(key byte) (detach bool) {
	con := a.o.S.Con
	switch key {
	case keyDetach:
		fmt.Fprintln(con.Err, "detached; the containers run on")
		return true
	case keyWatch:
		fmt.Fprintln(con.Err, "watching files is not available yet")
	case keySuspend:
		a.keyboard.Suspend()
	case keyEnter:
		fmt.Fprintln(con.Out)
	}
	return false
}
