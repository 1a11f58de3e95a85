package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/podcbuild"
)

// builderEnds waits until whoever builds for the stack has nothing to do any more and has gone.
func (s *stack) builderEnds() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // not that of the test, which ends before it is cleared up
	defer cancel()
	if err := disk.Await(ctx, podcbuild.Lock(s.run)); err != nil {
		s.t.Errorf("podc-build has not ended: %v", err)
	}
}

// of asks a service's image for something by a shell command in a container of its own.
func (s *stack) of(service, command string) string {
	s.t.Helper()
	return s.podc("run", "--rm", "-T", "--no-deps", service, "sh", "-c", command)
}

// A stack of Dockerfiles, each for one topic: what stands in them is what comes out.
func TestBuilds(t *testing.T) {
	s := newStack(t, `
services:
  basics:
    build: {context: basics, args: {GREETING: hello, FROM_ENV: null}, labels: {who: me}, tags: ["basics:2"]}
  stages:
    build: {context: stages, target: small}
  mounts:
    build: {context: mounts, secrets: [tok, {source: key, target: renamed}]}
  copies:
    build: {context: copies, additional_contexts: {files: ./files, base: "service:basics"}}
  ignored:
    build: ignored
  inline:
    build:
      context: files
      dockerfile_inline: |
        FROM localhost/podc-busybox
        COPY a /from/inline
  other:
    image: other:1
    build: {context: basics, dockerfile: ../other.Dockerfile, extra_hosts: ["db.test=192.0.2.7", "me.test=host-gateway"], shm_size: 32m, ulimits: {nofile: 123}, network: none}
secrets:
  tok: {environment: TOK}
  key: {file: key.txt}
`,
		"key.txt", "key of a file",
		"files/a", "file a", "files/sub/b", "file b",
		"basics/run.sh", "#!/bin/sh\necho run\n",
		"basics/Dockerfile", `# syntax=docker/dockerfile:1
FROM localhost/podc-busybox
LABEL a=b
ARG GREETING=none
ARG FROM_ENV
ARG BUILDPLATFORM
ENV GREETING=$GREETING ENVIRONMENT=${FROM_ENV:-unset}
WORKDIR /app/deep
RUN echo "$GREETING $ENVIRONMENT" > greeting && echo app:x:1234:1234::/:/bin/sh >> /etc/passwd && echo app:x:1234: >> /etc/group
COPY --chown=app:app --chmod=0750 run.sh /usr/local/bin/
RUN <<EOF
echo one > /heredoc
echo two >> /heredoc
EOF
COPY <<-"EOF" /written
	as it is: $GREETING
EOF
USER app
RUN id -u > /tmp/who
EXPOSE 8080/tcp
VOLUME /data
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=7s CMD true
SHELL ["/bin/sh", "-ec"]
ONBUILD RUN echo triggered > /tmp/onbuild
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo default"]
`,
		"stages/Dockerfile", `
FROM localhost/podc-busybox AS build
RUN echo made > /made
FROM build AS unused
RUN false
FROM scratch AS small
COPY --from=localhost/podc-busybox /bin /bin
COPY --from=build --link /made /made
CMD ["sh"]
`,
		"mounts/in-context", "bound",
		"mounts/Dockerfile", `
FROM localhost/podc-busybox
RUN --mount=type=secret,id=tok,target=/tok,mode=0444 --mount=type=secret,id=renamed,env=KEY cp /tok /secret && echo "$KEY" > /key
RUN --mount=type=bind,target=/ctx cp /ctx/in-context /bound && ! touch /ctx/x 2>/dev/null
RUN --mount=type=tmpfs,target=/scratch,size=1m mount | grep -q "tmpfs on /scratch"
RUN --mount=type=cache,id=c,target=/cache echo kept > /cache/f
RUN --mount=type=cache,id=c,target=/cache cp /cache/f /cached
`,
		"copies/Dockerfile", `
FROM base
USER root
COPY --from=files --parents ./sub/b /parents/
COPY --from=files --exclude=sub . /all/
COPY --link --from=files a /linked
`,
		"ignored/.dockerignore", "*.log\nsecret\n!keep.log\n",
		"ignored/a.txt", "a", "ignored/b.log", "b", "ignored/keep.log", "k", "ignored/secret/s", "s",
		"ignored/Dockerfile", "FROM localhost/podc-busybox\nCOPY . /ctx\n",
		"other.Dockerfile", `FROM localhost/podc-busybox
RUN cat /etc/hosts > /hosts; ulimit -n > /nofile; df -k /dev/shm | tail -n 1 > /shm; ip -o link > /links
`)
	s.env = []string{"TOK=of the environment", "FROM_ENV=too"}
	s.load("busybox")
	s.podc("create")

	s.behaves("instructions leave in the image what they say", func(s *stack) {
		contains(s.t, s.podc("run", "--rm", "-T", "basics", "cat /app/deep/greeting /heredoc /written; stat -c '%u %a' /usr/local/bin/run.sh; cat /tmp/who; id -u; pwd"),
			"hello too\none\ntwo\nas it is: $GREETING\n1234 750\n1234\n1234\n/app/deep\n")
		config := s.podc("image", "inspect", "p-basics")
		for _, want := range []string{`"GREETING=hello"`, `"who": "me"`, `"a": "b"`, `"8080/tcp"`, `"/data"`, `"SIGUSR1"`, `"com.docker.compose.service": "basics"`,
			`7000000000`, `"basics:2"`} {
			contains(s.t, config, want)
		}
		contains(s.t, s.podc("image", "history", "--no-trunc", "p-basics"), "RUN |3 GREETING=hello FROM_ENV=too")
	})
	s.behaves("only the stages are built that the target needs", func(s *stack) {
		contains(s.t, s.of("stages", "cat /made; ls /"), "made\nbin\n")
	})
	s.behaves("secrets, caches, binds and tmpfs are mounted, and stay out of the image", func(s *stack) {
		contains(s.t, s.of("mounts", "cat /secret; echo; cat /key /bound /cached"), "of the environment\nkey of a file\nboundkept\n")
		for _, gone := range []string{"/tok", "/ctx/in-context", "/cache/f"} {
			if out, err := s.try("run", "--rm", "-T", "mounts", "test", "-e", gone); err == nil {
				s.t.Errorf("%s is in the image: %s", gone, out)
			}
		}
	})
	s.behaves("further contexts are folders, and images of other services, which are made first", func(s *stack) {
		contains(s.t, s.podc("run", "--rm", "-T", "copies", "cat /parents/sub/b /linked /tmp/onbuild; ls /all; cat /app/deep/greeting"), "file bfile atriggered\na\nhello too\n")
	})
	s.behaves(".dockerignore is heeded", func(s *stack) {
		contains(s.t, s.of("ignored", "cd /ctx; ls -A"), ".dockerignore\nDockerfile\na.txt\nkeep.log\n")
	})
	s.behaves("a Dockerfile may stand in the compose file, or elsewhere", func(s *stack) {
		contains(s.t, s.of("inline", "cat /from/inline"), "file a")
		out := s.of("other", "cat /hosts /nofile /shm /links")
		for _, want := range []string{"192.0.2.7\tdb.test", "\n123\n", "32768", "lo:"} {
			contains(s.t, out, want)
		}
		if !regexp.MustCompile(`(?m)^172\.\d+\.\d+\.1\tme\.test$`).MatchString(out) {
			s.t.Errorf("the host has no address:\n%s", out)
		}
		if strings.Contains(out, "eth0") {
			s.t.Errorf("a step without network has one:\n%s", out)
		}
	})
	s.behaves("what is built already is not built again", func(s *stack) {
		if steps := s.plan(); len(steps) == 0 { // containers are to be started
			s.t.Error("no plan")
		}
		before := s.podc("image", "ls", "-q")
		s.podc("create")
		if after := s.podc("image", "ls", "-q"); after != before {
			s.t.Errorf("images were\n%s\nand are\n%s", before, after)
		}
	})
}

