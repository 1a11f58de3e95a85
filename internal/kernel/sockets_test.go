package kernel

import "testing"

func FuzzSocket(f *testing.F) {
	f.Add("   0: 0100007F:1B58 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0000000000000000 100 0 0 10 0")
	f.Add("   1: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 07 0:0 0:0 0 0 0 99 1 0")
	f.Fuzz(func(t *testing.T, line string) {
		if s, ok := parseSocket(line); ok && !s.Addr.IsValid() {
			t.Errorf("%+v", s)
		}
	})
}
