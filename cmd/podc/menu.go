package main

import (
	"fmt"
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
func (s *session) wantsMenu() bool {
	if !s.con.inTTY || !s.con.outTTY || s.con.keyboard == nil {
		return false
	}
	if s.flags.IsSet("menu") {
		return s.flags.Bool("menu")
	}
	return s.con.env["COMPOSE_MENU"] == "" || s.con.isTrue("COMPOSE_MENU")
}

// openMenu begins to listen; a terminal that cannot be asked for keys, as in the background, is no reason to fail.
func (a *attachment) openMenu() (shut func()) {
	if !a.opt.menu {
		return func() {}
	}
	k, err := a.o.s.con.keyboard()
	if err != nil {
		return func() {}
	}
	a.keyboard = k
	fmt.Fprintln(a.o.s.con.err, menuText)
	return k.restore
}

// pressed does what a key asks for, and reports whether `up` ends without stopping anything.
func (a *attachment) pressed(key byte) (detach bool) {
	con := a.o.s.con
	switch key {
	case keyDetach:
		fmt.Fprintln(con.err, "detached; the containers run on")
		return true
	case keyWatch:
		fmt.Fprintln(con.err, "watching files is not available yet")
	case keySuspend:
		a.keyboard.suspend()
	case keyEnter:
		fmt.Fprintln(con.out)
	}
	return false
}