// A step reaches the outside, and nothing that listens on the host's loopback only.
func TestNetworkOfBuilds(t *testing.T) {
	answered := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "from the host's loopback") }))
	defer answered.Close()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(answered.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	file := `FROM localhost/podc-busybox
RUN ip -o -4 addr show > /addr; ip route > /routes; cat /etc/resolv.conf > /resolv; nslookup localhost > /lookup 2>&1; wget -q -O /page http://127.0.0.1:` + port + ` || echo refused > /page
`
	s := newStack(t, `
services:
  sandbox: {build: {context: .}}
  host: {build: {context: ., network: host}}
`, "Dockerfile", file)
	s.load("busybox")
	s.podc("create")
	s.behaves("a step has a way out and no listener of the host's own", func(s *stack) {
		out := s.of("sandbox", "cat /page /routes /resolv")
		contains(s.t, out, "refused\n")
		contains(s.t, out, "default via ")
		contains(s.t, out, "nameserver 127.0.0.11") // which asks the host's servers, from the host
	})
	s.behaves("a step in the host's network has that", func(s *stack) {
		contains(s.t, s.of("host", "cat /page"), "from the host's loopback")
	})
}

// What a build says of a step that fails: which, with what code, and what it wrote last.
func TestBuildThatFails(t *testing.T) {
	s := newStack(t, `
services:
  bad: {build: bad}
  good: {build: good}
  nowhere: {build: nowhere, profiles: [x]}
  mistyped: {build: mistyped, profiles: [y]}
`, "bad/Dockerfile", "FROM localhost/podc-busybox\nRUN echo what went wrong; exit 7\n",
		"good/Dockerfile", "FROM localhost/podc-busybox\nRUN true\n",
		"mistyped/Dockerfile", "FROM localhost/podc-busybox\nRUUN true\n")
	s.load("busybox")
	s.behaves("a failing step is told with its code and its last lines, and starts nothing", func(s *stack) {
		out := s.fails(1, "up", "-d")
		for _, want := range []string{"RUN echo what went wrong; exit 7", "exit code: 7", "what went wrong", "needed by bad"} {
			contains(s.t, out, want)
		}
		if rows := s.ps(); len(rows) > 0 {
			s.t.Errorf("there is %v", rows)
		}
	})
	s.behaves("the image of another service is made nevertheless, and found the next time", func(s *stack) {
		contains(s.t, s.podc("image", "ls"), "p-good")
	})
	s.behaves("a Dockerfile that is not there or wrong is told as such", func(s *stack) {
		contains(s.t, s.fails(1, "up", "-d", "nowhere"), filepath.Join(s.dir, "nowhere"))
		contains(s.t, s.fails(1, "up", "-d", "mistyped"), "unknown instruction: RUUN")
	})
}

