package archive

import (
	"archive/tar"
	"strings"
	"testing"
)

// Headers that Go's own writer does not write.
func TestEntriesThatNoFileHasAreRefused(t *testing.T) {
	long := strings.Repeat("n", 256)
	for what, c := range map[string]struct {
		h    tar.Header
		text string
	}{
		"an owner that means nobody":    {tar.Header{Name: "f", Uid: 1<<32 - 1}, "4294967295 is not between"},
		"an owner that wraps to root":   {tar.Header{Name: "f", Uid: 1 << 40}, "1099511627776 is not between"},
		"a group that wraps":            {tar.Header{Name: "f", Gid: 1 << 40}, "is not between"},
		"an owner below all":            {tar.Header{Name: "f", Uid: -1}, "-1 is not between"},
		"a long name":                   {tar.Header{Name: long}, "255 bytes"},
		"a long link":                   {tar.Header{Name: "f", Typeflag: tar.TypeSymlink, Linkname: "a/" + long}, "255 bytes"},
		"a long path":                   {tar.Header{Name: strings.Repeat("p/", 3000)}, "4095 bytes"},
		"a very long path":              {tar.Header{Name: strings.Repeat("p/", 300_000)}, "4095 bytes"},
		"a hole":                        {tar.Header{Name: "f", Size: 1 << 62, PAXRecords: map[string]string{"GNU.sparse.major": "1"}}, "sparse files"},
		"a hole of the first form":      {tar.Header{Name: "f", Size: 1 << 31, PAXRecords: map[string]string{"GNU.sparse.map": "0,0"}}, "sparse files"},
		"a hole in the form before PAX": {tar.Header{Name: "f", Size: 1 << 31, Typeflag: tar.TypeGNUSparse}, "sparse files"},
	} {
		u := &unpacker{}
		if err := u.check(&c.h); err == nil || !strings.Contains(err.Error(), c.text) || len(err.Error()) > 300 {
			t.Errorf("%s: %.300v", what, err)
		}
	}
	u := &unpacker{owner: &Owner{}}
	if err := u.check(&tar.Header{Name: "f", Uid: 1 << 40}); err != nil {
		t.Errorf("an owner that is not asked for: %v", err)
	}
	var holes Holes
	some := &tar.Header{Size: maxHoles/2 + 1, PAXRecords: map[string]string{"GNU.sparse.major": "1"}}
	if err := holes.Add(some); err != nil {
		t.Error(err)
	}
	if err := holes.Add(some); err == nil {
		t.Error("many holes are taken")
	}
}

func TestAStreamOfHeadersMeetsTheCheck(t *testing.T) {
	err := Inside(open(t, t.TempDir())).Unpack(t.Context(), streamOf(t, entry{regular(strings.Repeat("n", 300)), ""}), "/", nil)
	if err == nil || !strings.Contains(err.Error(), "255 bytes") {
		t.Error(err)
	}
}
