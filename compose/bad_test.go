package compose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/fault"
)

// write makes the files of a project in a new folder; names ending in "/" are folders.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "proj")
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func loadFiles(t testing.TB, files map[string]string, opt Options) (*Project, error) {
	t.Helper()
	opt.WorkingDir = write(t, files)
	if opt.Environment == nil {
		opt.Environment = map[string]string{}
	}
	return Load(context.Background(), opt)
}

// TestBadInput pins the words of every refusal. The folder of the project reads DIR in them.
func TestBadInput(t *testing.T) {
	const web = "services:\n  web:\n    image: nginx\n"
	for _, tt := range []struct {
		name, yaml string
		files      map[string]string
		want       string
		hint       string
		class      error
	}{
		{name: "empty", yaml: "", want: "compose.yaml is empty"},
		{name: "not a mapping", yaml: "- a\n", want: `compose.yaml:1: a compose file is a mapping with keys such as "services"`},
		{name: "mistyped key", yaml: web + "    comand: x\n", want: `compose.yaml:4: services.web.comand: unknown key; did you mean "command"?`},
		{name: "unknown key", yaml: web + "    zebra: x\n", want: "compose.yaml:4: services.web.zebra: unknown key"},
		{name: "unknown top level key", yaml: "service:\n  a: {}\n", want: `compose.yaml:1: service: unknown key; did you mean "services"?`},
		{name: "unknown key in a list", yaml: web + "    ports:\n      - target: 80\n        publish: 1\n", want: `compose.yaml:6: services.web.ports[0].publish: unknown key; did you mean "published"?`},
		{name: "two unknown keys", yaml: web + "    aaaa: 1\n    healthcheck: {tset: x}\n", want: "compose.yaml:4: services.web.aaaa: unknown key\ncompose.yaml:5: services.web.healthcheck.tset: unknown key; did you mean \"test\"?"},
		{name: "unknown key behind an anchor", yaml: "x-a: &a\n  imagee: x\nservices:\n  web:\n    <<: *a\n", want: `compose.yaml:2: services.web.imagee: unknown key; did you mean "image"?`},
		{name: "not served", yaml: web + "    gpus: all\n", want: "compose.yaml:4: services.web.gpus: not served: podc knows no drivers of graphics cards; name their device files under devices", class: errdefs.ErrNotImplemented},
		{name: "two not served", yaml: web + "    use_api_socket: true\n    storage_opt: {size: 1g}\n", want: "compose.yaml:5: services.web.storage_opt: not served: the file systems of containers have no quota\ncompose.yaml:4: services.web.use_api_socket: not served yet by this version of podc", class: errdefs.ErrNotImplemented},
		{name: "volumes of itself", yaml: web + "    volumes_from: [web]\n", want: "compose.yaml:4: services.web.volumes_from[0]: a service cannot have volumes from itself"},
		{name: "driver of a secret", yaml: web + "    secrets: [s]\nsecrets: {s: {file: x, driver: d}}\n", want: "compose.yaml:5: secrets.s.driver: not served yet by this version of podc", class: errdefs.ErrNotImplemented},
		{name: "remote include", yaml: "include: [\"oci://x/y\"]\n" + web, want: "compose.yaml:1: include[0]: oci://x/y: not served yet by this version of podc", class: errdefs.ErrNotImplemented},
		{name: "no image", yaml: "services:\n  web: {command: x}\n", want: "compose.yaml:2: services.web: has neither `image` nor `build`"},
		{name: "bad image", yaml: "services:\n  web: {image: \"a b\"}\n", want: `compose.yaml:2: services.web.image: "a b" is no image reference`},
		{name: "syntax", yaml: "services:\n  web: [\n", want: "compose.yaml:2: not valid YAML: did not find expected node content"},
		{name: "tab", yaml: "services:\n\tweb: 1\n", want: "compose.yaml:2: not valid YAML: found character that cannot start any token"},
		{name: "bad indentation", yaml: "services:\n  web:\n    image: x\n   y: 1\n", want: "compose.yaml:4: not valid YAML: did not find expected key"},
		{name: "not closed", yaml: "services:\n  web: {image: x\n  db: {image: y}\n", want: "compose.yaml:2: not valid YAML: did not find expected ',' or '}'"},
		{name: "quote not closed", yaml: "services:\n  web: {image: \"x}\n\n\n", want: "compose.yaml:2: not valid YAML: found unexpected end of stream"},
		{name: "unknown anchor", yaml: "services:\n  web: *x\n", want: "compose.yaml:2: not valid YAML: unknown anchor 'x' referenced"},
		{name: "service name", yaml: "services:\n  a b: {image: x}\n", want: `compose.yaml:1: services: the name "a b": only letters, digits, "_", "." and "-" are allowed`},
		{name: "volume key", yaml: web + "volumes: {a/b: {}}\n", want: `compose.yaml:4: volumes: the name "a/b": only letters, digits, "_", "." and "-" are allowed`},
		{name: "device with colons", yaml: web + "    devices: [\"/dev/null\", \"/dev/a:0:/dev/b:rwm\"]\n", want: `compose.yaml:4: services.web.devices[1]: "/dev/a:0:/dev/b:rwm" is no device: it has more parts than source, target and permissions`,
			hint: "write a path with a colon in the long syntax: {source: ..., target: ..., permissions: ...}"},
		{name: "env file", yaml: web + "    env_file: v.env\n", files: map[string]string{"v.env": "A=1\nB=\"x\n"}, want: `v.env:3: unterminated quoted value "x`},
		{name: "duplicate key", yaml: web + "  web:\n    image: x\n", want: `compose.yaml:4: key "web" is written twice, first on line 2`},
		{name: "strange tag", yaml: "services:\n  web:\n    image: !!binary aGk=\n", want: `compose.yaml:3: tag "!!binary" is not allowed`},
		{name: "self merge", yaml: "x-a: &a\n  b: *a\n" + web, want: `compose.yaml:2: alias "a" contains itself`},
		{name: "wrong type", yaml: "services:\n  web:\n    image: nginx\n    environment: 5\n", want: "compose.yaml:4: services.web.environment: must be a list or a mapping"},
		{name: "interpolation", yaml: "services:\n  web:\n    image: \"${TAG\"\n", want: "compose.yaml:3: services.web.image: " + errTemplate.Error()},
		{name: "required variable", yaml: "services:\n  web:\n    image: \"x:${TAG:?say which}\"\n", want: "compose.yaml:3: services.web.image: variable TAG is required but not set: say which"},
		{name: "two required variables", yaml: "services:\n  a: {image: \"${A?}\"}\n  b: {image: \"${B?}\"}\n", want: "compose.yaml:2: services.a.image: variable A is required but not set\ncompose.yaml:3: services.b.image: variable B is required but not set"},
		{name: "bad cast", yaml: web + "    privileged: \"${A:-maybe}\"\n", want: "compose.yaml:4: services.web.privileged: failed to cast to expected type: invalid boolean: maybe"},
		{name: "cycle", yaml: "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: [a]}\n", want: "compose.yaml:2: services.a.depends_on: dependency cycle: a -> b -> c -> a"},
		{name: "self dependency", yaml: "services:\n  a: {image: x, depends_on: [a]}\n", want: "compose.yaml:2: services.a.depends_on: dependency cycle: a -> a"},
		{name: "unknown dependency", yaml: web + "    depends_on: [bd]\n  db: {image: x}\n", want: `compose.yaml:4: services.web.depends_on.bd: service "bd" is not declared`, hint: `did you mean "db"?`},
		{name: "unknown link", yaml: web + "    depends_on: [db]\n    links:\n      - db\n      - bd:alias\n  db: {image: x}\n", want: `compose.yaml:7: services.web.links[1]: service "bd" is not declared`, hint: `did you mean "db"?`},
		{name: "network of nobody", yaml: web + "    network_mode: service:bd\n", want: `compose.yaml:4: services.web.network_mode: service "bd" is not declared`},
		{name: "ipc of nobody", yaml: web + "    ipc: service:bd\n", want: `compose.yaml:4: services.web.ipc: service "bd" is not declared`},
		{name: "pid of nobody", yaml: web + "    pid: service:bd\n", want: `compose.yaml:4: services.web.pid: service "bd" is not declared`},
		{name: "uts of nobody", yaml: web + "    uts: service:bd\n", want: `compose.yaml:4: services.web.uts: service "bd" is not declared`},
		{name: "volumes of nobody", yaml: web + "    volumes_from:\n      - bd:ro\n", want: `compose.yaml:5: services.web.volumes_from[0]: service "bd" is not declared`},
		{name: "network in a profile", yaml: web + "    network_mode: service:db\n  db: {image: x, profiles: [p]}\n", want: `compose.yaml:4: services.web.network_mode: service "db" is only active with profile p`, hint: "add --profile p"},
		{name: "cycle by a network", yaml: "services:\n  a: {image: x, depends_on: [b]}\n  b:\n    image: x\n    network_mode: service:a\n  c: {image: x}\n", want: "compose.yaml:2: services.a.depends_on: dependency cycle: a -> b -> a"},
		{name: "cycle from a network", yaml: "services:\n  a:\n    image: x\n    network_mode: service:b\n  b: {image: x, depends_on: [a]}\n", want: "compose.yaml:4: services.a.network_mode: dependency cycle: a -> b -> a"},
		{name: "dependency in a profile", yaml: web + "    depends_on: [db]\n  db: {image: x, profiles: [p]}\n", want: `compose.yaml:4: services.web.depends_on.db: service "db" is only active with profile p`, hint: "add --profile p, or `required: false`"},
		{name: "undeclared network", yaml: web + "    networks: [front]\nnetworks: {frnt: {}}\n", want: `compose.yaml:4: services.web.networks: network "front" is not declared`},
		{name: "undeclared volume", yaml: web + "    volumes: [\"data:/d\"]\n", want: `compose.yaml:4: services.web.volumes[0]: volume "data" is not declared`, hint: "declare it under the top-level key `volumes`"},
		{name: "undeclared secret", yaml: web + "    secrets: [s]\n", want: `compose.yaml:4: services.web.secrets[0]: secret "s" is not declared`},
		{name: "missing env_file", yaml: web + "    env_file: [x.env]\n", want: "compose.yaml:4: services.web.env_file[0]: cannot read env file DIR/x.env: no such file or directory", class: errdefs.ErrNotFound},
		{name: "env_file is a folder", yaml: web + "    env_file: d\n", files: map[string]string{"d/": ""}, want: "compose.yaml:4: services.web.env_file[0]: cannot read env file DIR/d: is a directory"},
		{name: "missing label_file", yaml: web + "    label_file: x.labels\n", want: "compose.yaml:4: services.web.label_file[0]: cannot read label file DIR/x.labels: no such file or directory", class: errdefs.ErrNotFound},
		{name: "missing include", yaml: "include: [other.yaml]\n" + web, want: "cannot read file other.yaml: no such file or directory", hint: "it is named in compose.yaml", class: errdefs.ErrNotFound},
		{name: "include cycle", yaml: "include: [b.yaml]\n", files: map[string]string{"b.yaml": "include: [compose.yaml]\n"}, want: "include cycle: compose.yaml -> b.yaml -> compose.yaml"},
		{name: "extends cycle", yaml: "services:\n  a: {extends: {service: b}, image: x}\n  b: {extends: {service: a}}\n", want: "extends cycle: a -> b -> a"},
		{name: "extends nobody", yaml: "services:\n  a: {extends: {service: b}, image: x}\n", want: `cannot extend service "a" in DIR/compose.yaml: service "b" not found`},
		{name: "scale and container_name", yaml: web + "    container_name: xx\n    scale: 2\n", want: "compose.yaml:4: services.web.container_name: 2 replicas cannot share one name", hint: "remove container_name"},
		{name: "scale and replicas", yaml: web + "    scale: 2\n    deploy: {replicas: 3}\n", want: "compose.yaml:4: services.web.scale: is 2, but deploy.replicas is 3"},
		{name: "same container_name", yaml: web + "    container_name: xx\n  w2: {image: y, container_name: xx}\n", want: `compose.yaml:4: services.web.container_name: "xx" is the name of service "w2" too`},
		{name: "network_mode and networks", yaml: web + "    network_mode: host\n    networks: [a]\nnetworks: {a: {}}\n", want: "compose.yaml:4: services.web.network_mode: excludes `networks`"},
		{name: "network of itself", yaml: web + "    network_mode: service:web\n", want: "compose.yaml:4: services.web.network_mode: a service cannot share its own network"},
		{name: "memory", yaml: web + "    mem_limit: -5\n", want: "compose.yaml:4: services.web.mem_limit: -5 is no limit of memory: between 6291456 bytes (6 MiB) and 1125899906842624 (1 PiB) are possible"},
		{name: "two memories", yaml: web + "    mem_limit: 5g\n    deploy: {resources: {limits: {memory: 1g}}}\n", want: "compose.yaml:4: services.web.mem_limit: is 5368709120, but deploy.resources.limits.memory is 1073741824"},
		{name: "cpus", yaml: web + "    cpus: -1\n", want: "compose.yaml:4: services.web.cpus: -1 is no number of processors: at least 0.01 is possible"},
		{name: "cpuset", yaml: web + "    cpuset: 0-99999999\n", want: `compose.yaml:4: services.web.cpuset: "0-99999999" is no list of processors such as "0-3,5"`},
		{name: "uid", yaml: web + "    user: \"4294967296\"\n", want: "compose.yaml:4: services.web.user: 4294967296 is not an id between 0 and 2147483647"},
		{name: "grace", yaml: web + "    stop_grace_period: -5s\n", want: "compose.yaml:4: services.web.stop_grace_period: -5s is negative"},
		{name: "health test", yaml: web + "    healthcheck: {test: [echo, a]}\n", want: `compose.yaml:4: services.web.healthcheck.test: begins with "echo" rather than "CMD", "CMD-SHELL" or "NONE"`},
		{name: "health interval", yaml: web + "    healthcheck: {interval: -1s}\n", want: "compose.yaml:4: services.web.healthcheck.interval: -1s is negative"},
		{name: "oom_score_adj", yaml: web + "    oom_score_adj: 5000\n", want: "compose.yaml:4: services.web.oom_score_adj: must be a string or an integer between -1000 and 1000"},
		{name: "mode of a mount", yaml: web + "    volumes: [\"./a:/b:rw,exec\"]\n", want: "compose.yaml:4: services.web.volumes[0]: \"./a:/b:rw,exec\" is no mount: mode \"exec\" is none of ro, rw, z, Z, nocopy, cached, consistent, delegated, rprivate, private, rshared, shared, rslave, slave"},
		{name: "hostname", yaml: web + "    hostname: a b\n", want: "compose.yaml:4: services.web.hostname: \"a b\" is no name of a host: want letters, digits, \"-\" and \"_\", in parts joined by dots"},
		{name: "variable without a name", yaml: web + "    environment: [\"=x\"]\n", want: "compose.yaml:4: services.web.environment.: an environment variable has no name"},
		{name: "name of a variable", yaml: web + "    environment: {\"A B\": x}\n", want: "compose.yaml:4: services.web.environment.A B: \"A B\" is no name of an environment variable"},
		{name: "working_dir", yaml: web + "    working_dir: srv\n", want: "compose.yaml:4: services.web.working_dir: \"srv\" is not an absolute path"},
		{name: "group_add", yaml: web + "    group_add: [-1]\n", want: "compose.yaml:4: services.web.group_add[0]: -1 is not an id between 0 and 2147483647"},
		{name: "sysctl", yaml: web + "    sysctls: {net.core.somaxconn: \"1\\n2\"}\n", want: "compose.yaml:4: services.web.sysctls.net.core.somaxconn: the value \"1\\n2\" is more than one line"},
		{name: "runtime", yaml: web + "    runtime: ./crun\n", want: "compose.yaml:4: services.web.runtime: \"./crun\" is no OCI runtime: want the name of a program, or its absolute path"},
		{name: "control character of a variable", yaml: web + "    command: [\"$X\"]\n", files: map[string]string{".env": "X=\"a\\a\"\n"}, want: "compose.yaml:4: services.web.command: \"a\\a\" holds the control character U+0007"},
		{name: "control character in an env file", yaml: web, files: map[string]string{".env": "A=1\nX=\x1b[31m\n"}, want: ".env:2: \"X=\\x1b[31m\\n\" holds the control character U+001B"},
		{name: "secret from a variable", yaml: web + "    secrets: [s]\nsecrets: {s: {environment: PW}}\n", want: "compose.yaml:5: secrets.s.environment: variable PW is not set", class: errdefs.ErrNotFound},
		{name: "network called host", yaml: web + "    networks: [h]\nnetworks: {h: {name: host, external: true}}\n", want: `compose.yaml:5: networks.h: "host" is no network`, hint: "use `network_mode: host` in the service"},
		{name: "volume name", yaml: web + "    volumes: [\"vol:/v\"]\nvolumes: {vol: {name: ../x}}\n", want: `compose.yaml:5: volumes.vol: the name "../x": only letters, digits, "_", "." and "-" are allowed, and a letter or digit comes first`},
		{name: "long service name", yaml: "services:\n  " + strings.Repeat("a", 150) + ": {image: x}\n", want: "compose.yaml:2: services." + strings.Repeat("a", 150) + `: the name "aaaaaaaaaaaaaaaaaaaa"... is longer than 100 characters`},
		{name: "port", yaml: web + "    ports: [\"99999:80\"]\n", want: `compose.yaml:4: services.web.ports[0]: "99999:80" is no port: invalid hostPort: 99999`},
		{name: "empty mount", yaml: web + "    volumes: [\"aa::b\"]\n", want: `compose.yaml:4: services.web.volumes[0]: "aa::b" is no mount: empty section between colons`},
		{name: "reversed range", yaml: web + "    ports: [\"90-80:80\"]\n", want: `compose.yaml:4: services.web.ports[0]: "90-80:80" is no port: invalid hostPort: 90-80`},
		{name: "port with a path", yaml: web + "    ports: [\"127.0.0.1:80:80/foo\"]\n", want: `compose.yaml:4: services.web.ports[0]: "127.0.0.1:80:80/foo" is no port: invalid proto: foo`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{"compose.yaml": tt.yaml}
			for k, v := range tt.files {
				files[k] = v
			}
			opt := Options{WorkingDir: write(t, files), Environment: map[string]string{}}
			_, err := Load(context.Background(), opt)
			if err == nil {
				t.Fatal("accepted")
			}
			got := strings.ReplaceAll(err.Error(), opt.WorkingDir, "DIR")
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if tt.hint != "" && fault.HintOf(err) != tt.hint {
				t.Errorf("hint %q, want %q", fault.HintOf(err), tt.hint)
			}
			class := tt.class
			if class == nil {
				class = errdefs.ErrInvalidArgument
			}
			if !errors.Is(err, class) {
				t.Errorf("class of %v is not %v", err, class)
			}
		})
	}
}