// Whatever of a build is killed, what it made goes: its steps, their mounts and network. The next build finds all in order.
func TestBuildIsKilled(t *testing.T) {
	s := newStack(t, "services: {a: {build: {context: ., secrets: [s]}}}\nsecrets: {s: {file: secret}}\n", "Dockerfile", "FROM localhost/podc-busybox\nRUN --mount=type=secret,id=s echo begun; sleep 1000\n", "secret", "s")
	s.load("busybox")
	// begin starts a build and returns once its step runs.
	begin := func(s *stack) (podc *exec.Cmd, builder int) {
		podc = s.cmd(t.Context(), "create")
		if err := podc.Start(); err != nil {
			s.t.Fatal(err)
		}
		eventually(s.t, time.Minute, func() error {
			if running, _ := filepath.Glob(filepath.Join(s.run, "build", "runtime", "*", "status")); len(running) == 0 {
				return errors.New("no step runs")
			}
			return nil
		})
		return podc, disk.Holder(podcbuild.Lock(s.run))
	}
	gone := func(s *stack) {
		s.builderEnds()
		for _, dir := range []string{"steps", "tmp"} {
			if left, _ := filepath.Glob(filepath.Join(s.run, "build", dir, "*")); len(left) > 0 {
				s.t.Errorf("left: %q", left)
			}
		}
		s.podc("system", "check")
	}
	s.behaves("an interrupted podc ends its build", func(s *stack) {
		podc, _ := begin(s)
		podc.Process.Signal(os.Interrupt)
		podc.Wait()
		gone(s)
	})
	s.behaves("so does one that is killed", func(s *stack) {
		podc, _ := begin(s)
		podc.Process.Kill()
		podc.Wait()
		gone(s)
	})
	s.behaves("podc clears away after a podc-build that is killed", func(s *stack) {
		podc, builder := begin(s)
		unix.Kill(builder, unix.SIGKILL)
		podc.Wait()
		gone(s)
	})
	s.behaves("system check finds what both have left that are killed, and mends it", func(s *stack) {
		podc, builder := begin(s)
		podc.Process.Kill()
		unix.Kill(builder, unix.SIGKILL)
		podc.Wait()
		s.builderEnds()
		contains(s.t, s.fails(1, "system", "check"), "left by a build that was killed")
		s.podc("system", "check", "--repair")
		gone(s)
	})
	s.behaves("and the next build works", func(s *stack) {
		s.write("Dockerfile", "FROM localhost/podc-busybox\nRUN echo > /made\n")
		s.podc("create")
		s.of("a", "test -e /made")
	})
}

