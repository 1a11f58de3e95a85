package project

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
	"podc.example/podc/project"
)

var psNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testPod(service, number string, change func(*api.Pod)) api.Pod {
	p := api.Pod{
		ID: strings.Repeat(number, 64), Created: psNow.Add(-3 * time.Hour), Status: api.StatusRunning, Started: psNow.Add(-2 * time.Hour),
		Spec: api.PodSpec{
			Name: "shop-" + service + "-" + number,
			Labels: map[string]string{project.LabelProject: "shop", project.LabelService: service, project.LabelNumber: number,
				project.LabelOneoff: "False"},
			Container: api.ContainerSpec{Image: service + ":1", Command: []string{"run", "--with", "many", "arguments"}},
		},
	}
	if change != nil {
		change(&p)
	}
	return p
}

func testPods() []api.Pod {
	return []api.Pod{
		testPod("db", "1", func(p *api.Pod) {
			p.Health = api.HealthHealthy
			p.Args, p.Exposed = []string{"db-server"}, []string{"5432/tcp"}
			p.Spec.Container.Mounts = []api.Mount{{Type: api.MountVolume, Source: "shop_data", Target: "/data"},
				{Type: api.MountVolume, Target: "/anon"}, {Type: api.MountTmpfs, Target: "/tmp"}}
			p.Volumes = map[string]string{"/data": "shop_data", "/anon": "abc"}
			p.Spec.Network.Endpoints = []api.Endpoint{{Network: "shop_back"}, {Network: "shop_default"}}
		}),
		testPod("job", "1", func(p *api.Pod) {
			p.Status, p.ExitCode, p.ExitKnown, p.Finished = api.StatusExited, 3, true, psNow.Add(-90*time.Second)
		}),
		testPod("lost", "1", func(p *api.Pod) { p.Status, p.Finished = api.StatusExited, psNow.Add(-time.Minute) }),
		testPod("new", "1", func(p *api.Pod) { p.Status, p.Spec.Container.Command = api.StatusCreated, nil }),
		testPod("old", "1", func(p *api.Pod) {
			p.Status, p.ExitCode, p.Finished = api.StatusRestarting, 1, psNow.Add(-5*time.Second)
		}),
		testPod("web", "1", func(p *api.Pod) {
			p.Health = api.HealthStarting
			p.Ports = []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}, {HostPort: 8081, Container: 81, Protocol: "tcp"},
				{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: 53, Container: 5353, Protocol: "udp"}}
		}),
	}
}

func runPs(t *testing.T, tg command.Target, opt psOptions) string {
	t.Helper()
	con, out, _ := show.BufferConsole()
	if err := printPods(con, selectPods(tg, testPods(), opt), opt, psNow); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPsTable(t *testing.T) {
	want := `NAME         IMAGE     COMMAND                  SERVICE   CREATED       STATUS                            PORTS
shop-db-1    db:1      "db-server"   db        3 hours ago   Up 2 hours (healthy)   5432/tcp
shop-job-1   job:1     "run --with many arg…"   job       3 hours ago   Exited (3) About a minute ago     
shop-lost-1  lost:1    "run --with many arg…"   lost      3 hours ago   Exited (?) About a minute ago     
shop-new-1   new:1     ""                       new       3 hours ago   Created                           
shop-old-1   old:1     "run --with many arg…"   old       3 hours ago   Restarting (1) 5 seconds ago      
shop-web-1   web:1     "run --with many arg…"   web       3 hours ago   Up 2 hours (health: starting)     0.0.0.0:8080-8081->80-81/tcp, 127.0.0.1:53->5353/udp
`
	got := runPs(t, command.Target{}, psOptions{all: true})
	// Only the words count here: widths are text/tabwriter's business.
	if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got\n%s", got)
	}
	lines := strings.Split(strings.TrimRight(got, "\n"), "\n")
	for _, l := range lines {
		if strings.Index(lines[0], "SERVICE") > len(l) {
			t.Errorf("columns do not line up:\n%s", got)
		}
	}
}

