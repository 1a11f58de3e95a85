package image

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/archive"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
)

func imageBuildCommand() *command.Command {
	return &command.Command{
		Name: "build", Usage: "build an image of a Dockerfile", Args: command.Args{command.One(command.Word("PATH|URL|-"))},
		Examples: []string{
			"podc image build -t app:1 .",
			"podc image build -f docker/Dockerfile --target prod --build-arg VERSION=2 .",
			"podc image build https://example.com/app.git#main",
		},
		Flags: []*command.Flag{
			command.List("add-host", command.Word("HOST:ADDRESS"), "name for steps, HOST:ADDRESS, repeatable"),
			command.List("allow", command.OneOf("WHAT", "network.host", "security.insecure"), "let steps do WHAT, repeatable"),
			command.List("build-arg", command.Variable, "argument, NAME=VALUE or NAME, repeatable"),
			command.List("build-context", command.Word("NAME=SOURCE"), "further context, NAME=SOURCE, repeatable"),
			command.List("cache-from", command.Word("CACHE"), "where results of earlier builds are looked for, repeatable"),
			command.List("cache-to", command.Word("CACHE"), "where results are kept for others, repeatable"),
			command.Text("file", command.File, "the Dockerfile (default: Dockerfile of PATH)", "f"),
			command.Text("iidfile", command.File, "write the image's id to FILE"),
			command.List("label", command.Variable, "label of the image, NAME=VALUE, repeatable"),
			command.Text("memory", command.Word("BYTES"), "limit of the memory of each step, such as 512m", "m"),
			command.Text("network", command.OneOf("MODE", "default", "host", "none"), "network of steps"),
			command.Toggle("no-cache", "do not use what was built before"),
			command.List("no-cache-filter", command.Word("STAGE"), "build STAGE anew, repeatable"),
			command.Text("platform", command.Word("PLATFORM"), "platform of the image"),
			command.Toggle("pull", "pull the images that the build starts from, even if they are here"),
			command.Toggle("quiet", "print the image's id alone", "q"),
			command.List("secret", command.Word("id=ID,src=FILE"), "secret for steps, id=ID,src=FILE or id=ID,env=NAME, repeatable"),
			command.Text("shm-size", command.Word("BYTES"), "size of /dev/shm of steps"),
			command.List("ssh", command.Word("ID[=PATH]"), "agent or key for steps that mount one, \"default\" or ID=PATH, repeatable"),
			command.List("tag", command.Word("NAME[:TAG]"), "name of the image, repeatable", "t"),
			command.Text("target", command.Word("STAGE"), "stage to build"),
			command.List("ulimit", command.Word("NAME=SOFT[:HARD]"), "limit of steps, NAME=SOFT[:HARD], repeatable"),
			command.Hidden(command.ToggleOn("rm", "")),
			command.Hidden(command.Toggle("force-rm", "")),
			command.Hidden(command.Toggle("compress", "")),
		},
		Refused: command.Refused{
			"builder=": "podc builds by itself", "load": "a result is always in the image store", "push": "use `podc image push` with a later version",
			"output,o=": "a result is always in the image store", "sbom=": "the image store keeps no attestations", "provenance=": "the image store keeps no attestations",
			"isolation=": "it is for Windows", "squash": "layers are kept apart",
		},
		Needs: command.Effect, Run: buildImage,
	}
}

func buildImage(s *command.Session, c *cli.Context) error {
	b, err := buildOf(s, c)
	if err != nil {
		return err
	}
	if b.Context = c.Args().First(); b.Context == "-" {
		dir, err := os.MkdirTemp("", "podc-context-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if err := contextFrom(c.Context, s.Con.In, dir, &b); err != nil {
			return err
		}
	}
	if !api.RemoteContext(b.Context) {
		if b.Context, err = filepath.Abs(b.Context); err != nil {
			return err
		}
		if b.Inline == "" {
			if b.Dockerfile, err = filepath.Abs(cmp.Or(b.Dockerfile, filepath.Join(b.Context, "Dockerfile"))); err != nil {
				return err
			}
		}
	}
	name := "Image"
	if len(b.Names) > 0 {
		name += " " + b.Names[0]
	}
	w, shown := s.WatchImages("build", c.Bool("quiet"))
	tell := w.Progress
	w.Progress = func(e api.Progress) { e.ParentID = name; tell(e) }
	tell(api.Progress{ID: name, Status: show.Working, Text: "Building"})
	id, err := s.Podc.Images.Build(c.Context, b, w)
	if err == nil {
		tell(api.Progress{ID: name, Status: show.Done, Text: "Built"})
	}
	shown()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Con.Out, "sha256:%s\n", id)
	if file := c.String("iidfile"); file != "" {
		return os.WriteFile(file, []byte("sha256:"+id), 0o644)
	}
	return nil
}