func TestBombs(t *testing.T) {
	bomb := "x-a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 10; i++ {
		bomb += fmt.Sprintf("x-a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	merge := "x-a0: &a0 {k0: v}\n"
	for i := 1; i < 40; i++ {
		merge += fmt.Sprintf("x-a%d: &a%d\n  <<: [*a%d, *a%d]\n  k%d: v\n", i, i, i-1, i-1, i)
	}
	services := "services:\n"
	for i := range maxServices + 1 {
		services += fmt.Sprintf("  s%d: {image: x}\n", i)
	}
	for name, tt := range map[string]struct{ yaml, want string }{
		"aliases":         {bomb, "compose.yaml:5: more than 20000 values once aliases are expanded"},
		"merges":          {merge, "more than 20000 values once aliases are expanded"},
		"nesting":         {"x: " + strings.Repeat("[", 10_000), "not valid YAML"},
		"depth":           {"x-a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "compose.yaml:1: nested more than 100 deep"},
		"services":        {services, "compose.yaml:1: services: more than 1000 services"},
		"size":            {"x-a: " + strings.Repeat("a", MaxFile), "cannot read compose file compose.yaml: is larger than 5 MiB"},
		"NUL":             {"services:\n  a: \x00\n", "not valid YAML"},
		"NUL in quotes":   {"services:\n  a:\n    image: \"x\\0y\"\n", "compose.yaml:3: \"x\\x00y\" holds the control character U+0000"},
		"escape in a key": {"x-a:\n  \"\\e[31m\": 1\n", "compose.yaml:2: \"\\x1b[31m\" holds the control character U+001B"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadFiles(t, map[string]string{"compose.yaml": tt.yaml}, Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestSpecialFiles(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": "services: {a: {image: x, env_file: e}}\n"})
	for _, name := range []string{".env", "e"} {
		fifo := filepath.Join(dir, name)
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(context.Background(), Options{WorkingDir: dir, Environment: map[string]string{}})
		if err == nil || !strings.Contains(err.Error(), name+": is not a regular file") {
			t.Errorf("%s: %v", name, err)
		}
		os.Remove(fifo)
	}
	_, err := Load(context.Background(), Options{WorkingDir: dir, Files: []string{"/dev/zero"}, Environment: map[string]string{}})
	if err == nil || !strings.Contains(err.Error(), "/dev/zero: is not a regular file") {
		t.Errorf("/dev/zero: %v", err)
	}
}
