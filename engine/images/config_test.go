package images

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// wrap makes a config blob of the part that concerns containers.
func wrap(run string) string {
	return `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]},"config":` + run + `}`
}

func TestParseConfig(t *testing.T) {
	got, err := parseConfig([]byte(wrap(`{
		"User":"www-data:33","Env":["A=1","B=","C=x=y"],"Entrypoint":["/e"],"Cmd":["c"],"WorkingDir":"/app/",
		"ExposedPorts":{"80/tcp":{},"53":{},"9000-9002/UDP":{}},"Volumes":{"/data/":{},"/data":{},"/var":{}},
		"StopSignal":"SIGRTMIN+3","Labels":{"a":"b"},
		"Healthcheck":{"Test":["CMD","x"],"Interval":2000000000,"Retries":4}}`)))
	if err != nil {
		t.Fatal(err)
	}
	c := got.ImageConfig
	for _, is := range []struct{ got, want any }{
		{c.User, "www-data:33"}, {c.WorkingDir, "/app"}, {c.StopSignal, "SIGRTMIN+3"}, {c.OS, "linux"},
		{c.Volumes, []string{"/data", "/var"}},
		{c.ExposedPorts, []string{"53/tcp", "80/tcp", "9000/udp", "9001/udp", "9002/udp"}},
		{c.Health.Interval, 2 * time.Second}, {c.Health.Retries, 4}, {c.Env, []string{"A=1", "B=", "C=x=y"}},
	} {
		if !reflect.DeepEqual(is.got, is.want) {
			t.Errorf("got %v, want %v", is.got, is.want)
		}
	}
}

// TestParseConfigRefuses holds what images have been made to say.
func TestParseConfigRefuses(t *testing.T) {
	long := strings.Repeat("x", maxArgument)
	for key, runs := range map[string][]string{
		"Env":          {`{"Env":["FOO"]}`, `{"Env":["*"]}`, `{"Env":[""]}`, `{"Env":["=x"]}`, `{"Env":["A=\u0000"]}`},
		"WorkingDir":   {`{"WorkingDir":"app"}`, `{"WorkingDir":"/a/../b"}`, `{"WorkingDir":"/proc/self/fd/7"}`, `{"WorkingDir":"/\u0000"}`},
		"User":         {`{"User":"root\nx:0:0"}`, `{"User":"9999999999"}`, `{"User":"4294967295"}`, `{"User":"a:b:c"}`, `{"User":"99999999999999999999999"}`, `{"User":"a:"}`},
		"Entrypoint":   {`{"Entrypoint":["` + long + `"]}`},
		"Cmd":          {`{"Cmd":["\u0000"]}`},
		"Volumes":      {`{"Volumes":{"/":{}}}`, `{"Volumes":{"/proc/x":{}}}`, `{"Volumes":{"a":{}}}`, `{"Volumes":{"/a/../..":{}}}`},
		"ExposedPorts": {`{"ExposedPorts":{"0":{}}}`, `{"ExposedPorts":{"x/tcp":{}}}`, `{"ExposedPorts":{"70000/tcp":{}}}`, `{"ExposedPorts":{"5-1":{}}}`, `{"ExposedPorts":{"1-60000":{}}}`, `{"ExposedPorts":{"80/icmp":{}}}`},
		"StopSignal":   {`{"StopSignal":"999"}`, `{"StopSignal":"0"}`, `{"StopSignal":"-1"}`, `{"StopSignal":"SIGNOPE"}`},
		"Healthcheck":  {`{"Healthcheck":{"Interval":-1}}`, `{"Healthcheck":{"Timeout":5}}`, `{"Healthcheck":{"Retries":-1}}`, `{"Healthcheck":{"Test":["CMD"]}}`, `{"Healthcheck":{"Test":["RUN","x"]}}`, `{"Healthcheck":{"Test":["CMD-SHELL"]}}`},
		"config":       {`[]`, `{"Env":"A=1"}`, `{"Volumes":["/a"]}`, `{"Healthcheck":{"Interval":1.5}}`},
	} {
		for _, run := range runs {
			if got, err := parseConfig([]byte(wrap(run))); err == nil || !strings.Contains(err.Error(), key) {
				t.Errorf("%.80s: %+v %v", run, got, err)
			}
		}
	}
	for _, raw := range []string{"", "null null", `{"rootfs":{"diff_ids":["sha256:../../x"]}}`, `{"rootfs":{"diff_ids":["md5:00"]}}`} {
		if _, err := parseConfig([]byte(raw)); err == nil {
			t.Errorf("%q is accepted", raw)
		}
	}
}

// docker hands all words after CMD-SHELL to the shell: the first is the script, the others are its arguments.
func TestAShellProbeMayHaveArguments(t *testing.T) {
	c, err := parseConfig([]byte(wrap(`{"Healthcheck":{"Test":["CMD-SHELL","a","b"]}}`)))
	if err != nil || c.Health == nil || len(c.Health.Test) != 3 {
		t.Errorf("%+v %v", c, err)
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, run := range []string{`{}`, `{"Env":["A=1"],"User":"a:b","Volumes":{"/x":{}}}`, `{"ExposedPorts":{"1-10/udp":{}}}`,
		`{"Healthcheck":{"Test":["CMD","x"]},"StopSignal":"SIGRTMAX-1"}`, `{"WorkingDir":"//a/./b"}`} {
		f.Add([]byte(wrap(run)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := parseConfig(raw)
		if err != nil {
			return
		}
		for _, e := range c.Env {
			if strings.Index(e, "=") < 1 {
				t.Errorf("env %q", e)
			}
		}
		for _, p := range append(c.Volumes, c.WorkingDir) {
			if p != "" && (p[0] != '/' || strings.Contains(p, "/..") && !strings.Contains(p, "/...")) {
				t.Errorf("path %q", p)
			}
		}
		if len(c.ExposedPorts) > maxPorts {
			t.Errorf("%d ports", len(c.ExposedPorts))
		}
		if _, err := json.Marshal(c.ImageConfig); err != nil {
			t.Error(err)
		}
	})
}
