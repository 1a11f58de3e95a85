package archive

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// pipeSize is what a pipe holds, in bytes: enough for both of its ends to be at work most of the time.
const pipeSize = 1 << 20

// Pipe connects who writes a stream with who reads it, and returns what went wrong first.
func Pipe(write func(io.Writer) error, read func(io.Reader) error) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, pipeSize) // as much as is allowed
	written := make(chan error, 1)
	go func() {
		err := write(w)
		written <- errors.Join(err, w.Close())
	}()
	err = read(r)
	if err == nil {
		_, err = io.Copy(io.Discard, r) // what follows the end of the archive is padding
	}
	r.Close()
	if werr := <-written; werr != nil && !errors.Is(werr, unix.EPIPE) {
		return werr // without it the reader has seen a stream that breaks off
	}
	return err
}
