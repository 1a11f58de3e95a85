package conmon

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/kernel"
)

// Who looks at what a program has said and nobody has read must not let it go on.
func TestUnreadWordsStayUnread(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	size, err := unix.FcntlInt(w.Fd(), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	said := append(bytes.Repeat([]byte("more\n"), size/5), "the last words of all\n"...)
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		w.Write(said)
	}()
	queued := func() int {
		n, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for queued() < size/5*5 { // until the writer waits
	}
	before := queued()
	if got := unread(kernel.FDPath(int(r.Fd()))); !strings.Contains(got, "more\nmore\n") {
		t.Errorf("%q", got)
	}
	if now := queued(); now != before {
		t.Errorf("of %d bytes %d are left", before, now)
	}
	r.Close()
	<-wrote
}
