package local

import (
	"testing"

	"podc.example/podc/api"
)

func TestBuiltOn(t *testing.T) {
	base := api.Image{ID: "b", Layers: []string{"/2", "/1"}}
	for _, tt := range []struct {
		img  api.Image
		want bool
	}{
		{base, true},
		{api.Image{ID: "same layers", Layers: []string{"/2", "/1"}}, true},
		{api.Image{ID: "child", Layers: []string{"/3", "/2", "/1"}}, true},
		{api.Image{ID: "parent", Layers: []string{"/1"}}, false},
		{api.Image{ID: "sibling", Layers: []string{"/4", "/1"}}, false},
		{api.Image{ID: "no layers"}, false},
	} {
		if got := builtOn(tt.img, base); got != tt.want {
			t.Errorf("%s: %t", tt.img.ID, got)
		}
	}
	if builtOn(base, api.Image{ID: "scratch"}) {
		t.Error("an image without layers is everybody's ancestor")
	}
}

func TestPortRanges(t *testing.T) {
	for _, tt := range []struct {
		text     string
		port     uint16
		protocol string
		want     bool
	}{
		{"80", 80, "tcp", true}, {"80", 80, "udp", false}, {"80/udp", 80, "udp", true}, {"8000-8010/tcp", 8010, "tcp", true},
		{"8000-8010", 8011, "tcp", false},
	} {
		r, err := parsePortRange("publish", tt.text)
		if err != nil || r.holds(tt.port, tt.protocol) != tt.want {
			t.Errorf("%s, %d/%s: %v", tt.text, tt.port, tt.protocol, err)
		}
	}
	for _, bad := range []string{"", "x", "80-", "-80", "90-80", "70000", "80-x/tcp"} {
		if _, err := parsePortRange("publish", bad); err == nil {
			t.Errorf("%q is not refused", bad)
		}
	}
}

// FuzzPortRange: whatever is typed, a range holds what lies between its ends and nothing else.
func FuzzPortRange(f *testing.F) {
	for _, seed := range []string{"80", "80-90/udp", "-", "0-65535/tcp", "80/80/80"} {
		f.Add(seed, uint16(80))
	}
	f.Fuzz(func(t *testing.T, text string, port uint16) {
		r, err := parsePortRange("expose", text)
		if err != nil {
			return
		}
		if r.last < r.first || r.last > 65535 {
			t.Fatalf("%q is %v", text, r)
		}
		if got := r.holds(port, r.protocol); got != (uint64(port) >= r.first && uint64(port) <= r.last) {
			t.Fatalf("%q holds %d: %t", text, port, got)
		}
	})
}
