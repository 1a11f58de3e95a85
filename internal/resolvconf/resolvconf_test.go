package resolvconf

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# nameserver 192.0.2.9\nsearch old\nnameserver 192.0.2.1 # the first\nnameserver fe80::1%eth0\nnameserver none\nnameserver\n\tsearch a.test  b.test\noptions ndots:0\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Read(path)
	if got := fmt.Sprint(c.Servers, c.Search, err); got != "[192.0.2.1 fe80::1%eth0] [a.test b.test] <nil>" {
		t.Error(got)
	}
	if _, err := Read(path + ".none"); err == nil {
		t.Error("no error for a file that is not there")
	}
}
