package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/project"
)

// completeWord is what completion scripts call podc with.
const completeWord = "__complete"

// completeDeadline bounds the search for names: nobody waits long for the tab key.
const completeDeadline = 3 * time.Second

// Special lines of an answer.
const (
	wantsFiles = ":files"
	goesOn     = ":nospace"
)

// complete prints what the last of words, which may be empty, could become. Names are found as the flags before it say; what
// cannot be found is left out, for there is nobody to tell.
func complete(ctx context.Context, con *show.Console, words []string) {
	ctx, cancel := context.WithTimeout(ctx, completeDeadline)
	defer cancel()
	words, typed := typedWord(words)
	app := newApp(con, []string{"help"})
	p := command.ArgParser{Root: app, Level: app.Flags, Commands: app.Commands, Rest: words}
	failure := p.Parse()
	c := completer{ctx: ctx, con: con, parser: &p, typed: typed}
	flag, _, isFlag := strings.Cut(typed, "=")
	switch {
	case p.Lacking != nil:
		c.values(p.Lacking, "")
	case failure != nil || p.AsksHelp:
		return
	case isFlag && strings.HasPrefix(flag, "--"):
		if _, f, _ := p.Find(flag[2:], true); f != nil {
			c.values(f, flag+"=")
		}
	case strings.HasPrefix(typed, "-") && !p.Ended:
		c.flags()
	case !p.Leaf():
		c.subcommands()
	default:
		c.operand()
	}
	for _, line := range c.lines {
		fmt.Fprintln(con.Out, line)
	}
}

// typedWord takes the word being typed off the end. bash makes three words of "--flag=value".
func typedWord(words []string) (before []string, typed string) {
	if len(words) == 0 {
		return nil, ""
	}
	before, typed = words[:len(words)-1], words[len(words)-1]
	if typed == "=" {
		return before, ""
	}
	if n := len(before); n > 1 && before[n-1] == "=" && strings.HasPrefix(before[n-2], "--") {
		before = before[:n-1]
	}
	return before, typed
}

// completer collects what the word being typed could become.
type completer struct {
	ctx    context.Context
	con    *show.Console
	parser *command.ArgParser
	typed  string
	lines  []string
	all    []api.Pod // of every project, once asked for
}

// offer adds a word if what is typed is its beginning.
func (c *completer) offer(word, what string) {
	if strings.HasPrefix(word, c.typed) {
		c.lines = append(c.lines, strings.TrimRight(show.Printable(word+"\t"+show.OneLine(what)), "\t"))
	}
}

// flags offers those of the command, and the global ones that it does not have itself.
func (c *completer) flags() {
	c.offerFlags(c.parser.Level)
	if len(c.parser.Path) > 0 {
		c.offerFlags(slices.DeleteFunc(slices.Clone(c.parser.Root.Flags), func(f cli.Flag) bool {
			return command.FlagNamed(c.parser.Level, f.Names()[0], true) != nil
		}))
	}
	c.offer("--help", "show help")
}

func (c *completer) offerFlags(flags []cli.Flag) {
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if v, hides := f.(cli.VisibleFlag); !ok || hides && !v.IsVisible() {
			continue
		}
		_, usage := unquote(d.GetUsage())
		c.offer("--"+f.Names()[0], usage)
	}
}

func (c *completer) subcommands() {
	for _, cmd := range c.parser.Commands {
		if !cmd.Hidden {
			c.offer(cmd.Name, cmd.Usage)
		}
	}
}

// operand offers names of what the usage of the command says comes next.
func (c *completer) operand() {
	list, last := c.parser.Root.Commands, &cli.Command{}
	if len(c.parser.Path) > 0 {
		for _, name := range c.parser.Path {
			i := slices.IndexFunc(list, func(cmd *cli.Command) bool { return cmd.Name == name })
			if i < 0 {
				return
			}
			last, list = list[i], list[i].Subcommands
		}
	}
	wants := strings.Fields(last.ArgsUsage)
	if len(wants) == 0 {
		return
	}
	n := len(c.parser.Operands)
	if n >= len(wants) {
		n = len(wants) - 1
		if !strings.Contains(wants[n], "...") {
			return
		}
	}
	c.names(strings.Trim(wants[n], "[].|-"))
}

// names offers those of a kind of thing, as usages call it.
func (c *completer) names(kind string) {
	switch {
	case strings.HasPrefix(kind, "SERVICE=") || strings.HasPrefix(kind, "SVC="):
		c.each(c.services(), "=")
	case strings.HasPrefix(kind, "SERVICE:"), strings.HasPrefix(kind, "SVC:"):
		c.each(c.services(), ":")
		c.lines = append(c.lines, wantsFiles)
	case strings.HasPrefix(kind, "SERVICE"):
		c.each(c.services(), "")
	case strings.HasPrefix(kind, "CONTAINER:"):
		for _, p := range c.pods() {
			c.offer(p.Spec.Name+":", "")
		}
		c.lines = append(c.lines, goesOn, wantsFiles)
	case strings.HasPrefix(kind, "CONTAINER"):
		for _, p := range c.pods() {
			c.offer(p.Spec.Name, p.Spec.Container.Image+", "+string(p.Status))
		}
	case kind == "NETWORK", kind == "VOLUME":
		c.each(c.objects(kind), "")
	case strings.HasPrefix(kind, "IMAGE"):
		c.each(c.images(), "")
	case kind == "PROFILE":
		c.each(append(c.profiles(), "*"), "")
	case kind == "SHELL":
		c.each(slices.Sorted(maps.Keys(completionScripts)), "")
	case kind == "FILE", kind == "DIR", kind == "ARCHIVE", kind == "PATH":
		c.lines = append(c.lines, wantsFiles)
	}
}

