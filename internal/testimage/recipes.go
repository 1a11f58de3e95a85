package testimage

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// recipe says what is in an image. Files come in two layers: what packages bring, and what is added to them.
type recipe struct {
	packages []string // with what they depend on
	users    map[string]int
	probe    bool       // FROM scratch: the probe alone
	add      func(tree) // the second layer
	config   v1.Config
	// text changes when a recipe changes in a way that the fields above do not show.
	text string
}

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

//go:embed postgres.sh
var postgresEntrypoint string

//go:embed nginx.conf
var nginxConf string

// skip names packages that are of use only to installation scripts, or heavy and not needed to serve.
var skip = regexp.MustCompile(`^(perl.*|lib.*-perl|debconf.*|cdebconf|postgresql-(client-)?common|libllvm.*|ssl-cert|adduser|locales.*|lsb-base|init-system-helpers|iproute2|systemd.*|ucf|sysvinit-utils|netbase|dpkg|tar|libc-bin|logsave|gcc-.*-base|install-info|openssl|sensible-utils|passwd|libc-l10n|media-types)$`)

var recipes = map[string]recipe{
	Busybox: {
		packages: []string{"busybox-static"},
		users:    map[string]int{"nobody": 65534, "daemon": 1},
		config:   v1.Config{Env: []string{searchPath}, Cmd: []string{"sh"}},
	},
	Probe: {
		probe: true,
		config: v1.Config{
			Entrypoint:   []string{"/probe"},
			Cmd:          []string{"serve"},
			WorkingDir:   "/",
			ExposedPorts: map[string]struct{}{"8080/tcp": {}},
		},
	},
	Postgres: {
		packages: []string{"postgresql", "libc-bin", "busybox-static"}, // libc-bin: the locale C.UTF-8,
		users:    map[string]int{"postgres": 999},
		text:     postgresEntrypoint,
		add: func(t tree) {
			t.file("usr/bin/podc-entrypoint", 0o755, postgresEntrypoint)
			t.dir("var/run", 0o755, 0)
			for _, d := range []string{"var/run/postgresql", "var/lib/postgresql"} {
				t.dir(d, 0o755, 999)
			}
			t.dir("var/lib/postgresql/data", 0o700, 999)
		},
		config: v1.Config{
			Env:          []string{searchPath, "PGDATA=/var/lib/postgresql/data", "LANG=C.UTF-8"},
			Entrypoint:   []string{"podc-entrypoint"},
			Cmd:          []string{"postgres", "-c", "listen_addresses=*"},
			User:         "postgres",
			Volumes:      map[string]struct{}{"/var/lib/postgresql/data": {}},
			ExposedPorts: map[string]struct{}{"5432/tcp": {}},
			StopSignal:   "SIGINT", // a fast shutdown: SIGTERM waits for clients to leave
			Healthcheck: &v1.HealthConfig{
				Test:     []string{"CMD-SHELL", "pg_isready -q -h 127.0.0.1"},
				Interval: 2 * time.Second, Timeout: 5 * time.Second, Retries: 15, StartPeriod: 30 * time.Second,
			},
		},
	},
	Nginx: {
		packages: []string{"nginx", "busybox-static"},
		users:    map[string]int{"www-data": 33},
		text:     nginxConf,
		add: func(t tree) {
			t.file("etc/nginx/nginx.conf", 0o644, nginxConf)
			t.file("usr/share/nginx/html/index.html", 0o644, "<h1>podc</h1>\n")
			t.dir("etc/nginx/conf.d", 0o755, 0)
			t.dir("var/lib/nginx", 0o755, 0)
			t.dir("var/log/nginx", 0o755, 0)
		},
		config: v1.Config{
			Env:          []string{searchPath},
			Cmd:          []string{"nginx"},
			ExposedPorts: map[string]struct{}{"80/tcp": {}},
			StopSignal:   "SIGQUIT",
		},
	},
}

// gather collects the parts of an image, from the cache where possible.
func (b *builder) gather(r recipe) (*ingredients, error) {
	config, err := json.Marshal(r.config)
	if err != nil {
		return nil, err
	}
	in := &ingredients{recipe: fmt.Sprintf("v3 %v %v %s %s %s", r.packages, r.users, config, r.text, needless)}
	if r.probe {
		in.program, err = b.program()
		return in, err
	}
	in.packages, err = b.download(r.packages, skip)
	return in, err
}

// program compiles the probe, static.
func (b *builder) program() ([]byte, error) {
	dir, err := os.MkdirTemp(b.dir, "probe-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "probe")
	cmd := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags=", "-ldflags=-s -w", "-o", out, "podc.example/podc/internal/testimage/probe")
	cmd.Dir = sourceDir()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot compile the probe: %w: %s", err, text)
	}
	return os.ReadFile(out)
}

// sourceDir is this package's folder where the source is at hand, so that the go command finds the module.
func sourceDir() string {
	_, file, _, ok := runtime.Caller(0)
	if ok && filepath.IsAbs(file) && exists(filepath.Dir(file)) {
		return filepath.Dir(file)
	}
	return ""
}

func (b *builder) assemble(r recipe, in *ingredients) (v1.Image, error) {
	layers, err := b.layers(r, in)
	if err != nil {
		return nil, err
	}
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		Architecture: runtime.GOARCH,
		OS:           runtime.GOOS,
		Created:      v1.Time{Time: epoch},
		Config:       r.config,
	})
	if err != nil {
		return nil, err
	}
	for _, t := range layers {
		l, err := t.layer()
		if err != nil {
			return nil, err
		}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: l, History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "podc testimage"}}); err != nil {
			return nil, err
		}
	}
	return img, nil
}

func (b *builder) layers(r recipe, in *ingredients) ([]tree, error) {
	if r.probe {
		t := tree{}
		t.dir("./", 0o755, 0)
		t.file("probe", 0o755, string(in.program))
		t.dir("tmp", 0o1777, 0)
		return []tree{t}, nil
	}
	below := base(r.users)
	for _, d := range in.packages {
		if err := below.addDeb(b, d); err != nil {
			return nil, err
		}
	}
	below.commands(regexp.MustCompile(`^usr/lib/postgresql/[0-9]+/bin/`))
	if err := b.applets(below); err != nil {
		return nil, err
	}
	if r.add == nil {
		return []tree{below}, nil
	}
	above := tree{}
	above.dir("./", 0o755, 0)
	r.add(above)
	return []tree{below, above}, nil
}

// commands makes the programs of a folder off the search path callable by name.
func (t tree) commands(dir *regexp.Regexp) {
	for _, name := range slices.Collect(maps.Keys(t)) {
		if dir.MatchString(name) {
			t.link("usr/bin/"+filepath.Base(name), "/"+name)
		}
	}
}

// applets makes busybox answer to the names of its commands, but for those that a package brings.
func (b *builder) applets(t tree) error {
	e, ok := t["usr/bin/busybox"]
	if !ok {
		return nil
	}
	f, err := os.CreateTemp(b.dir, "busybox-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(e.body)
	if err == nil {
		err = f.Chmod(0o700)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	list, err := b.run("", f.Name(), "--list")
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(list)) {
		if t["usr/bin/"+name] == nil && t["usr/sbin/"+name] == nil {
			t.link("usr/bin/"+name, "busybox")
		}
	}
	return nil
}
