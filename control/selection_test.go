package control

import "testing"

func TestFilters(t *testing.T) {
	f := Filters{"label": {"a", "b=1"}, "label!": {"gone"}, "driver": {"x", "y"}, "name": {"^shop", "b$"}, "dangling": {"true"}}
	for _, tt := range []struct {
		labels map[string]string
		want   bool
	}{
		{map[string]string{"a": "", "b": "1"}, true},
		{map[string]string{"a": "", "b": "2"}, false},
		{map[string]string{"b": "1"}, false},
		{map[string]string{"a": "", "b": "1", "gone": ""}, false},
	} {
		if got := f.Labelled(tt.labels); got != tt.want {
			t.Errorf("%v: %t", tt.labels, got)
		}
	}
	if !f.Is("driver", "y") || f.Is("driver", "z") || !f.Is("scope", "local") {
		t.Error("one of the values of a key has to match; a key that is not given holds")
	}
	named, err := f.Matches("name")
	if err != nil || !named("shop-1") || !named("b") || named("other") || named("my-shop") {
		t.Error("names", err)
	}
	dangling, err := f.Toggle("dangling")
	if err != nil || !dangling(true) || dangling(false) {
		t.Error("dangling", err)
	}
	if _, err := (Filters{"name": {"("}}).Matches("name"); err == nil {
		t.Error("a bad expression is not refused")
	}
	if _, err := (Filters{"dangling": {"perhaps"}}).Toggle("dangling"); err == nil {
		t.Error("a bad value is not refused")
	}
	if err := (Filters{"type": {"custom", "odd"}}).Among("type", "custom"); err == nil {
		t.Error("an unknown value is not refused")
	}
}
