package show

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTemplatesOnATerminal: what a template shows may be a stranger's, such as a label of an image: on a terminal and in a table no
// escape sequence of it is printed, and for programs it is as it is.
func TestTemplatesOnATerminal(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer master.Close()
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	item := map[string]string{"Label": "\x1b]0;title\abad"}
	for name, print := range map[string]func() error{
		"a row": func() error { return printTemplate(terminal, "{{.Label}}", Layout{}, []map[string]string{item}) },
		"details": func() error {
			return PrintInspect(&Console{Out: terminal, OutTTY: true}, "{{.Label}}", []map[string]string{item})
		},
	} {
		if err := print(); err != nil {
			t.Fatal(name, err)
		}
		b := make([]byte, 100)
		n, err := master.Read(b)
		if got := strings.TrimSpace(string(b[:n])); err != nil || got != "bad" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	var program strings.Builder
	if err := printTemplate(&program, "{{.Label}}", Layout{}, []map[string]string{item}); err != nil || program.String() != item["Label"]+"\n" {
		t.Errorf("for programs: %q, %v", program.String(), err)
	}
}