// `podc build` makes images and touches no container; its flags add to what the compose file says.
func TestBuildCommand(t *testing.T) {
	s := newStack(t, `
services:
  base: {build: {context: ., args: {WHO: file}}}
  web: {build: {context: ., dockerfile_inline: "FROM localhost/podc-busybox\nRUN echo web > /web\n"}, depends_on: [base]}
  plain: {image: localhost/podc-busybox}
`, "Dockerfile", "FROM localhost/podc-busybox\nARG WHO=none\nRUN echo $WHO > /who; cat /proc/sys/kernel/random/uuid > /random; cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes > /memory 2>/dev/null; true\n")
	s.load("busybox")
	images := func(s *stack) string { return s.podc("image", "ls") }
	s.behaves("only what is named is built, and what it depends on if that is asked for", func(s *stack) {
		s.podc("build", "web")
		if strings.Contains(images(s), "p-base") {
			s.t.Error("a dependency was built unasked")
		}
		s.podc("build", "--with-dependencies", "web")
		contains(s.t, images(s), "p-base")
		if rows := s.ps(); len(rows) > 0 {
			s.t.Errorf("there are containers: %v", rows)
		}
	})
	s.behaves("arguments and limits of the command line come on top", func(s *stack) {
		s.podc("build", "--build-arg", "WHO=flag", "--memory", "64m", "base")
		contains(s.t, s.of("base", "cat /who /memory"), "flag\n67108864\n")
		s.env = []string{"WHO=environment"}
		s.podc("build", "--build-arg", "WHO", "base")
		contains(s.t, s.of("base", "cat /who"), "environment\n")
		s.env = nil
	})
	s.behaves("a build is found again unless it is to be made anew", func(s *stack) {
		random := func() string { return s.of("base", "cat /random") }
		s.podc("build", "base")
		first := random()
		s.podc("build", "base")
		if again := random(); again != first {
			s.t.Errorf("a step ran again: %s, %s", first, again)
		}
		s.podc("build", "--no-cache", "base")
		if again := random(); again == first {
			s.t.Error("--no-cache found what was built before")
		}
	})
	s.behaves("output is shown by step, and not at all if that is not wanted", func(s *stack) {
		said := func(args ...string) string {
			out, err := s.try(args...)
			if err != nil {
				s.t.Fatalf("%v\n%s", err, out)
			}
			return out
		}
		out := said("build", "--no-cache", "web")
		inOrder(s.t, out, "Image p-web Building", "RUN echo web > /web", "DONE", "Image p-web Built")
		if out := said("build", "--no-cache", "--quiet", "web"); strings.Contains(out, "RUN") {
			s.t.Errorf("quiet printed\n%s", out)
		}
		if out := said("up", "--no-start", "--build", "--quiet-build", "web"); strings.Contains(out, "RUN") {
			s.t.Errorf("quiet printed\n%s", out)
		}
	})
	s.behaves("--print tells bake what would be built", func(s *stack) {
		var file struct {
			Target map[string]struct {
				Context, Dockerfile string
				Args                map[string]string
				Tags                []string
			}
		}
		if err := json.Unmarshal([]byte(s.podc("build", "--print", "--build-arg", "X=y")), &file); err != nil {
			s.t.Fatal(err)
		}
		if b := file.Target["base"]; b.Context != s.dir || b.Args["WHO"] != "file" || b.Args["X"] != "y" || b.Tags[0] != "p-base" || len(file.Target) != 2 {
			s.t.Errorf("%+v", file)
		}
	})
	s.behaves("a base is pulled if it is missing, and once more if that is asked for", func(s *stack) {
		r := newRegistry(s.t)
		greeting := func(text string) v1.Image { return derived(s.t, v1.Config{Env: []string{"GREETING=" + text}}) }
		r.push("base:1", greeting("one"))
		s.write("pulled.yaml", "services: {x: {build: {context: ., dockerfile_inline: 'FROM "+r.host+"/base:1'}, command: [/bin/sh, -c, 'echo $$GREETING']}}\n")
		said := func(args ...string) string {
			s.podc(append([]string{"-f", "pulled.yaml", "build"}, args...)...)
			return s.podc("-f", "pulled.yaml", "run", "--rm", "-T", "x")
		}
		contains(s.t, said(), "one")
		r.push("base:1", greeting("two"))
		contains(s.t, said(), "one")
		contains(s.t, said("--pull"), "two")
	})
	s.behaves("a step gets to an agent, which is needed only by who asks for one", func(s *stack) {
		agent, err := net.Listen("unix", filepath.Join(s.dir, "agent"))
		if err != nil {
			s.t.Fatal(err)
		}
		defer agent.Close()
		s.write("ssh.Dockerfile", "FROM localhost/podc-busybox\nRUN --mount=type=ssh test -S \"$SSH_AUTH_SOCK\" && echo yes > /agent\n")
		s.write("ssh.yaml", "services: {x: {build: {context: ., dockerfile: ssh.Dockerfile}, command: cat /agent}}\n")
		s.podc("-f", "ssh.yaml", "build", "--ssh", "default="+filepath.Join(s.dir, "agent"))
		contains(s.t, s.podc("-f", "ssh.yaml", "run", "--rm", "-T", "x"), "yes")
		s.env = []string{"SSH_AUTH_SOCK=" + filepath.Join(s.dir, "agent")}
		s.podc("image", "build", "--ssh", "default", "-f", "ssh.Dockerfile", ".")
		s.env = []string{"SSH_AUTH_SOCK="}
		contains(s.t, s.fails(1, "build", "--ssh", "default", "web"), "SSH_AUTH_SOCK is not set")
		s.env = nil
	})
	s.behaves("what is not there is told, what is not served too", func(s *stack) {
		contains(s.t, s.fails(1, "build", "gone"), "no such service: gone")
		out, _ := s.try("build", "plain")
		contains(s.t, out, "No services to build")
		contains(s.t, s.fails(1, "build", "--builder", "x"), "podc builds by itself")
		contains(s.t, s.fails(1, "build", "--sbom", "true"), "attestations")
		contains(s.t, s.fails(1, "build", "--provenance", "true"), "attestations")
		contains(s.t, s.fails(1, "build", "--memory", "much"), "invalid --memory")
		contains(s.t, s.fails(1, "build", "--check"), "--check")
		contains(s.t, s.fails(1, "build", "--push"), "--push")
		s.podc("build", "--compress", "--force-rm", "--parallel", "--no-rm", "plain") // which say nothing here
	})
}

