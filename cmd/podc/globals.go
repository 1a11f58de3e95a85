package main

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"podc.example/podc/control"
)

// version is set by the linker for releases.
var version = "0.1.0"

// globals are the flags that every command shares.
type globals struct {
	files, profiles, envFiles []string
	projectName, projectDir   string
	pulls                     int // at once; 0: as many as usual
	style
	compatibility bool
	allResources  bool
	dryRun        bool
	verbose       bool // say why each step is taken
	root, runRoot string
}

// globalsOf reads the global flags and the environment variables that stand in for them.
func globalsOf(c *cli.Context, con *console) (globals, error) {
	g := globals{
		files: c.StringSlice("file"), profiles: c.StringSlice("profile"), envFiles: c.StringSlice("env-file"),
		projectName: c.String("project-name"), projectDir: c.String("project-directory"),
		compatibility: c.Bool("compatibility") || !c.IsSet("compatibility") && con.isTrue("COMPOSE_COMPATIBILITY"),
		allResources:  c.Bool("all-resources"), dryRun: c.Bool("dry-run"),
		verbose: c.Bool("verbose") || c.Bool("debug") || slices.Contains([]string{"debug", "trace"}, c.String("log-level")),
	}
	var err error
	if g.root, err = folder(con, c.String("root"), "PODC_ROOT", control.DefaultRoot); err != nil {
		return g, err
	}
	if g.runRoot, err = folder(con, c.String("runroot"), "PODC_RUNROOT", control.DefaultRunRoot); err != nil {
		return g, err
	}
	if g.pulls, err = pullLimit(c, con); err != nil {
		return g, err
	}
	return g, g.readStyle(c, con)
}

func globalFlags() []cli.Flag {
	return []cli.Flag{
		list("file", "compose `FILE`, repeatable; \"-\" for standard input", "f"),
		text("project-name", "project `NAME`", "p"),
		text("project-directory", "base `DIR` of relative paths"),
		list("profile", "`PROFILE` to activate, repeatable; \"*\" for all"),
		list("env-file", "`FILE` with variables for the compose file, repeatable"),
		number("parallel", 0, "at most `N` pulls at once (default: 4); -1 for no limit"),
		text("progress", "auto, tty, plain, json or quiet (`STYLE`)"),
		text("ansi", "never, always or auto (`WHEN`)"),
		toggle("compatibility", "separate the parts of names by \"_\""),
		toggle("all-resources", "keep networks and volumes that no selected service uses"),
		toggle("dry-run", "say what would be done, and do nothing"),
		text("root", "`DIR` of pods, networks and volumes (default: "+control.DefaultRoot+")"),
		text("runroot", "`DIR` of run state (default: "+control.DefaultRunRoot+")"),
		hidden(toggle("version", "", "v")),
		hidden(toggle("verbose", "")),
		hidden(toggle("debug", "", "D")),
		hidden(text("log-level", "", "l")),
		hidden(text("host", "", "H")),
		hidden(text("context", "", "c")),
		hidden(toggle("tls", "")), hidden(toggle("tlsverify", "")),
		hidden(text("tlscacert", "")), hidden(text("tlscert", "")), hidden(text("tlskey", "")),
		hidden(list("insecure-registry", "")),
	}
}

// pullLimit is --parallel or the variable that stands in for it: how many pulls run at once, 0 meaning as many as usual. As in
// docker, what is not above 0 is no limit.
func pullLimit(c *cli.Context, con *console) (int, error) {
	limit := c.Int("parallel")
	if !c.IsSet("parallel") {
		v := con.env["COMPOSE_PARALLEL_LIMIT"]
		if v == "" {
			return 0, nil
		}
		var err error
		if limit, err = strconv.Atoi(v); err != nil {
			return 0, usage("COMPOSE_PARALLEL_LIMIT is %q: want a whole number", v)
		}
	}
	if limit <= 0 {
		return math.MaxInt32, nil
	}
	return limit, nil
}

// folder is the first of a flag, an environment variable and a default that is set, made absolute.
func folder(con *console, flag, variable, fallback string) (string, error) {
	dir := flag
	if dir == "" {
		dir = con.env[variable]
	}
	if dir == "" {
		dir = fallback
	}
	if filepath.IsAbs(dir) {
		return filepath.Clean(dir), nil
	}
	if con.dir == "" {
		return "", usage("cannot make %q absolute: the working directory is gone", dir)
	}
	return filepath.Join(con.dir, dir), nil
}

// readStyle settles --progress and --ansi, which may contradict each other.
func (g *globals) readStyle(c *cli.Context, con *console) error {
	g.ansi = ansiMode(cmp.Or(c.String("ansi"), con.env["COMPOSE_ANSI"]))
	if g.ansi == "" {
		g.ansi = ansiAuto
	}
	g.noColor = con.env["NO_COLOR"] != ""
	if !slices.Contains([]ansiMode{ansiNever, ansiAlways, ansiAuto}, g.ansi) {
		return usage("unknown --ansi %q: want never, always or auto", g.ansi)
	}
	g.progress = progressStyle(cmp.Or(c.String("progress"), con.env["COMPOSE_PROGRESS"], string(progressAuto)))
	switch g.progress {
	case progressAuto, progressJSON, progressQuiet:
	case "none":
		g.progress = progressQuiet
	case progressTTY:
		if g.ansi == ansiNever {
			return usage("--progress tty cannot be used with --ansi never")
		}
	case progressPlain:
		if g.ansi == ansiAlways {
			return usage("--progress plain cannot be used with --ansi always")
		}
	default:
		return usage("unknown --progress %q: want auto, tty, plain, json or quiet", g.progress)
	}
	if g.progress == progressAuto {
		g.progress = progressPlain
		if g.ansi == ansiAlways || g.ansi == ansiAuto && con.errTTY {
			g.progress = progressTTY
		}
	}
	return nil
}

// ignored names the flags of the docker client that are accepted and have no meaning here.
func ignored(c *cli.Context) string {
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
