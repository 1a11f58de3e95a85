package compose

import (
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/template"
)

func TestExpand(t *testing.T) {
	env := map[string]string{"A": "a", "EMPTY": "", "DOLLAR": "$A ${A}", "NL": "x\ny=z"}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for _, tt := range []struct{ in, want, err string }{
		{in: "plain", want: "plain"},
		{in: "$A-${A}_$A", want: "a-a_a"},
		{in: "$$A $${A}", want: "$A ${A}"},
		{in: "$", want: "$"},
		{in: "5$ $1", want: "5$ $1"},
		{in: "${UNSET}", want: ""},
		{in: "${A:-x}${EMPTY:-x}${EMPTY-x}${UNSET-x}", want: "axx"},
		{in: "${A:+y}${EMPTY:+y}${EMPTY+y}${UNSET+y}", want: "yy"},
		{in: "${A:?no}${EMPTY?no}", want: "a"},
		{in: "${UNSET:-${A}}", want: "a"},
		{in: "${UNSET:-${UNSET2:-${A:-b}}}c", want: "ac"},
		{in: `${UNSET:-{"k": "v"}}`, want: `{"k": "v"}`},
		{in: "${DOLLAR}", want: "$A ${A}"},
		{in: "${NL}", want: "x\ny=z"},
		{in: "${A-b:-c}", want: "a"},
		{in: "${UNSET:?set it}", err: "variable UNSET is required but not set: set it"},
		{in: "${EMPTY:?}", err: "variable EMPTY is required but not set"},
		{in: "${UNSET?because ${A}}", err: "variable UNSET is required but not set: because a"},
		{in: "${", err: errTemplate.Error()},
		{in: "${}", err: errTemplate.Error()},
		{in: "${A", err: errTemplate.Error()},
		{in: "${A b}", err: errTemplate.Error()},
		{in: "${A:}", err: errTemplate.Error()},
		{in: strings.Repeat("${U:-", 1000) + "x" + strings.Repeat("}", 1000), err: "variables nested more than 64 deep"},
	} {
		got, err := (&substitution{lookup: lookup}).expand(tt.in, 0)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%.40q: error %v, want %q", tt.in, err, tt.err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%q = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
}

// FuzzExpand compares with compose-go's template where both accept: the same text means the same everywhere.
func FuzzExpand(f *testing.F) {
	for _, s := range []string{"$A", "${A:-b}", "${B:-${A}}", "$$", "${A:?x}", "a${B+c}d", "${B:-{}}", "${"} {
		f.Add(s)
	}
	lookup := func(name string) (string, bool) {
		if name == "A" {
			return "value", true
		}
		return "", false
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := (&substitution{lookup: lookup}).expand(text, 0)
		if err != nil || strings.ContainsAny(text, "{}\n\u017f\u212a") && !simple(text) {
			return
		}
		want, werr := template.SubstituteWithOptions(text, lookup, template.WithoutLogging)
		if werr == nil && got != want {
			t.Errorf("%q = %q, compose-go says %q", text, got, want)
		}
	})
}

// simple keeps the comparison to texts where compose-go's brace counting has no quirks.
func simple(text string) bool {
	return strings.Count(text, "${") <= 1 && strings.Count(text, "{") == strings.Count(text, "${") &&
		strings.Count(text, "}") <= strings.Count(text, "{") && !strings.Contains(text, "$$") && !strings.ContainsAny(text, "\n\u017f\u212a")
}
