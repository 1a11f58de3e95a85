package child

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// leak opens a descriptor as a careless caller leaves it to its children.
func leak(t *testing.T) int {
	t.Helper()
	fd, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func inherited(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.FD_CLOEXEC == 0
}

func TestAChildGetsNothingButWhatItsCommandNames(t *testing.T) {
	leaked := leak(t)
	if !inherited(t, leaked) {
		t.Fatal("it is sealed from the start")
	}
	given, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer given.Close()
	cmd := Command(t.Context(), "/bin/sh", "-c", "for f in /proc/$$/fd/*; do echo ${f##*/}; done")
	cmd.ExtraFiles = []*os.File{given}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(out))
	if !slices.Contains(got, "3") || leaked != 3 && slices.Contains(got, strconv.Itoa(leaked)) {
		t.Errorf("it has %v; 3 was given and %d leaked", got, leaked)
	}
}

func TestSealEach(t *testing.T) {
	leaked := leak(t)
	sealEach()
	if inherited(t, leaked) {
		t.Error("it is inherited")
	}
}

// TestBecome runs itself as the process that becomes another.
func TestBecome(t *testing.T) {
	if os.Getenv("PODC_TEST_BECOME") == "1" {
		leak(t)
		file, err := os.Open("/proc/version")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-c", "for f in /proc/$$/fd/*; do echo $(readlink $f); done; echo only $ENV_OF_IT")
		cmd.Env, cmd.ExtraFiles = []string{"ENV_OF_IT=this", "PATH=/usr/bin:/bin"}, []*os.File{file}
		t.Fatal(Become(cmd))
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestBecome$")
	cmd.Env = append(os.Environ(), "PODC_TEST_BECOME=1")
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || !slices.Contains(lines, "/proc/version") || slices.Contains(lines, "/") || lines[len(lines)-1] != "only this" {
		t.Errorf("it has %q, %v", lines, err)
	}
}
