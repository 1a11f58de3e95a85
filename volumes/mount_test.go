package volumes

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseMount(t *testing.T) {
	for _, tt := range []struct {
		o    string
		want mountCall
	}{
		{"", mountCall{}},
		{"defaults,rw", mountCall{}},
		{"bind,ro", mountCall{flags: unix.MS_BIND | unix.MS_RDONLY}},
		{"rbind,rslave", mountCall{flags: unix.MS_BIND | unix.MS_REC, propagation: unix.MS_SLAVE | unix.MS_REC}},
		{"ro,rw,noatime", mountCall{flags: unix.MS_NOATIME}},
		{"addr=10.0.0.1,nfsvers=4,ro,soft", mountCall{flags: unix.MS_RDONLY, data: "addr=10.0.0.1,nfsvers=4,soft"}},
		{"size=100m,uid=1000", mountCall{data: "size=100m,uid=1000"}},
		{"lowerdir=/a:/b,nosuid,", mountCall{flags: unix.MS_NOSUID, data: "lowerdir=/a:/b"}},
	} {
		tt.want.device, tt.want.kind = "d", "k"
		if got := parseMount(map[string]string{"device": "d", "type": "k", "o": tt.o}); got != tt.want {
			t.Errorf("%q is %+v, want %+v", tt.o, got, tt.want)
		}
	}
}

func TestServersAreNamedByAddress(t *testing.T) {
	for in, want := range map[string]string{"addr=localhost,soft": "addr=127.0.0.1,soft", "addr=::1": "addr=::1", "soft": "soft"} {
		m := mountCall{kind: "nfs4", data: in}
		if err := m.resolve(t.Context()); err != nil || m.data != want && m.data != "addr=::1,soft" {
			t.Errorf("%q becomes %q, %v", in, m.data, err)
		}
	}
	m := mountCall{kind: "ext4", data: "addr=localhost"}
	if err := m.resolve(t.Context()); err != nil || m.data != "addr=localhost" {
		t.Errorf("another file system's option becomes %q, %v", m.data, err)
	}
}

func TestCheckOptions(t *testing.T) {
	for _, o := range []map[string]string{
		{"size": "1g"}, {"type": "nfs"}, {"device": "/x"}, {"type": "none", "device": "relative", "o": "bind"}, {"type": "none", "device": "/x", "o": "bind,remount"},
	} {
		if CheckOptions(o) == nil {
			t.Errorf("%v is accepted", o)
		}
	}
	for _, o := range []map[string]string{nil, {"type": "none", "device": "/x", "o": "bind"}, {"type": "nfs", "device": ":/x", "o": "addr=a"}, {"type": "tmpfs", "device": "tmpfs"}} {
		if err := CheckOptions(o); err != nil {
			t.Errorf("%v: %v", o, err)
		}
	}
}

func FuzzParseMount(f *testing.F) {
	f.Add("bind,ro,addr=x")
	f.Fuzz(func(t *testing.T, o string) {
		m := parseMount(map[string]string{"o": o})
		again := parseMount(map[string]string{"o": m.data})
		if again.flags != 0 || again.propagation != 0 || again.data != m.data {
			t.Errorf("%q leaves %q, which is %+v", o, m.data, again)
		}
	})
}
