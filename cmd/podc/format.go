package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"text/template"
)

// column is one column of a list: its header, and the field of a row that fills it.
type column struct{ header, field string }

// layout is how a list of one kind of thing is printed.
type layout struct {
	columns []column // of the table
	headers map[string]string
}

// fields is a row: its values by field, as JSON and templates name them.
type fields interface {
	// field returns the text of one field.
	field(name string) string
}

// printList prints rows as docker prints its lists: a table, JSON (one object a line, unless asArray), or a Go template,
// with headers if it begins with "table ".
func printList[R fields](w io.Writer, format string, l layout, rows []R, asArray bool) error {
	switch {
	case format == "" || format == "table":
		return printTable(w, l, rows)
	case format == "json" && asArray:
		if rows == nil {
			rows = []R{}
		}
		return json.NewEncoder(w).Encode(rows)
	case format == "json":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for _, r := range rows {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	return printTemplate(w, format, l, rows)
}

func printTable[R fields](w io.Writer, l layout, rows []R) error {
	tw := newTable(w)
	var cells []string
	for _, c := range l.columns {
		cells = append(cells, c.header)
	}
	fmt.Fprintln(tw, strings.Join(cells, "\t"))
	for _, r := range rows {
		cells = cells[:0]
		for _, c := range l.columns {
			cells = append(cells, printable(oneLine(r.field(c.field))))
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 10, 1, 3, ' ', 0) }

// printTemplate prints rows by a Go template.
func printTemplate[R fields](w io.Writer, format string, l layout, rows []R) error {
	body, asTable := strings.CutPrefix(format, "table ")
	t, err := parseTemplate(body)
	if err != nil {
		return err
	}
	out := io.Writer(w)
	if asTable {
		tw := newTable(w)
		defer tw.Flush()
		out = tw
		if err := render(out, t, l.headerRow()); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if err := render(out, t, r); err != nil {
			return err
		}
	}
	return nil
}

func parseTemplate(format string) (*template.Template, error) {
	format = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(strings.TrimSpace(format))
	t, err := template.New("format").Funcs(templateFuncs).Parse(format)
	if err != nil {
		return nil, usage("cannot read --format: %v", err)
	}
	return t, nil
}

func render(w io.Writer, t *template.Template, data any) error {
	if err := t.Execute(w, data); err != nil {
		return usage("cannot apply --format: %v", err)
	}
	_, err := fmt.Fprintln(w)
	return err
}

// headings stands in for a row in the line of headers of a "table" template: every field is its header.
type headings map[string]string

// Label is the header of {{.Label "key"}}, docker's way.
func (headings) Label(key string) string {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		key = key[i+1:]
	}
	return strings.ReplaceAll(key, "-", " ")
}

func (l layout) headerRow() headings {
	h := headings{}
	for _, c := range l.columns {
		h[c.field] = c.header
	}
	for field, header := range l.headers {
		h[field] = header
	}
	return h
}

// templateFuncs are docker's functions for --format. None of them runs anything or touches files.
var templateFuncs = template.FuncMap{
	"json": func(v any) (string, error) {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		err := enc.Encode(v)
		return strings.TrimSuffix(b.String(), "\n"), err
	},
	"split": strings.Split,
	"join":  func(parts []string, sep string) string { return strings.Join(parts, sep) },
	"lower": strings.ToLower,
	"upper": strings.ToUpper,
	"title": func(s string) string {
		if s == "" {
			return s
		}
		return strings.ToUpper(s[:1]) + s[1:]
	},
	"pad": func(s string, before, after int) string {
		return strings.Repeat(" ", clampPad(before)) + s + strings.Repeat(" ", clampPad(after))
	},
	"truncate": func(s string, n int) string {
		if n < 0 {
			return s
		}
		return clipBytes(s, n)
	},
	"println": fmt.Sprintln,
}

// clampPad keeps a template from asking for more space than any line has.
func clampPad(n int) int { return min(max(n, 0), 1000) }

func clipBytes(s string, n int) string {
	r := []rune(s)
	return string(r[:min(n, len(r))])
}
