package translate

import (
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// Services get docker's proxies, unless they say something of their own, and their hashes do not depend on them.
func TestProxies(t *testing.T) {
	const yaml = "services:\n  web:\n    image: nginx\n    environment: {HTTP_PROXY: own, no_proxy: , A: b}\n"
	translated := func(config string) *Result {
		t.Helper()
		a := &txtar.Archive{Files: []txtar.File{{Name: "compose.yaml", Data: []byte(yaml)}}}
		if config != "" {
			a.Files = append(a.Files, txtar.File{Name: "docker/config.json", Data: []byte(config)})
		}
		_, p, opt, err := load(t, a)
		if err != nil {
			t.Fatal(err)
		}
		res, err := Translate(p, opt)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(res.Inputs, func(path string) bool { return strings.HasSuffix(path, "/docker/config.json") }) {
			t.Errorf("inputs %v", res.Inputs)
		}
		return res
	}
	const proxies = `{"httpProxy": "http://p:1", "httpsProxy": "http://p:2", "noProxy": "localhost"}`
	plain := translated("").Desired.Services[0]
	for config, want := range map[string]string{
		"":   "A=b HTTP_PROXY=own",
		`{}`: "A=b HTTP_PROXY=own",
		`{"proxies": {"default": ` + proxies + `}}`: "A=b HTTP_PROXY=own HTTPS_PROXY=http://p:2 NO_PROXY=localhost http_proxy=http://p:1 https_proxy=http://p:2",
		`{"proxies": {"default": {"allProxy": "x"}, "unix:///var/run/docker.sock": {"ftpProxy": "ftp"}, "tcp://h": {}}}`: "A=b HTTP_PROXY=own FTP_PROXY=ftp ftp_proxy=ftp",
	} {
		got := translated(config).Desired.Services[0]
		if env := strings.Join(got.Pod.Container.Env, " "); env != want || got.Hash != plain.Hash {
			t.Errorf("%s: %s, hash %s, want %s, hash %s", config, env, got.Hash, want, plain.Hash)
		}
	}
	if w := translated("{").Desired.Warnings; len(w) != 1 || !strings.Contains(w[0], "cannot read proxies") {
		t.Errorf("warnings %q", w)
	}
}
