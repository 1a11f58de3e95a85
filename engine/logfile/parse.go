package logfile

import (
	"bytes"
	"errors"
	"io"
	"time"

	"podc.example/podc/api"
)

// conmon writes a container's output as records, one a line: "TIME STREAM TAG TEXT". The tag is F where TEXT ends a line of
// the container's and P where the line goes on in a later record of the same stream.

// maxLine is how much of a line is kept in memory; longer ones are passed on in pieces.
const maxLine = 1 << 20

const (
	stdout = "stdout"
	stderr = "stderr"
)

// record is one record; text points into the reader's buffer.
type record struct {
	time   time.Time
	stream string
	full   bool
	text   []byte
	junk   bool // not written by conmon: a torn write, a damaged file
}

// parseRecord reads a record without its newline. What is not one is kept as text of stdout, so that nothing is hidden.
func parseRecord(b []byte) record {
	junk := record{stream: stdout, full: true, text: bytes.TrimLeft(b, "\x00"), junk: true}
	stamp, rest, ok := bytes.Cut(b, []byte{' '})
	if !ok {
		return junk
	}
	stream, rest, ok := bytes.Cut(rest, []byte{' '})
	if !ok || len(rest) == 0 || len(rest) > 1 && rest[1] != ' ' {
		return junk
	}
	r := record{full: rest[0] == 'F', text: rest[min(2, len(rest)):]}
	switch string(stream) {
	case stdout:
		r.stream = stdout
	case stderr:
		r.stream = stderr
	default:
		return junk
	}
	if !r.full && rest[0] != 'P' {
		return junk
	}
	var err error
	if r.time, err = time.Parse(time.RFC3339Nano, string(stamp)); err != nil {
		return junk
	}
	return r
}

// lineJoiner makes lines of records, one open line per stream.
type lineJoiner struct {
	open [2]openLine
	last time.Time // stands in for the time that junk lacks
	out  func(api.LogLine) error
}

type openLine struct {
	time time.Time // of its last part so far
	text []byte
}

func (j *lineJoiner) add(r record) error {
	if r.junk {
		if len(r.text) == 0 {
			return nil
		}
		r.time = j.last
	}
	j.last = r.time
	o := &j.open[0]
	if r.stream == stderr {
		o = &j.open[1]
	}
	if len(o.text) == 0 && r.full {
		return j.out(api.LogLine{Time: r.time, Stream: r.stream, Text: r.text})
	}
	o.time = r.time
	o.text = append(o.text, r.text...)
	if !r.full && len(o.text) < maxLine {
		return nil
	}
	line := api.LogLine{Time: r.time, Stream: r.stream, Text: o.text, Partial: !r.full}
	o.text = o.text[:0]
	if cap(o.text) > 64<<10 && r.full {
		o.text = nil
	}
	return j.out(line)
}

// flush passes on the lines whose end has not been written.
func (j *lineJoiner) flush() error {
	for i, stream := range []string{stdout, stderr} {
		o := &j.open[i]
		if len(o.text) == 0 {
			continue
		}
		if err := j.out(api.LogLine{Time: o.time, Stream: stream, Text: o.text, Partial: true}); err != nil {
			return err
		}
		o.text = o.text[:0]
	}
	return nil
}

// recordReader cuts a growing file into records. Its memory is bounded: a record longer than the buffer comes in pieces.
type recordReader struct {
	r          io.Reader
	buf        []byte
	start, end int
	read       int64   // up to where in the file records were returned
	cut        *record // the head of a record that is being returned in pieces
}

const recordBuffer = 64 << 10

// next returns the next whole record, or io.EOF while there is none; more may be written later.
func (rr *recordReader) next() (record, error) {
	if rr.buf == nil {
		rr.buf = make([]byte, recordBuffer)
	}
	searched := 0
	for {
		if i := bytes.IndexByte(rr.buf[rr.start+searched:rr.end], '\n'); i >= 0 {
			return rr.take(searched+i, 1), nil
		}
		searched = rr.end - rr.start
		if searched == len(rr.buf) {
			r := rr.take(searched, 0)
			if rr.cut == nil {
				head := r
				rr.cut = &head
			}
			r.full = false
			return r, nil
		}
		if rr.start > 0 {
			copy(rr.buf, rr.buf[rr.start:rr.end])
			rr.start, rr.end = 0, searched
		}
		n, err := rr.r.Read(rr.buf[rr.end:])
		rr.end += n
		if n == 0 {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.EOF
			}
			return record{}, err
		}
	}
}

// forget drops what was read ahead.
func (rr *recordReader) forget() { rr.start = rr.end }

// rest returns what follows the last newline, once nothing more will be written.
func (rr *recordReader) rest() (record, bool) {
	if rr.start == rr.end {
		return record{}, false
	}
	return rr.take(rr.end-rr.start, 0), true
}

func (rr *recordReader) take(n, newline int) record {
	b := rr.buf[rr.start : rr.start+n]
	rr.start += n + newline
	rr.read += int64(n + newline)
	if rr.cut == nil {
		return parseRecord(b)
	}
	r := *rr.cut
	r.text = b
	if newline == 0 {
		r.full = false
	} else {
		rr.cut = nil
	}
	return r
}
