package show

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Keyboard is the terminal behind the standard input, giving each key as it is pressed. Ctrl-C stays a signal.
type Keyboard struct {
	Keys    <-chan byte // closed when the terminal goes
	Suspend func()      // stops podc as Ctrl-Z does, and returns when it goes on
	Restore func()      // makes the terminal what it was
}

// openKeyboard has a terminal give single keys without showing them. It is an error if podc is not in its foreground, where
// touching it would stop podc.
func openKeyboard(f *os.File) (*Keyboard, error) {
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || group != unix.Getpgrp() {
		return nil, errors.Join(err, errors.New("podc is in the background"))
	}
	single := *before
	single.Lflag &^= unix.ICANON | unix.ECHO
	single.Cc[unix.VMIN], single.Cc[unix.VTIME], single.Cc[unix.VSUSP] = 1, 0, 0 // Ctrl-Z comes as a key: the terminal has to be restored first
	set := func(t *unix.Termios) func() { return func() { unix.IoctlSetTermios(fd, unix.TCSETS, t) } }
	begin, restore := set(&single), set(before)
	begin()
	keys := make(chan byte)
	go func() {
		defer close(keys)
		var b [1]byte
		for {
			if n, err := f.Read(b[:]); n == 0 || err != nil {
				return
			}
			keys <- b[0]
		}
	}()
	suspend := func() {
		restore()
		continued := make(chan os.Signal, 1)
		signal.Notify(continued, syscall.SIGCONT)
		defer signal.Stop(continued)
		unix.Kill(0, syscall.SIGSTOP) // the whole job, as the terminal would
		<-continued                   // another thread may be the one that takes the stop
		begin()
	}
	return &Keyboard{keys, suspend, restore}, nil
}
