package commit

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

func TestChangesOfACommit(t *testing.T) {
	c := Config{Env: []string{"A=1", "PATH=/bin"}, WorkingDir: "/srv", Cmd: []string{"old"}, OnBuild: []string{"RUN a"}}
	err := c.Change([]string{
		`CMD ["serve", "--all"]`, `env A=2 B="two words" C=x\ y`, `ENV D the rest`, `EXPOSE 80 53/UDP`, `LABEL team=shop "a b"=c`, `USER app:app`,
		`VOLUME ["/data", "/more"]`, `VOLUME /third`, `WORKDIR sub`, `ONBUILD RUN b`, `STOPSIGNAL SIGINT`, `HEALTHCHECK --interval=5s --retries=2 CMD curl localhost`,
	})
	want := `{"User":"app:app","ExposedPorts":{"53/udp":{},"80/tcp":{}},"Env":["A=2","PATH=/bin","B=two words","C=x y","D=the rest"],"Cmd":["serve","--all"],` +
		`"Volumes":{"/data":{},"/more":{},"/third":{}},"WorkingDir":"/srv/sub","Labels":{"a b":"c","team":"shop"},"StopSignal":"SIGINT",` +
		`"Healthcheck":{"Test":["CMD-SHELL","curl localhost"],"Interval":5000000000,"Retries":2},"OnBuild":["RUN a","RUN b"]}`
	if got, _ := json.Marshal(c); err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	c = Config{Cmd: []string{"old"}}
	if err := c.Change([]string{`ENTRYPOINT run it`, `HEALTHCHECK NONE`}); err != nil || len(c.Cmd) != 0 || len(c.Entrypoint) != 3 || c.Entrypoint[2] != "run it" || c.Healthcheck.Test[0] != "NONE" {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, bad := range []string{`RUN rm -rf /`, `COPY a b`, `CMD`, `ENV`, `ENV A`, `ENV A=1 "B`, `ENV =1`, `EXPOSE http`, `EXPOSE 0`, `VOLUME data`, `STOPSIGNAL NOPE`,
		`HEALTHCHECK`, `HEALTHCHECK --often CMD x`, `HEALTHCHECK --interval=x CMD x`, `HEALTHCHECK CMD`, ``,
		"ENV A=\x1b[31m", "ENV A 1\a", "ENV A\x1b=1", "LABEL \x1b=1", "LABEL a=1 b='\x7f'", "USER \x1b", "WORKDIR /\a", "CMD \x1b"} {
		before := Config{User: "u"}
		if err := before.Change([]string{`USER other`, bad}); !errdefs.IsInvalidArgument(err) || before.User != "u" {
			t.Errorf("%q: %v, the user is %s", bad, err, before.User)
		}
	}
}

func TestTheConfigOfACommitIsThatOfTheContainer(t *testing.T) {
	p := api.Pod{Image: api.Image{Config: api.ImageConfig{
		Env: []string{"A=image", "B=image"}, Entrypoint: []string{"entry"}, Cmd: []string{"cmd"}, User: "app", Volumes: []string{"/data"}, ExposedPorts: []string{"80/tcp"},
		Labels: map[string]string{"from": "image"}, Health: &api.HealthCheck{Test: []string{"CMD", "probe"}},
	}}}
	p.Spec.Labels = map[string]string{"own": "x", "team": "shop"}
	p.Spec.Container.Env = []string{"B=spec"}
	p.Spec.Container.Command = []string{"other"}
	p.Spec.Container.Health = &api.HealthCheck{Interval: time.Second}
	p.Spec.Network.Ports = []api.Port{{Container: 53, Protocol: "udp"}}
	got, _ := json.Marshal(Of(p, func(label string) bool { return label == "own" }))
	want := `{"User":"app","ExposedPorts":{"53/udp":{},"80/tcp":{}},"Env":["A=image","B=spec"],"Entrypoint":["entry"],"Cmd":["other"],"Volumes":{"/data":{}},` +
		`"Labels":{"from":"image","team":"shop"},"Healthcheck":{"Test":["CMD","probe"],"Interval":1000000000}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p.Spec.Container.Entrypoint, p.Spec.Container.Command = []string{"mine"}, nil
	if c := Of(p, func(string) bool { return false }); len(c.Cmd) != 0 || c.Entrypoint[0] != "mine" {
		t.Errorf("got %+v", c)
	}
}

func FuzzChange(f *testing.F) {
	for _, s := range []string{`ENV A=1`, `LABEL "a`, `HEALTHCHECK --interval=1s CMD ["x"]`, `VOLUME [`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var c Config
		c.Change([]string{s})
	})
}