func TestPsSelection(t *testing.T) {
	model := command.Target{Modelled: true, Name: "shop", Known: []string{"db", "web"}}
	for _, tt := range []struct {
		name   string
		target command.Target
		opt    psOptions
		want   string
	}{
		{"running", command.Target{}, psOptions{names: true, orphans: true}, "db old web"},
		{"all", command.Target{}, psOptions{names: true, all: true, orphans: true}, "db job lost new old web"},
		{"status", command.Target{}, psOptions{names: true, statuses: []string{"exited", "created"}, orphans: true}, "job lost new"},
		{"service", command.Target{Services: []string{"job"}}, psOptions{names: true, all: true, orphans: true}, "job"},
		{"no orphans", model, psOptions{names: true}, "db web"},
		{"orphans", model, psOptions{names: true, orphans: true}, "db old web"},
		{"ids", command.Target{Services: []string{"web"}}, psOptions{quiet: true}, strings.Repeat("1", 64)},
	} {
		if got := strings.Join(strings.Fields(runPs(t, tt.target, tt.opt)), " "); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestPsJSON(t *testing.T) {
	out := runPs(t, command.Target{Services: []string{"db", "web"}}, psOptions{format: "json"})
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 {
		t.Fatalf("want one object a line: %s", out)
	}
	want := `{"Command":"\"run --with many arg…\"","CreatedAt":"2026-03-01 09:00:00 +0000 UTC","Engine":"","ExitCode":0,"Health":"starting",` +
		`"ID":"111111111111","Image":"web:1","Labels":"com.docker.compose.container-number=1,com.docker.compose.oneoff=False,` +
		`com.docker.compose.project=shop,com.docker.compose.service=web","LocalVolumes":"0","Mounts":"","Name":"shop-web-1",` +
		`"Names":"shop-web-1","Networks":"","Ports":"0.0.0.0:8080-8081->80-81/tcp, 127.0.0.1:53->5353/udp","Project":"shop",` +
		`"Publishers":[{"URL":"0.0.0.0","TargetPort":80,"PublishedPort":8080,"Protocol":"tcp"},` +
		`{"URL":"0.0.0.0","TargetPort":81,"PublishedPort":8081,"Protocol":"tcp"},` +
		`{"URL":"127.0.0.1","TargetPort":5353,"PublishedPort":53,"Protocol":"udp"}],` +
		`"RunningFor":"3 hours ago","Service":"web","Size":"0B","State":"running","Status":"Up 2 hours (health: starting)"}`
	got := strings.ReplaceAll(lines[1], psNow.Add(-3*time.Hour).Local().Format("2006-01-02 15:04:05 -0700 MST"), "2026-03-01 09:00:00 +0000 UTC")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var db map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &db); err != nil {
		t.Fatal(err)
	}
	if db["Mounts"] != "shop_data,abc" || db["LocalVolumes"] != "2" || db["Networks"] != "shop_back,shop_default" {
		t.Errorf("%v", db)
	}
}

func TestPsTemplates(t *testing.T) {
	web := command.Target{Services: []string{"web"}}
	for format, want := range map[string]string{
		"{{.Name}} {{.State}}":                            "shop-web-1 running\n",
		`{{.Label "com.docker.compose.service"}}`:         "web\n",
		`{{upper .Name}}\t{{len .Publishers}}`:            "SHOP-WEB-1\t3\n",
		"table {{.Name}}\t{{.Health}}":                    "NAME         HEALTH\nshop-web-1   starting\n",
		`{{json .Names}}`:                                 "\"shop-web-1\"\n",
		"{{range .Publishers}}{{.PublishedPort}} {{end}}": "8080 8081 53 \n",
	} {
		if got := runPs(t, web, psOptions{format: format}); got != want {
			t.Errorf("%s: got %q, want %q", format, got, want)
		}
	}
	con, _, _ := show.BufferConsole()
	for _, bad := range []string{"{{.Nope}}", "{{", "{{call .Name}}"} {
		if err := printPods(con, testPods(), psOptions{format: bad}, psNow); err == nil || fault.ExitOf(err) != 1 {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestUnits(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1000: "1kB", 12345: "12.3kB", 999600: "1MB", 2139321: "2.14MB", 1e12: "1TB"} {
		if got := show.Size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
}
