package netstack

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"podc.example/podc/netstack/lease"
)

// files says where the files of a Stack are, all named here.
type files struct{ data, run string } // the data root, and the network's folder in the run root

func (f files) runPath(elem ...string) string {
	return filepath.Join(append([]string{f.run}, elem...)...)
}
func (f files) networksDir() string { return filepath.Join(f.data, "networks") }
func (f files) conflistPath(network string) string {
	return filepath.Join(f.networksDir(), network+".conflist")
}
func (f files) attachmentsDir() string             { return f.runPath("attachments") }
func (f files) recordPath(id string) string        { return f.runPath("attachments", id+".json") }
func (f files) leasesDir() string                  { return f.runPath("leases") }
func (f files) leases(network string) lease.Folder { return lease.Folder(f.runPath("leases", network)) }
func (f files) cniCacheDir() string                { return f.runPath("cni") }

// cachedResult is libcni's file about one interface.
func (f files) cachedResult(network, id, ifname string) string {
	return f.runPath("cni", "results", network+"-"+id+"-"+ifname)
}

// NamesDir is the folder that holds one folder of name records per network; see NameRecord.
func (f files) NamesDir() string               { return f.runPath("names") }
func (f files) namesDir(network string) string { return f.runPath("names", network) }
func (f files) nameFile(network, id string) string {
	return f.runPath("names", network, id+".json")
}

// listDir returns the names in dir that end in suffix, sorted and without it, but for those that begin with a dot (files being
// written do); a missing folder is empty.
func listDir(dir, suffix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	return names, err
}

// temps finds temporary files of internal/disk: ".tmp-<file>-<random>".
func (f files) temps(networks []string) map[string]string {
	found := map[string]string{}
	look := func(dir, suffix string) {
		paths, _ := filepath.Glob(filepath.Join(dir, ".tmp-*"))
		for _, p := range paths {
			id, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(p), ".tmp-"), suffix)
			found[p] = id
		}
	}
	look(f.attachmentsDir(), ".json-")
	for _, n := range networks {
		look(f.namesDir(n), ".json-")
	}
	paths, _ := filepath.Glob(filepath.Join(f.networksDir(), ".tmp-*"))
	for _, p := range paths { // written under the net lock only
		found[p] = ""
	}
	return found
}