// `up`, `create` and `run` build what is missing, all if that is asked for, and nothing if that is.
func TestUpBuilds(t *testing.T) {
	s := newStack(t, `
services:
  a: {build: ., command: sleep 1000, stop_signal: SIGKILL}
  always: {build: ., pull_policy: build, command: sleep 1000, stop_signal: SIGKILL}
`, "Dockerfile", "FROM localhost/podc-busybox\nCOPY content /content\n", "content", "one")
	s.load("busybox")
	id := func(s *stack, service string) string { return s.ps()["p-"+service+"-1"].ID }
	s.behaves("nothing is built if that is not allowed", func(s *stack) {
		contains(s.t, s.fails(1, "up", "-d", "--no-build", "a"), "No such image: p-a")
		contains(s.t, s.fails(1, "create", "--no-build", "a"), "No such image: p-a")
		contains(s.t, s.fails(1, "up", "-d", "--no-build", "--build", "a"), "cannot be combined")
	})
	s.behaves("the plan says what would be built, and why", func(s *stack) {
		out := s.podc("plan")
		contains(s.t, out, "build image p-a (missing)\n")
		contains(s.t, out, "build image p-always (pull_policy is build)\n")
	})
	s.behaves("a build to the same content recreates nothing", func(s *stack) {
		s.podc("up", "-d")
		before := id(s, "a") + id(s, "always")
		s.podc("up", "-d", "--build")
		s.podc("up", "-d")
		if now := id(s, "a") + id(s, "always"); now != before {
			s.t.Errorf("containers were made anew")
		}
	})
	s.behaves("a changed file is noticed by who builds, and recreates what is made of it", func(s *stack) {
		before, other := id(s, "a"), id(s, "always")
		s.write("content", "two")
		s.podc("up", "-d")
		if id(s, "a") != before || id(s, "always") == other {
			s.t.Error("not that service was made anew whose policy is to build")
		}
		contains(s.t, s.exec("always", "cat", "/content"), "two")
		s.podc("up", "-d", "--build", "a")
		contains(s.t, s.exec("a", "cat", "/content"), "two")
		s.write("content", "three")
		contains(s.t, s.podc("run", "--rm", "-T", "--build", "a", "cat", "/content"), "three")
		s.write("content", "four")
		contains(s.t, s.podc("run", "--rm", "-T", "--quiet-build", "--pull", "build", "a", "cat", "/content"), "four")
		s.podc("create", "--build", "--force-recreate", "a")
	})
}

