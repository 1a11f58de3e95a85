package show

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"

	"podc.example/podc/internal/fault"
)

// This file and template.go print for every command that lists or inspects: tables, JSON, and Go templates, docker's way.

// Column is one column of a list: its header, and the field of a row that fills it.
type Column [2]string

// Layout is how a list of one kind of thing is printed. A row is a struct whose fields are named as in docker's JSON.
type Layout struct {
	Columns []Column          // of the table
	Headers map[string]string // of the fields that are no columns, for "table TEMPLATE"
}

// PrintList prints rows as docker prints its lists: a table, JSON (one object a line, unless asArray), or a Go template,
// with headers if it begins with "table ".
func PrintList[R any](w io.Writer, format string, l Layout, rows []R, asArray bool) error {
	switch {
	case format == "" || format == "table":
		return printTable(w, l, rows)
	case format == "raw":
		return fault.Invalid("--format raw is not available: use json, or a template")
	case format == "json" && asArray:
		if rows == nil {
			rows = []R{}
		}
		return encodeJSON(w, rows, "")
	case format == "json":
		for _, r := range rows {
			if err := encodeJSON(w, r, ""); err != nil {
				return err
			}
		}
		return nil
	}
	return printTemplate(w, format, l, rows)
}

func encodeJSON(w io.Writer, v any, indent string) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	return enc.Encode(v)
}

func printTable[R any](w io.Writer, l Layout, rows []R) error {
	tw := NewTable(w)
	var cells []string
	for _, c := range l.Columns {
		cells = append(cells, c[0])
	}
	fmt.Fprintln(tw, strings.Join(cells, "\t"))
	for _, r := range rows {
		cells = cells[:0]
		v := reflect.ValueOf(r)
		for _, c := range l.Columns {
			cells = append(cells, Printable(OneLine(fmt.Sprint(v.FieldByName(c[1])))))
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

// NewTable writes nothing before it is flushed, and then all at once.
func NewTable(w io.Writer) *table {
	b := bufio.NewWriterSize(w, 16<<10)
	return &table{tabwriter.NewWriter(b, 10, 1, 3, ' ', 0), b}
}

// table is a tabwriter, which writes cell by cell, with what gathers its cells.
type table struct {
	*tabwriter.Writer
	out *bufio.Writer
}

func (t *table) Flush() error { return errors.Join(t.Writer.Flush(), t.out.Flush()) }

// PrintInspect prints details as an indented JSON array, or each by a template.
func PrintInspect[T any](con *Console, format string, list []T) error {
	if format == "" || format == "json" {
		if list == nil {
			list = []T{}
		}
		return encodeJSON(con.Out, list, "    ")
	}
	t, err := ParseTemplate(format)
	if err != nil {
		return err
	}
	for _, item := range list {
		if err := renderDetails(con.Out, t, item); err != nil {
			return err
		}
	}
	return nil
}

// LabelSet is printed and marshalled as docker's lists have labels: "a=1,b=2".
type LabelSet map[string]string

func (l LabelSet) String() string {
	var kv []string
	for _, k := range slices.Sorted(maps.Keys(l)) {
		kv = append(kv, k+"="+l[k])
	}
	return strings.Join(kv, ",")
}

func (l LabelSet) MarshalText() ([]byte, error) { return []byte(l.String()), nil }