// contextFrom reads what is to be built from a stream: a Dockerfile without a context, or a context as a tar archive, which may be
// compressed with gzip.
func contextFrom(ctx context.Context, r io.Reader, dir string, b *api.Build) error {
	in := bufio.NewReaderSize(r, 64<<10)
	b.Context = dir
	if head, _ := in.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		plain, err := gzip.NewReader(in)
		if err != nil {
			return fault.Invalid("cannot read the context: %w", err)
		}
		in = bufio.NewReaderSize(plain, 64<<10)
	}
	if head, _ := in.Peek(512); len(head) < 262 || !bytes.Equal(head[257:262], []byte("ustar")) {
		text, err := io.ReadAll(io.LimitReader(in, maxDockerfile+1))
		if err != nil || len(text) > maxDockerfile {
			return fault.Invalid("cannot read a Dockerfile from the standard input: it is larger than %d MiB, or ends early", maxDockerfile>>20)
		}
		b.Inline, b.Dockerfile = string(text), ""
		return nil
	}
	root, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if b.Dockerfile != "" {
		b.Dockerfile = filepath.Join(dir, filepath.Clean("/"+b.Dockerfile))
	}
	return archive.Inside(root).Unpack(ctx, in, "/", nil)
}

// maxDockerfile bounds a Dockerfile in bytes.
const maxDockerfile = 16 << 20

// buildOf reads the flags.
func buildOf(s *command.Session, c *cli.Context) (b api.Build, err error) {
	b = api.Build{Dockerfile: c.String("file"), Target: c.String("target"), Names: c.StringSlice("tag"), Pull: c.Bool("pull"), NoCache: c.Bool("no-cache"),
		NoCacheFilter: c.StringSlice("no-cache-filter"), CacheFrom: c.StringSlice("cache-from"), CacheTo: c.StringSlice("cache-to"),
		Network: c.String("network"), Entitlements: c.StringSlice("allow"), Contexts: map[string]string{}}
	if p := c.String("platform"); p != "" {
		b.Platforms = []string{p}
	}
	if b.Args, b.SSH, err = command.BuildArguments(c, s.Con.Env); err != nil {
		return b, err
	}
	if b.Labels, err = command.Pairs("label", c.StringSlice("label")); err != nil {
		return b, err
	}
	for _, host := range c.StringSlice("add-host") {
		name, addr, ok := strings.Cut(strings.Replace(host, "=", ":", 1), ":")
		if !ok {
			return b, fault.Invalid("invalid --add-host %q: want HOST:ADDRESS", host)
		}
		b.ExtraHosts = append(b.ExtraHosts, name+"="+addr)
	}
	contexts, err := command.Pairs("build-context", c.StringSlice("build-context"))
	if err != nil {
		return b, err
	}
	maps.Copy(b.Contexts, contexts)
	for name, source := range b.Contexts {
		if !api.RemoteContext(source) {
			if b.Contexts[name], err = filepath.Abs(source); err != nil {
				return b, err
			}
		}
	}
	var err1, err2 error
	b.Memory, err1 = command.Size(c, "memory")
	b.ShmSize, err2 = command.Size(c, "shm-size")
	return b, errors.Join(err1, err2, limitsAndSecrets(c, &b))
}

func limitsAndSecrets(c *cli.Context, b *api.Build) error {
	for _, text := range c.StringSlice("ulimit") {
		l, err := units.ParseUlimit(text)
		if err != nil {
			return fault.Invalid("invalid --ulimit %q: %w", text, err)
		}
		if b.Ulimits == nil {
			b.Ulimits = map[string]api.Ulimit{}
		}
		b.Ulimits[l.Name] = api.Ulimit{Soft: l.Soft, Hard: l.Hard}
	}
	for _, text := range c.StringSlice("secret") {
		var secret api.BuildSecret
		for field := range strings.SplitSeq(text, ",") {
			switch key, value, _ := strings.Cut(field, "="); key {
			case "id":
				secret.ID = value
			case "src", "source":
				path, err := filepath.Abs(value)
				if err != nil {
					return err
				}
				secret.File = path
			case "env":
				secret.Env = value
			case "type":
			default:
				return fault.Invalid("invalid --secret %q: %q is none of id, src, env", text, key)
			}
		}
		if secret.ID == "" {
			return fault.Invalid("invalid --secret %q: it has no id", text)
		}
		if secret.File == "" && secret.Env == "" {
			secret.Env = secret.ID
		}
		b.Secrets = append(b.Secrets, secret)
	}
	return nil
}