// `podc image build` is docker's: of a folder, of a Dockerfile or an archive on the standard input.
func TestImageBuild(t *testing.T) {
	s := newStack(t, "services: {}\n",
		"app/Dockerfile", "FROM localhost/podc-busybox AS one\nRUN --mount=type=secret,id=s cp /run/secrets/s /secret; cat /etc/hosts > /hosts; ulimit -n > /nofile; df -k /dev/shm | tail -n 1 > /shm\nFROM one AS two\nARG A\nARG B\nRUN echo $A $B > /args\nCOPY --from=more x /x\n",
		"app/other", "FROM localhost/podc-busybox\nCOPY other /other\n", "more/x", "x of more", "secret", "the secret")
	s.load("busybox")
	run := func(s *stack, image string, command string) string {
		s.write("run.yaml", "services: {x: {image: "+image+", entrypoint: [sh, -c], command: ['"+command+"']}}\n")
		return s.podc("-f", "run.yaml", "run", "--rm", "-T", "x")
	}
	s.behaves("flags say what compose files say with keys", func(s *stack) {
		s.env = []string{"B=environment"}
		s.podc("image", "build", "-t", "flags:1", "--tag", "flags:2", "--build-arg", "A=flag", "--build-arg", "B", "--label", "l=v", "--target", "two",
			"--build-context", "more=more", "--secret", "id=s,src=secret", "--add-host", "db.test:192.0.2.8", "--ulimit", "nofile=99", "--shm-size", "16m",
			"--memory", "64m", "--network", "none", "--no-cache-filter", "two", "--platform", "linux/amd64", "--iidfile", "id", "app")
		s.env = nil
		out := run(s, "flags:2", "cat /args /x /secret /hosts /nofile /shm")
		for _, want := range []string{"flag environment\n", "x of more", "the secret", "192.0.2.8\tdb.test", "\n99\n", "16384"} {
			contains(s.t, out, want)
		}
		contains(s.t, s.podc("image", "inspect", "flags:1"), `"l": "v"`)
		id, err := os.ReadFile(filepath.Join(s.dir, "id"))
		if err != nil || !strings.HasPrefix(string(id), "sha256:") {
			s.t.Errorf("%s, %v", id, err)
		}
	})
	s.behaves("a Dockerfile lies elsewhere, or comes by the standard input", func(s *stack) {
		contains(s.t, s.podc("image", "build", "-q", "-t", "file", "-f", "app/other", "app"), "sha256:")
		contains(s.t, run(s, "file", "cat /other"), "COPY other")
		cmd := s.cmd(t.Context(), "image", "build", "-t", "stdin", "-")
		cmd.Stdin = strings.NewReader("FROM localhost/podc-busybox\nRUN echo stdin > /from\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			s.t.Fatalf("%v\n%s", err, out)
		}
		contains(s.t, run(s, "stdin", "cat /from"), "stdin\n")
	})
	s.behaves("a context comes by the standard input", func(s *stack) {
		cmd := s.cmd(t.Context(), "image", "build", "-t", "tar", "-f", "other", "-")
		cmd.Stdin = bytes.NewReader(layerOf(t, []imageFile{{"other", 0o644, 0, "FROM localhost/podc-busybox\nCOPY sub /sub\n"}, {"sub/", 0o755, 0, ""}, {"sub/f", 0o600, 0, "in the archive"}}))
		if out, err := cmd.CombinedOutput(); err != nil {
			s.t.Fatalf("%v\n%s", err, out)
		}
		contains(s.t, run(s, "tar", "cat /sub/f"), "in the archive")
	})
	s.behaves("caches are kept elsewhere, and found there", func(s *stack) {
		s.podc("image", "build", "-t", "cached", "--cache-to", "type=local,dest="+filepath.Join(s.dir, "cache"), "--cache-to", "type=inline", "-f", "app/other", "app")
		if _, err := os.Stat(filepath.Join(s.dir, "cache", "index.json")); err != nil {
			s.t.Error(err)
		}
		s.podc("image", "build", "-t", "cached", "--cache-from", "type=local,src="+filepath.Join(s.dir, "cache"), "--no-cache", "--pull=false", "--rm", "--force-rm", "--compress", "-f", "app/other", "app")
	})
	s.behaves("what may harm is done only if that is allowed", func(s *stack) {
		s.write("app/insecure", "FROM localhost/podc-busybox\nRUN --security=insecure grep CapEff /proc/self/status > /caps\n")
		contains(s.t, s.fails(1, "image", "build", "-f", "app/insecure", "app"), "security.insecure")
		s.podc("image", "build", "-t", "insecure", "--allow", "security.insecure", "-f", "app/insecure", "app")
	})
	s.behaves("what is wrong is told", func(s *stack) {
		contains(s.t, s.fails(1, "image", "build", "nowhere"), "nowhere")
		contains(s.t, s.fails(1, "image", "build", "--builder", "x", "app"), "by itself")
		contains(s.t, s.fails(1, "image", "build", "--isolation", "x", "app"), "Windows")
		contains(s.t, s.fails(1, "image", "build", "--load", "app"), "image store")
		contains(s.t, s.fails(1, "image", "build", "--output", "x", "app"), "image store")
		contains(s.t, s.fails(1, "image", "build", "--provenance", "true", "app"), "attestations")
		contains(s.t, s.fails(1, "image", "build", "--sbom", "true", "app"), "attestations")
		contains(s.t, s.fails(1, "image", "build", "--push", "app"), "not available")
		contains(s.t, s.fails(1, "image", "build", "--squash", "app"), "apart")
		contains(s.t, s.fails(1, "image", "build", "--secret", "src=x", "app"), "it has no id")
		contains(s.t, s.fails(1, "image", "build", "--ulimit", "x", "app"), "invalid --ulimit")
		contains(s.t, s.fails(1, "image", "build", "--ssh", "default=/nowhere", "app"), "/nowhere")
	})
}

