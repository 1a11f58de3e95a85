package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"podc.example/podc/internal/disk"
)

// overlayIn makes a folder with n layers, the lowest of which is 0, and each has a file of its own and one that all have.
func overlayIn(t *testing.T, dir string, n int) Overlay {
	t.Helper()
	o := Overlay{Diff: filepath.Join(dir, "diff"), Work: filepath.Join(dir, "work")}
	for i := n - 1; i >= 0; i-- {
		layer := filepath.Join(dir, strconv.Itoa(i))
		err := errors.Join(os.MkdirAll(layer, 0o755), os.WriteFile(filepath.Join(layer, "all"), fmt.Append(nil, i), 0o644),
			os.WriteFile(filepath.Join(layer, fmt.Sprint("file", i)), nil, 0o644))
		if err != nil {
			t.Fatal(err)
		}
		o.Layers = append(o.Layers, layer)
	}
	if err := errors.Join(os.Mkdir(o.Diff, 0o755), os.Mkdir(o.Work, 0o755)); err != nil {
		t.Fatal(err)
	}
	return o
}

// Every kernel gets the same root filesystem, whichever way it is mounted.
func TestOverlaysOfNewAndOldKernels(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	ways := map[string]func(Overlay, string) error{"as this kernel takes it": mountOverlay, "one string": Overlay.mountByOptions}
	if layersOneByOne() {
		ways["one by one"] = Overlay.mountByContext
	}
	for way, mount := range ways {
		for _, tt := range []struct {
			what, dir string
			layers    int
			context   bool // a file system context takes it
		}{
			{"one layer", "plain", 1, true},
			{"as many layers as the kernel takes", "many", maxLayers, true},
			{"signs that options are made of", `a,b:c=d e`, 3, true},
			{"marks of a user's", "user", 3, true},
			{"escapes", `back\slash\:`, 3, false},
			{"a long path", strings.Repeat(strings.Repeat("x", 200)+"/", 4), 60, false},
		} {
			if way == "one by one" && !tt.context {
				continue
			}
			t.Run(way+"/"+tt.what, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), tt.dir)
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				o, target, image := overlayIn(t, dir, tt.layers), filepath.Join(dir, "merged"), filepath.Join(dir, "image")
				for _, d := range []string{target, image} {
					if err := os.Mkdir(d, 0o755); err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { disk.Unmount(d) })
				}
				o.UserXattrs = tt.dir == "user"
				if err := mount(o, target); err != nil {
					t.Fatal(err)
				}
				top, err := os.ReadFile(filepath.Join(target, "all"))
				_, lowest := os.Stat(filepath.Join(target, "file0"))
				written := os.WriteFile(filepath.Join(target, "new"), nil, 0o644)
				_, upper := os.Stat(filepath.Join(o.Diff, "new"))
				if string(top) != strconv.Itoa(tt.layers-1) || errors.Join(err, lowest, written, upper) != nil {
					t.Errorf("top %q: %v", top, errors.Join(err, lowest, written, upper))
				}
				if tt.layers == 1 {
					return
				}
				if err := mount(Overlay{Layers: o.Layers}, image); err != nil {
					t.Fatal(err)
				}
				if os.WriteFile(filepath.Join(image, "new"), nil, 0o644) == nil {
					t.Error("an image can be written to")
				}
			})
		}
	}
}

func TestTooManyLayersAreRefused(t *testing.T) {
	err := mountOverlay(Overlay{Layers: make([]string, maxLayers+1)}, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "501 layers") {
		t.Error(err)
	}
}