// fixedValues are what some flags choose from, by the name of their value in help.
var fixedValues = map[string][]string{
	"STYLE":  {"auto", "tty", "plain", "json", "quiet"},
	"WHEN":   {"never", "always", "auto"},
	"POLICY": {"always", "missing", "never"},
	"SIGNAL": {"SIGTERM", "SIGKILL", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"},
	"WHICH":  {"local", "all"},
	"STATUS": {"created", "running", "restarting", "paused", "exited", "removing", "dead"},

	"PROTOCOL": {"tcp", "udp"},
	"DRIVER":   {"bridge", "macvlan", "ipvlan"},
}

// values offers those of a flag; before stands in front of each.
func (c *completer) values(f cli.Flag, before string) {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok || !d.TakesValue() {
		return
	}
	c.typed = strings.TrimPrefix(c.typed, before)
	kind, usage := unquote(d.GetUsage())
	switch {
	case kind == "FORMAT":
		c.each(formatsIn(usage), "")
	case fixedValues[kind] != nil:
		c.each(fixedValues[kind], "")
	case f.Names()[0] == "project-name":
		c.each(c.projects(), "")
	default:
		c.names(kind)
	}
	for i, line := range c.lines {
		if line[0] != ':' {
			c.lines[i] = before + line
		}
	}
}

// formatsIn are the values that the usage of a --format names: "table, json or a Go template".
func formatsIn(usage string) []string {
	var names []string
	list, _, _ := strings.Cut(usage, " (")
	for _, name := range strings.Split(strings.ReplaceAll(list, " or ", ", "), ", ") {
		if name != "" && !strings.Contains(name, " ") {
			names = append(names, name)
		}
	}
	return names
}

func (c *completer) each(words []string, suffix string) {
	for _, w := range words {
		c.offer(w+suffix, "")
	}
	if suffix != "" && len(c.lines) > 0 {
		c.lines = append(c.lines, goesOn)
	}
}

// session is one as the global flags before the word say.
func (c *completer) session() (found *command.Session) {
	app := newApp(c.con, []string{"version"})
	app.Commands = []*cli.Command{{Name: completeWord, Action: func(ctx *cli.Context) (err error) {
		found, err = command.Open(ctx, c.con)
		return err
	}}}
	if app.RunContext(c.ctx, append(append([]string{app.Name}, c.parser.Global...), completeWord)) != nil {
		return nil
	}
	return found
}

func (c *completer) pods() []api.Pod {
	if s := c.session(); c.all == nil && s != nil {
		c.all, _ = s.Podc.Containers.List(c.ctx, control.Selection{})
	}
	return c.all
}

func (c *completer) projects() []string {
	found := map[string]bool{}
	for _, p := range c.pods() {
		if name := p.Spec.Labels[project.LabelProject]; name != "" {
			found[name] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// services are those of the compose file, in any profile, else those that have containers.
func (c *completer) services() []string {
	s := c.session()
	if s == nil {
		return nil
	}
	t, err := s.Target(c.ctx, nil)
	if err != nil {
		return nil
	}
	names := t.Known
	if !t.Modelled {
		for _, p := range c.pods() {
			if p.Spec.Group == t.Name {
				names = append(names, p.Spec.Labels[project.LabelService])
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *completer) objects(kind string) []string {
	s := c.session()
	if s == nil {
		return nil
	}
	var names []string
	if kind == "NETWORK" {
		all, _ := s.Podc.Networks.List(c.ctx, control.Filters{"type": {"custom"}})
		for _, n := range all {
			names = append(names, n.Name)
		}
		return names
	}
	all, _ := s.Podc.Volumes.List(c.ctx, nil)
	for _, v := range all {
		names = append(names, v.Name)
	}
	return names
}

// images are the names of those that are here, by podc itself.
func (c *completer) images() []string {
	return c.ask("image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
}

func (c *completer) profiles() []string { return c.ask("config", "--profiles") }

// ask runs another command of podc with the same global flags, and returns the lines that it prints.
func (c *completer) ask(args ...string) []string {
	var out, ignored strings.Builder
	con := *c.con
	con.Out, con.Err = &out, &ignored
	if run(c.ctx, &con, append(slices.Clone(c.parser.Global), args...)) != 0 {
		return nil
	}
	return strings.Fields(out.String())
}