// A step has no more than a container has: capabilities, filters, files of the host's, and what stands open.
func TestStepsAreConfined(t *testing.T) {
	const look = `grep -E "^(Cap|Seccomp:|NoNewPrivs)" /proc/self/status; ls /proc/self/fd | grep -c .; hostname | grep -c .; cat /proc/sys/kernel/core_pattern > /dev/null; echo x > /proc/sys/kernel/core_pattern || echo refused; ls /dev | sort | tr "\n" " "`
	s := newStack(t, `
services:
  a: {build: .}
`, "look.sh", look+"\n", "Dockerfile", "FROM localhost/podc-busybox\nCOPY look.sh /\nRUN sh /look.sh > /seen 2>/dev/null\nRUN ls / > /root; ls -A /etc > /etc-seen; cat /proc/self/mountinfo > /mounts\n")
	s.load("busybox")
	s.podc("create")
	s.behaves("a step sees what a container sees", func(s *stack) {
		out := s.of("a", "sh /look.sh 2>/dev/null > /now; cat /seen; echo ---; cat /now")
		step, container, _ := strings.Cut(out, "---\n")
		if step != container || !strings.Contains(step, "refused") {
			s.t.Errorf("a step:\n%sa container:\n%s", step, container)
		}
	})
	s.behaves("nothing of the host's is mounted but files of the step's own", func(s *stack) {
		for _, line := range strings.Split(s.of("a", "cat /etc-seen /mounts; echo; ls -A /etc /run"), "\n") {
			if strings.Contains(line, s.root) && !strings.Contains(line, " / / ") && !strings.Contains(line, "/etc/") {
				s.t.Errorf("a mount of the host's: %s", line)
			}
		}
	})
}

