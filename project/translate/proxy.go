package translate

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
)

// proxies are the variables that docker's configuration has every container get, as "KEY=VALUE" sorted: docker's file and key
// (`proxies`), since that is where people have them. They are not part of a service's hash, as in docker compose: a change of
// the proxy is no reason to recreate anything.
func (t *translation) proxies() []string {
	path := t.dockerConfig()
	if path == "" {
		return nil
	}
	t.res.Inputs = append(t.res.Inputs, path)
	b, err := disk.ReadRegular(path, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var config struct {
		Proxies map[string]proxyConfig `json:"proxies"`
	}
	if err == nil {
		err = json.Unmarshal(b, &config)
	}
	if err != nil {
		t.res.Desired.Warnings = append(t.res.Desired.Warnings, fmt.Sprintf("cannot read proxies from %s: %v", path, err))
		return nil
	}
	chosen, ok := config.Proxies[cmp.Or(t.p.Environment["DOCKER_HOST"], "unix:///var/run/docker.sock")]
	if !ok {
		chosen = config.Proxies["default"]
	}
	return chosen.variables()
}

// dockerConfig is the path of docker's configuration, "" if there can be none.
func (t *translation) dockerConfig() string {
	dir := t.p.Environment["DOCKER_CONFIG"]
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".docker")
	}
	path, _ := filepath.Abs(filepath.Join(dir, "config.json"))
	return path
}

// proxyConfig is one entry of docker's `proxies`.
type proxyConfig struct {
	HTTP  string `json:"httpProxy"`
	HTTPS string `json:"httpsProxy"`
	No    string `json:"noProxy"`
	FTP   string `json:"ftpProxy"`
	All   string `json:"allProxy"`
}

// variables are those of a configuration, in both spellings that programs look for.
func (c proxyConfig) variables() []string {
	var list []string
	for name, value := range map[string]string{"HTTP_PROXY": c.HTTP, "HTTPS_PROXY": c.HTTPS, "NO_PROXY": c.No, "FTP_PROXY": c.FTP, "ALL_PROXY": c.All} {
		if value != "" {
			list = append(list, name+"="+value, strings.ToLower(name)+"="+value)
		}
	}
	slices.Sort(list)
	return list
}

// addProxies adds to the environment what a service does not itself say something about.
func addProxies(c *api.ContainerSpec, proxies []string, own types.MappingWithEquals) {
	for _, kv := range proxies {
		name, _, _ := strings.Cut(kv, "=")
		if _, said := own[name]; !said {
			c.Env = append(c.Env, kv)
		}
	}
}
