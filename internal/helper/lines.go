package helper

import "bytes"

// Lines cuts what is written to it into lines. A line longer than 1 MiB is cut.
type Lines struct {
	Each func(line []byte)
	buf  []byte
}

func (w *Lines) Write(b []byte) (int, error) {
	w.buf = append(w.buf, b...)
	for {
		i := bytes.IndexByte(w.buf, '\n')
		if i < 0 && len(w.buf) < 1<<20 {
			return len(b), nil
		}
		if i < 0 {
			w.Flush()
			return len(b), nil
		}
		w.Each(w.buf[:i])
		w.buf = w.buf[i+1:]
	}
}

// Flush ends the last line.
func (w *Lines) Flush() {
	if len(w.buf) > 0 {
		w.Each(w.buf)
		w.buf = nil
	}
}