// A context may hold whatever a folder may: what is no file is passed by, links do not lead out, what is left out is not read.
func TestHostileContext(t *testing.T) {
	s := newStack(t, "services: {a: {build: .}}\n",
		"Dockerfile", "FROM localhost/podc-busybox\nCOPY . /ctx/\nCOPY link /linked\n", ".dockerignore", "large\nunreadable\n")
	s.load("busybox")
	canary := filepath.Join(filepath.Dir(s.dir), "canary")
	if err := errors.Join(os.WriteFile(canary, []byte("outside"), 0o600), unix.Mkfifo(filepath.Join(s.dir, "fifo"), 0o600), os.Symlink(canary, filepath.Join(s.dir, "out")),
		os.Symlink("Dockerfile", filepath.Join(s.dir, "link")), os.WriteFile(filepath.Join(s.dir, "large"), nil, 0o600), os.Truncate(filepath.Join(s.dir, "large"), 10<<30)); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(s.dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.behaves("it is copied without what is no file, and without a way out", func(s *stack) {
		s.podc("create")
		out := s.of("a", "cd /ctx; ls -A; cat out 2>&1; head -n 1 /linked; test -f /linked")
		contains(s.t, out, "FROM localhost/podc-busybox")
		for _, bad := range []string{"outside", "large"} {
			if strings.Contains(out, bad) {
				s.t.Errorf("%q is in\n%s", bad, out)
			}
		}
	})
	for name, file := range map[string]string{
		"a file outside":        "FROM scratch\nCOPY ../canary /\n",
		"a link that leads out": "FROM scratch\nCOPY out /\n",
		"what is left out":      "FROM scratch\nCOPY large /\n",
	} {
		s.behaves(name+" cannot be copied", func(s *stack) {
			s.write("bad.Dockerfile", file)
			s.fails(1, "image", "build", "-f", "bad.Dockerfile", ".")
		})
	}
	s.behaves("a Dockerfile that is a FIFO is refused at once", func(s *stack) {
		contains(s.t, s.fails(1, "image", "build", "-f", "fifo", "."), "fifo")
	})
}
