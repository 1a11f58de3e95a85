package command

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
)

// Version is set by the linker for releases.
var Version = "0.1.0"

// Globals are the flags that every command shares.
type Globals struct {
	files, profiles, envFiles []string
	projectName, projectDir   string
	Pulls                     int // at once; 0: as many as usual
	show.Style
	Compatibility bool
	allResources  bool
	DryRun        bool
	Verbose       bool // say why each step is taken
	Root, RunRoot string
}

// GlobalsOf reads the global flags and the environment variables that stand in for them.
func GlobalsOf(c *cli.Context, con *show.Console) (Globals, error) {
	g := Globals{
		files: c.StringSlice("file"), profiles: c.StringSlice("profile"), envFiles: c.StringSlice("env-file"),
		projectName: c.String("project-name"), projectDir: c.String("project-directory"),
		Compatibility: c.Bool("compatibility") || !c.IsSet("compatibility") && con.IsTrue("COMPOSE_COMPATIBILITY"),
		allResources:  c.Bool("all-resources"), DryRun: c.Bool("dry-run"),
		Verbose: c.Bool("verbose") || c.Bool("debug") || slices.Contains([]string{"debug", "trace"}, c.String("log-level")),
	}
	var err error
	if g.Root, err = folder(con, c.String("root"), "PODC_ROOT", control.DefaultRoot); err != nil {
		return g, err
	}
	if g.RunRoot, err = folder(con, c.String("runroot"), "PODC_RUNROOT", control.DefaultRunRoot); err != nil {
		return g, err
	}
	if g.Pulls, err = pullLimit(c, con); err != nil {
		return g, err
	}
	return g, g.readStyle(c, con)
}

func GlobalFlags() []*Flag {
	style := Value{Name: "STYLE", Words: []string{"auto", "tty", "plain", "json", "quiet"}, Free: true} // readStyle knows one more
	when := Value{Name: "WHEN", Words: []string{"never", "always", "auto"}, Free: true}                 // as the variable's, checked there
	return []*Flag{
		List("file", File, "compose FILE, repeatable; \"-\" for standard input", "f"),
		Text("project-name", Value{Name: "NAME", Kind: ProjectNames}, "project NAME", "p"),
		Text("project-directory", Dir, "base DIR of relative paths"),
		List("profile", Value{Name: "PROFILE", Kind: ProfileNames}, "PROFILE to activate, repeatable; \"*\" for all"),
		List("env-file", File, "FILE with variables for the compose file, repeatable"),
		Number("parallel", 0, "N", "at most N pulls at once (default: 4); -1 for no limit"),
		Text("progress", style, ""),
		Text("ansi", when, ""),
		Toggle("compatibility", "separate the parts of names by \"_\""),
		Toggle("all-resources", "keep networks and volumes that no selected service uses"),
		Toggle("dry-run", "say what would be done, and do nothing"),
		Text("root", Dir, "DIR of pods, networks and volumes (default: "+control.DefaultRoot+")"),
		Text("runroot", Dir, "DIR of run state (default: "+control.DefaultRunRoot+")"),
		Hidden(Toggle("version", "", "v")),
		Hidden(Toggle("verbose", "")),
		Hidden(Toggle("debug", "", "D")),
		Hidden(Text("log-level", Name, "", "l")),
		Hidden(Text("host", Name, "", "H")),
		Hidden(Text("context", Name, "", "c")),
		Hidden(Toggle("tls", "")), Hidden(Toggle("tlsverify", "")),
		Hidden(Text("tlscacert", File, "")), Hidden(Text("tlscert", File, "")), Hidden(Text("tlskey", File, "")),
		Hidden(List("insecure-registry", Name, "")),
	}
}

// pullLimit is --parallel or the variable that stands in for it: how many pulls run at once, 0 meaning as many as usual. As in
// docker, what is not above 0 is no limit.
func pullLimit(c *cli.Context, con *show.Console) (int, error) {
	limit := c.Int("parallel")
	if !c.IsSet("parallel") {
		v := con.Env["COMPOSE_PARALLEL_LIMIT"]
		if v == "" {
			return 0, nil
		}
		var err error
		if limit, err = strconv.Atoi(v); err != nil {
			return 0, fault.Invalid("COMPOSE_PARALLEL_LIMIT is %q: want a whole number", v)
		}
	}
	if limit <= 0 {
		return math.MaxInt32, nil
	}
	return limit, nil
}

// folder is the first of a flag, an environment variable and a default that is set, made absolute.
func folder(con *show.Console, flag, variable, fallback string) (string, error) {
	dir := flag
	if dir == "" {
		dir = con.Env[variable]
	}
	if dir == "" {
		dir = fallback
	}
	if filepath.IsAbs(dir) {
		return filepath.Clean(dir), nil
	}
	if con.Dir == "" {
		return "", fault.Invalid("cannot make %q absolute: the working directory is gone", dir)
	}
	return filepath.Join(con.Dir, dir), nil
}

// readStyle settles --progress and --ansi, which may contradict each other.
func (g *Globals) readStyle(c *cli.Context, con *show.Console) error {
	g.Ansi = show.AnsiMode(cmp.Or(c.String("ansi"), con.Env["COMPOSE_ANSI"]))
	if g.Ansi == "" {
		g.Ansi = show.AnsiAuto
	}
	g.NoColor = con.Env["NO_COLOR"] != ""
	if !slices.Contains([]show.AnsiMode{show.AnsiNever, show.AnsiAlways, show.AnsiAuto}, g.Ansi) {
		return fault.Invalid("unknown --ansi %q: want never, always or auto", g.Ansi)
	}
	g.Progress = show.ProgressStyle(cmp.Or(c.String("progress"), con.Env["COMPOSE_PROGRESS"], string(show.ProgressAuto)))
	switch g.Progress {
	case show.ProgressAuto, show.ProgressJSON, show.ProgressQuiet:
	case "none":
		g.Progress = show.ProgressQuiet
	case show.ProgressTTY:
		if g.Ansi == show.AnsiNever {
			return fault.Invalid("--progress tty cannot be used with --ansi never")
		}
	case show.ProgressPlain:
		if g.Ansi == show.AnsiAlways {
			return fault.Invalid("--progress plain cannot be used with --ansi always")
		}
	default:
		return fault.Invalid("unknown --progress %q: want auto, tty, plain, json or quiet", g.Progress)
	}
	if g.Progress == show.ProgressAuto {
		g.Progress = show.ProgressPlain
		if g.Ansi == show.AnsiAlways || g.Ansi == show.AnsiAuto && con.ErrTTY {
			g.Progress = show.ProgressTTY
		}
	}
	return nil
}

// Ignored names the flags of the docker client that are accepted and have no meaning here.
func Ignored(c *cli.Context) string {
	var names []string
	for _, name := range []string{"host", "context", "tls", "tlsverify", "tlscacert", "tlscert", "tlskey"} {
		if c.IsSet(name) {
			names = append(names, "--"+name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("%s ignored: podc has no daemon to connect to", strings.Join(names, " "))
}
