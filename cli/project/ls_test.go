package project

import (
	"reflect"
	"strings"
	"testing"

	"podc.example/podc/api"
	"podc.example/podc/cli/show"
	"podc.example/podc/project"
)

func inProject(p api.Pod, name, files string) api.Pod {
	p.Spec.Labels[project.LabelProject], p.Spec.Labels[project.LabelConfigFiles] = name, files
	return p
}

func TestProjectsAreSummedUp(t *testing.T) {
	pods := testPods()
	for i := range pods {
		pods[i] = inProject(pods[i], "shop", "/a.yaml,/b.yaml")
	}
	stopped := inProject(testPod("x", "1", func(p *api.Pod) { p.Status = api.StatusExited }), "gone", "")
	oneOff := inProject(testPod("y", "1", func(p *api.Pod) { p.Spec.Labels[project.LabelOneoff] = "True" }), "once", "")
	pods = append(pods, stopped, oneOff)
	shop := projectRow{"shop", "created(1), exited(2), restarting(1), running(2)", "/a.yaml,/b.yaml"}
	if got := projectRows(pods, false); !reflect.DeepEqual(got, []projectRow{{"shop", "restarting(1), running(2)", shop.ConfigFiles}}) {
		t.Errorf("running: %v", got)
	}
	if got := projectRows(pods, true); !reflect.DeepEqual(got, []projectRow{{"gone", "exited(1)", "N/A"}, shop}) {
		t.Errorf("all: %v", got)
	}
}

func TestImagesOfContainers(t *testing.T) {
	pod := testPod("web", "1", func(p *api.Pod) {
		p.Image = api.Image{ID: strings.Repeat("a", 64), Names: []string{"docker.io/library/web:2"}, Size: 2_500_000,
			Created: psNow.AddDate(0, 0, -3), Config: api.ImageConfig{OS: "linux", Architecture: "arm64"}}
	})
	for format, want := range map[string]string{
		"json": `[{"ID":"sha256:` + strings.Repeat("a", 64) + `","ContainerName":"shop-web-1","Repository":"web","Tag":"2",` +
			`"Platform":"linux/arm64","Size":2500000,"Created":"2026-02-26T12:00:00Z","LastTagTime":"0001-01-01T00:00:00Z"}]`,
		"": "CONTAINER REPOSITORY TAG PLATFORM IMAGE ID SIZE CREATED shop-web-1 web 2 linux/arm64 aaaaaaaaaaaa 2.5MB 3 days ago",
	} {
		con, out, _ := show.BufferConsole()
		if err := printImages(con, format, []api.Pod{pod}, psNow); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(out.String()), " "); got != want {
			t.Errorf("%q: got %s, want %s", format, got, want)
		}
	}
}

func TestTableTemplates(t *testing.T) {
	rows := []projectRow{{Name: "shop", Status: "running(1)"}}
	for format, want := range map[string]string{
		"table {{.Name}}\t{{upper .Status}}":           "NAME      STATUS\nshop      RUNNING(1)\n",
		"table{{.Name}}":                               "NAME\nshop\n",
		`table {{truncate .Name 2}}\t{{json .Status}}`: "NAME      STATUS\nsh        \"running(1)\"\n",
		"tablet": "tablet\n",
	} {
		var b strings.Builder
		if err := show.PrintList(&b, format, projectLayout, rows, false); err != nil || b.String() != want {
			t.Errorf("%s: got %q, want %q (%v)", format, b.String(), want, err)
		}
	}
	if err := show.PrintList(&strings.Builder{}, "raw", projectLayout, rows, false); err == nil {
		t.Error("raw is not refused")
	}
}
