package project

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

func buildFlag() *command.Flag {
	return command.Toggle("build", "build the images of services that have a build first")
}

func quietBuildFlag() *command.Flag {
	return command.Toggle("quiet-build", "show no output of builds")
}

func BuildCommand() *command.Command {
	return &command.Command{
		Name: "build", Usage: "build the images of services", Args: command.AnyServices,
		Examples: []string{
			"podc build                            # those of all services that have a build",
			"podc build --no-cache --pull web      # that of web, of fresh bases, without what was built before",
			"podc build --build-arg VERSION=2 web",
		},
		Flags: []*command.Flag{
			command.List("build-arg", command.Variable, "argument of builds, NAME=VALUE or NAME, repeatable"),
			command.Text("memory", command.Word("BYTES"), "limit of the memory of each step, such as 512m", "m"),
			command.Toggle("no-cache", "do not use what was built before"),
			command.Toggle("print", "print what would be built as a file for bake, and build nothing"),
			command.Toggle("pull", "pull the images that builds start from, even if they are here"),
			command.Toggle("quiet", "show no output of builds", "q"),
			command.List("ssh", command.Word("ID[=PATH]"), "agent or key for steps that mount one, \"default\" or ID=PATH, repeatable"),
			command.Toggle("with-dependencies", "build the images of dependencies too"),
			command.Hidden(command.ToggleOn("compress", "")),
			command.Hidden(command.ToggleOn("force-rm", "")),
			command.Hidden(command.ToggleOn("parallel", "")),
			command.Hidden(command.Toggle("no-rm", "")),
			command.Hidden(command.Toggle("check", "")),
			command.Hidden(command.Toggle("push", "")),
		},
		Refused: command.Refused{
			"builder=":    "podc builds by itself",
			"sbom=":       "the image store keeps no attestations",
			"provenance=": "the image store keeps no attestations",
		},
		Run: build,
	}
}

func buildOptionsOf(s *command.Session, c *cli.Context) (opt project.BuildOptions, err error) {
	if err := command.NotServed(c, "check", "push"); err != nil {
		return opt, err
	}
	opt = project.BuildOptions{Services: c.Args().Slice(), WithDeps: c.Bool("with-dependencies"), NoCache: c.Bool("no-cache"), Pull: c.Bool("pull")}
	if opt.Args, opt.SSH, err = command.BuildArguments(c, s.Con.Env); err == nil {
		opt.Memory, err = command.Size(c, "memory")
	}
	return opt, err
}

func build(s *command.Session, c *cli.Context) error {
	opt, err := buildOptionsOf(s, c)
	if err != nil {
		return err
	}
	w, err := s.Load(c.Context, command.Selection{Services: opt.Services}, podccompose.Planned)
	if err != nil {
		return err
	}
	if c.Bool("print") {
		plan, err := project.PlanBuild(*w.Desired, opt)
		if err != nil {
			return err
		}
		enc := json.NewEncoder(s.Con.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(bakeFile(plan))
	}
	o := s.Operate("build")
	defer o.Close()
	o.QuietBuild, o.QuietPull = c.Bool("quiet"), c.Bool("quiet")
	o.Planned = func(p project.Plan) {
		if len(p.Prepare) == 0 {
			o.Say("No services to build")
		}
	}
	return s.Podc.Projects.Build(c.Context, *w.Desired, opt, o.Watch())
}

// bake is a file that `docker buildx bake` reads.
type bake struct {
	Group  map[string]bakeGroup  `json:"group"`
	Target map[string]bakeTarget `json:"target"`
}

type bakeGroup struct {
	Targets []string `json:"targets"`
}

type bakeTarget struct {
	Context    string            `json:"context"`
	Contexts   map[string]string `json:"contexts,omitempty"`
	Dockerfile string            `json:"dockerfile,omitempty"`
	Inline     string            `json:"dockerfile-inline,omitempty"`
	Args       map[string]string `json:"args,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Tags       []string          `json:"tags,omitempty"`
	CacheFrom  []string          `json:"cache-from,omitempty"`
	CacheTo    []string          `json:"cache-to,omitempty"`
	Secret     []string          `json:"secret,omitempty"`
	SSH        []string          `json:"ssh,omitempty"`
	Target     string            `json:"target,omitempty"`
	Platforms  []string          `json:"platforms,omitempty"`
	NoCache    bool              `json:"no-cache,omitempty"`
	Pull       bool              `json:"pull,omitempty"`
	Network    string            `json:"network,omitempty"`
	Output     []string          `json:"output,omitempty"`
}

func bakeFile(p project.Plan) bake {
	out := bake{Group: map[string]bakeGroup{}, Target: map[string]bakeTarget{}}
	var names []string
	for _, i := range p.Prepare {
		name := i.Services[0]
		names = append(names, name)
		out.Target[name] = bakeTargetOf(*i.Build)
	}
	slices.Sort(names)
	out.Group["default"] = bakeGroup{names}
	return out
}

func bakeTargetOf(b api.Build) bakeTarget {
	t := bakeTarget{
		Context: b.Context, Contexts: b.Contexts, Dockerfile: b.Dockerfile, Inline: b.Inline, Args: b.Args, Labels: b.Labels, Tags: b.Names,
		CacheFrom: b.CacheFrom, CacheTo: b.CacheTo, Target: b.Target, Platforms: b.Platforms, NoCache: b.NoCache, Pull: b.Pull, Network: b.Network,
		Output: []string{"type=docker"},
	}
	for _, s := range b.Secrets {
		where := ",env=" + s.Env
		if s.File != "" {
			where = ",src=" + s.File
		}
		t.Secret = append(t.Secret, "id="+s.ID+where)
	}
	for _, id := range slices.Sorted(maps.Keys(b.SSH)) {
		if b.SSH[id] != "" {
			id += "=" + b.SSH[id]
		}
		t.SSH = append(t.SSH, id)
	}
	return t
}
