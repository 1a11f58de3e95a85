package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"text/template"

	"podc.example/podc/internal/fault"
)

// printTemplate prints rows by a Go template.
func printTemplate[R any](w io.Writer, format string, l Layout, rows []R) error {
	body, asTable := format, false
	if rest, ok := strings.CutPrefix(format, "table"); ok && (strings.HasPrefix(rest, " ") || strings.HasPrefix(rest, "{{")) {
		body, asTable = rest, true
	}
	t, err := ParseTemplate(body)
	if err != nil {
		return err
	}
	out := io.Writer(w)
	if asTable {
		tw := NewTable(w)
		defer tw.Flush()
		out = tw
		heads, err := t.Clone()
		if err != nil {
			return err
		}
		if err := Render(out, heads.Funcs(headerFuncs()), l.headerRow()); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if err := Render(out, t, r); err != nil {
			return err
		}
	}
	return nil
}

func ParseTemplate(format string) (*template.Template, error) {
	format = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(strings.TrimSpace(format))
	t, err := template.New("format").Funcs(templateFuncs()).Parse(format)
	if err != nil {
		return nil, fault.Invalid("cannot read --format: %v", err)
	}
	return t, nil
}

func Render(w io.Writer, t *template.Template, data any) error {
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return fault.Invalid("cannot apply --format: %v", err)
	}
	_, err := fmt.Fprintln(w, shown(w, b.String()))
	return err
}

// shown is text that may come from elsewhere, as w is to have it: harmless on a terminal and in a table, as it is for programs.
func shown(w io.Writer, text string) string {
	f, isFile := w.(*os.File)
	_, isTable := w.(*table)
	if isTable || isFile && isTerminal(f) {
		return Printable(text)
	}
	return text
}

// renderDetails knows fields by their names in Go, and where that fails by those that JSON shows, as docker does: "{{.ID}}" and
// "{{.Id}}" are the same. A field that is missing is an error.
func renderDetails(w io.Writer, t *template.Template, item any) error {
	var b bytes.Buffer
	if Render(&b, t, item) != nil {
		named, err := asJSON(item)
		if err != nil {
			return err
		}
		b.Reset()
		if err := Render(&b, t.Option("missingkey=error"), named); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, shown(w, b.String()))
	return err
}

// asJSON is v as its JSON says.
func asJSON(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // or large numbers would show as 2.1e+06
	var out any
	err = dec.Decode(&out)
	return out, err
}

// headings stands in for a row in the line of headers of a "table" template: every field is its header.
type headings map[string]string

// Label is the header of {{.Label "key"}}, docker's way.
func (headings) Label(key string) string {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		key = key[i+1:]
	}
	return strings.NewReplacer("-", " ", "_", " ").Replace(key)
}

func (l Layout) headerRow() headings {
	h := headings{}
	for _, c := range l.Columns {
		h[c[1]] = c[0]
	}
	for field, header := range l.Headers {
		h[field] = header
	}
	return h
}

// templateFuncs are docker's functions for --format. None of them runs anything or touches files.
func templateFuncs() template.FuncMap {
	return template.FuncMap{
		"json": func(v any) (string, error) {
			var b strings.Builder
			err := encodeJSON(&b, v, "")
			return strings.TrimSuffix(b.String(), "\n"), err
		},
		"split": strings.Split,
		"join":  joinAny,
		"lower": strings.ToLower,
		"upper": strings.ToUpper,
		"title": func(s string) string {
			if s == "" {
				return s
			}
			return strings.ToUpper(s[:1]) + s[1:]
		},
		"pad": func(s string, before, after int) string {
			if s == "" {
				return s
			}
			return strings.Repeat(" ", clampPad(before)) + s + strings.Repeat(" ", clampPad(after))
		},
		"truncate": func(s string, n int) string {
			if n < 0 {
				return s
			}
			return clipRunes(s, n)
		},
		"println": fmt.Sprintln,
	}
}

// headerFuncs leave headers as they are where a function is about values.
func headerFuncs() template.FuncMap {
	same := func(v string) string { return v }
	return template.FuncMap{
		"json": same, "title": same, "lower": same, "upper": same,
		"join":     func(v, _ string) string { return v },
		"truncate": func(v string, _ int) string { return v },
	}
}

// joinAny joins the elements of any list, whatever they are.
func joinAny(list any, sep string) (string, error) {
	v := reflect.ValueOf(list)
	if !v.IsValid() {
		return "", nil
	}
	if v.Kind() != reflect.Slice && v.Kind() != reflect.Array {
		return "", fmt.Errorf("join: want a list, got %s", v.Kind())
	}
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = fmt.Sprint(v.Index(i).Interface())
	}
	return strings.Join(parts, sep), nil
}

// clampPad keeps a template from asking for more space than any line has.
func clampPad(n int) int { return min(max(n, 0), 1000) }

func clipRunes(s string, n int) string {
	r := []rune(s)
	return string(r[:min(n, len(r))])
}
