package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// things are objects of the host that a container engine makes, as one sorts them: "link veth0", "mount /x".
type things map[string]bool

// census lists what exists on the host now of a stack: links, firewall tables and cgroups that carry the id of its root, and
// processes, mounts, leases and files that mention its folders. It uses nothing of podc but the rule of the id.
func census(s *stack) things {
	c := things{}
	for _, kind := range []func(*stack, things){links, tables, cgroups, mounts, processes, remains} {
		kind(s, c)
	}
	return c
}

func (c things) minus(before things) []string {
	var list []string
	for thing := range c {
		if !before[thing] {
			list = append(list, thing)
		}
	}
	sort.Strings(list)
	return list
}

// id is what every host-global name of the stack's root carries: the beginning of the SHA-256 of its path.
func (s *stack) id() string {
	sum := sha256.Sum256([]byte(s.root))
	return hex.EncodeToString(sum[:4])
}

func links(s *stack, c things) {
	entries, _ := os.ReadDir("/sys/class/net")
	for _, e := range entries {
		if strings.Contains(e.Name(), s.id()) {
			c["link "+e.Name()] = true
		}
	}
}

func tables(s *stack, c things) {
	out, err := exec.Command("nft", "list", "tables").Output()
	if err != nil {
		return // no nft, or no nf_tables in the kernel
	}
	for line := range bytes.Lines(out) {
		if bytes.Contains(line, []byte(s.id())) {
			c["nft "+string(bytes.TrimSpace(line))] = true
		}
	}
}

func cgroups(s *stack, c things) {
	for _, above := range []string{"", "*", "podc.slice/*"} {
		dirs, _ := filepath.Glob(filepath.Join("/sys/fs/cgroup", above, "podc-"+s.id()))
		for _, d := range dirs {
			c["cgroup "+d] = true
		}
	}
}

func mounts(s *stack, c things) {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, filepath.Dir(s.root)) {
			c["mount "+strings.Fields(line)[4]] = true
		}
	}
}

func processes(s *stack, c things) {
	for pid, args := range commandLines() {
		if line := strings.Join(args, " "); strings.Contains(line, filepath.Dir(s.root)) {
			c["process "+strconv.Itoa(pid)+" "+line] = true
		}
	}
}

// commandLines maps every process of the host to its arguments.
func commandLines() map[int][]string {
	entries, _ := os.ReadDir("/proc")
	lines := map[int][]string{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if b, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")); err == nil && len(b) > 0 {
			lines[pid] = strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
		}
	}
	return lines
}

// pidsWith lists the processes of a program that have all of args among their arguments.
func pidsWith(program string, args ...string) []int {
	var pids []int
	for pid, line := range commandLines() {
		if filepath.Base(line[0]) != program {
			continue
		}
		all := true
		for _, a := range args {
			all = all && slices.Contains(line, a)
		}
		if all {
			pids = append(pids, pid)
		}
	}
	return pids
}

// remains lists files of the roots that mean something alive: sockets, leases, records. Lock files and caches mean nothing.
func remains(s *stack, c things) {
	for _, root := range []string{s.root, s.run} {
		filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			rel, _ := filepath.Rel(root, path)
			switch first, _, _ := strings.Cut(rel, string(filepath.Separator)); {
			case d.Type()&os.ModeSocket != 0:
				c["socket "+path] = true
			case first == "pods" && rel != "pods", first == "exits" && rel != "exits", first == "monitors" && rel != "monitors",
				first == "trash", first == "volumes" && rel != "volumes", first == "networks" && rel != "networks":
				c["file "+path] = true
			case first == "net" && (strings.Contains(rel, "leases/") || strings.Contains(rel, "attachments/") || strings.Contains(rel, "names/")) && !d.IsDir():
				c["file "+path] = true
			}
			return nil
		})
	}
}
