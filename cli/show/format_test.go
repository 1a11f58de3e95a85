package show

import (
	"math"
	"strings"
	"testing"

	"podc.example/podc/dockerapi"
)

// TestInspectTemplates: fields by their names in Go and in JSON, docker's functions, and what is missing.
func TestInspectTemplates(t *testing.T) {
	item := dockerapi.Container{ID: "abc", RestartCount: 7, State: &dockerapi.State{ExitCode: 3, Running: true},
		Config:          &dockerapi.Config{Labels: map[string]string{"k": "v"}, Env: []string{"A=1", "B=2"}},
		NetworkSettings: &dockerapi.NetworkSettings{Ports: map[string][]dockerapi.PortBinding{"80/tcp": {{HostIP: "0.0.0.0", HostPort: "8080"}}}}}
	for format, want := range map[string]string{
		"{{.ID}} {{.Id}}":                       "fails",
		"{{.Id}}":                               "abc",
		"{{.ID}}":                               "abc",
		`{{index .Config.Labels "k"}}`:          "v",
		`{{index .Config.Labels "none"}}`:       "",
		"{{if gt .RestartCount 3}}often{{end}}": "often",
		"{{.State.Health.Status}}":              "fails",
		"{{.Nope}}":                             "fails",
		`{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}`:                       "8080",
		`{{range $p, $b := .NetworkSettings.Ports}}{{$p}} -> {{(index $b 0).HostPort}}{{end}}`: "80/tcp -> 8080",
		`{{json .Config.Env}}`:                                    `["A=1","B=2"]`,
		`{{join .Config.Env "; "}}`:                               "A=1; B=2",
		`{{range split "a,b" ","}}{{upper .}}{{title .}} {{end}}`: "AA BB ",
		`{{pad "x" 2 1}}|{{truncate "abcdef" 3}}|{{lower "ABC"}}`: "  x |abc|abc",
		`{{range .Config.Env}}{{println .}}{{end}}`:               "A=1\nB=2\n",
	} {
		con, out, _ := BufferConsole()
		err := PrintInspect(con, format, []dockerapi.Container{item})
		got := strings.TrimSuffix(out.String(), "\n")
		if err != nil {
			got = "fails"
		}
		if got != want {
			t.Errorf("%s: got %q, want %q (%v)", format, got, want, err)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1000: "1kB", 12_345: "12.3kB", 999_499: "999kB", 999_500: "1MB", 999_999: "1MB",
		999_500_000_000: "1TB", math.MaxInt64: "9.22EB"} {
		if got := Size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
