package show

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/project"
)

// LogStyle says how lines are rendered.
type LogStyle struct {
	Prefix     bool
	Color      bool
	Timestamps bool
	// clean strips what could harm a terminal from lines; colours stay where colour is wanted. Set it for the stream that
	// is a terminal.
	cleanOut, cleanErr bool
}

// LogPrinter writes lines of several containers with their names before them. It is safe for concurrent use; a line is
// never torn by another.
type LogPrinter struct {
	mu       sync.Mutex
	out, err io.Writer
	style    LogStyle
	names    map[string]logName // by pod
	width    int
	buf      []byte // what is to be written in one stroke
	warn     func(text string)
}

type logName struct {
	label string
	color int // index into logColors
	// prefix is rendered for a width.
	prefix string
	width  int
}

// logColors are the SGR codes that prefixes cycle through: cyan, yellow, green, magenta, blue, then their bold versions.
var logColors = []string{"36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1"}

func NewLogPrinter(c *Console, style LogStyle) *LogPrinter {
	style.cleanOut, style.cleanErr = c.OutTTY, c.ErrTTY
	return &LogPrinter{out: c.Out, err: c.Err, style: style, names: map[string]logName{}, warn: func(text string) { Warn(c, text) }}
}

// Output is where the lines of containers, each with its own prefix, go.
func (p *LogPrinter) Output() control.LogOutput {
	return control.LogOutput{Met: func(pods []api.Pod) { p.Add(LabelsOf(pods)) }, Lines: p.Lines, Warn: p.warn}
}

// Add makes containers known, so that their prefixes have one width and colours follow the order of names. Containers that
// appear later get the next colours.
func (p *LogPrinter) Add(labels map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var fresh []string
	for pod := range labels {
		if _, known := p.names[pod]; !known {
			fresh = append(fresh, pod)
		}
	}
	slices.SortFunc(fresh, func(a, b string) int { return strings.Compare(labels[a], labels[b]) })
	for _, pod := range fresh {
		p.names[pod] = logName{label: Printable(labels[pod]), color: len(p.names) % len(logColors)}
		p.width = max(p.width, len(labels[pod])+1)
	}
}

// Lines writes lines, each to the stream it came from, in few strokes.
func (p *LogPrinter) Lines(lines []control.Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, l := range lines {
		if i > 0 && l.Stderr != lines[i-1].Stderr {
			p.flush(lines[i-1].Stderr)
		}
		p.buf = append(p.buf, p.prefix(l.Pod)...)
		if p.style.Timestamps {
			p.buf = append(l.Time.UTC().AppendFormat(p.buf, stampFormat), ' ')
		}
		if clean := p.style.cleanOut; clean && !l.Stderr || p.style.cleanErr && l.Stderr {
			p.buf = append(p.buf, displayable(string(l.Text), p.style.Color)...)
		} else {
			p.buf = append(p.buf, l.Text...)
		}
		p.buf = append(p.buf, '\n')
	}
	if len(lines) > 0 {
		p.flush(lines[len(lines)-1].Stderr)
	}
}

func (p *LogPrinter) flush(stderr bool) {
	w := p.out
	if stderr {
		w = p.err
	}
	w.Write(p.buf)
	p.buf = p.buf[:0]
}

// Status writes what podc itself has to say about a container: "web-1 exited with code 0".
func (p *LogPrinter) Status(pod, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "%s %s\n", p.label(pod), message)
}

// stampFormat is RFC 3339 with all nine digits, so that columns line up.
const stampFormat = "2006-01-02T15:04:05.000000000Z"

func (p *LogPrinter) label(pod string) string {
	if n, ok := p.names[pod]; ok {
		return n.label
	}
	return Printable(pod)
}

// prefix is what stands before the lines of a pod.
func (p *LogPrinter) prefix(pod string) string {
	if !p.style.Prefix {
		return ""
	}
	n, known := p.names[pod]
	if known && n.prefix != "" && n.width == p.width {
		return n.prefix
	}
	s := fmt.Sprintf("%-*s | ", p.width, p.label(pod))
	if known && p.style.Color {
		s = "\x1b[" + logColors[n.color] + "m" + s + "\x1b[0m"
	}
	if known {
		n.prefix, n.width = s, p.width
		p.names[pod] = n
	}
	return s
}

// LabelsOf names pods as prefixes do: without their project, unless the name is one of their own.
func LabelsOf(pods []api.Pod) map[string]string {
	labels := map[string]string{}
	for _, p := range pods {
		labels[p.Spec.Name] = labelOf(p)
	}
	return labels
}

func labelOf(p api.Pod) string {
	l := p.Spec.Labels
	for _, sep := range []string{"-", "_"} {
		short := l[project.LabelService] + sep + l[project.LabelNumber]
		if p.Spec.Name == l[project.LabelProject]+sep+short {
			return short
		}
	}
	return p.Spec.Name
}
