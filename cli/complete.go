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
	p := command.NewParser(allCommands(con, []string{"help"}), words)
	failure := p.Parse()
	c := completer{ctx: ctx, con: con, parser: p, typed: typed}
	flag, _, isFlag := strings.Cut(typed, "=")
	switch {
	case p.Lacking != nil:
		c.values(p.Lacking.Value())
	case failure != nil || p.AsksHelp:
		return
	case isFlag && strings.HasPrefix(flag, "--"):
		if _, f := p.Find(flag[2:], true); f != nil {
			c.typed = strings.TrimPrefix(typed, flag+"=")
			c.values(f.Value())
			for i, line := range c.lines {
				if line[0] != ':' {
					c.lines[i] = flag + "=" + line
				}
			}
		}
	case strings.HasPrefix(typed, "-") && !p.Ended:
		c.flags()
	case !p.Leaf():
		c.subcommands()
	default:
		if arg, ok := p.Command.Args.At(len(p.Operands)); ok {
			c.values(arg.Value)
		}
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
	own := c.parser.Flags
	c.offerFlags(own)
	if len(c.parser.Path) > 0 {
		c.offerFlags(slices.DeleteFunc(slices.Clone(c.parser.Root.Flags), func(f *command.Flag) bool {
			return command.FlagNamed(own, f.Name(), true) != nil
		}))
	}
	c.offer("--help", "show help")
}

func (c *completer) offerFlags(flags []*command.Flag) {
	for _, f := range flags {
		if f.IsVisible() {
			c.offer("--"+f.Name(), f.Usage())
		}
	}
}

func (c *completer) subcommands() {
	for _, cmd := range c.parser.Command.Subcommands {
		if !cmd.Hidden {
			c.offer(cmd.Name, cmd.Usage)
		}
	}
}

var signals = []string{"SIGTERM", "SIGKILL", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"}

// values offers what a flag's value or an argument can be.
func (c *completer) values(v command.Value) {
	c.each(v.Words, "")
	switch v.Kind {
	case command.FileNames:
		c.lines = append(c.lines, wantsFiles)
	case command.ProjectNames:
		c.each(c.projects(), "")
	case command.ProfileNames:
		c.each(append(c.ask("config", "--profiles"), "*"), "")
	case command.ServiceNames:
		c.each(c.services(), "")
	case command.ServiceCounts:
		c.each(c.services(), "=")
	case command.ServicePlaces:
		c.each(c.services(), ":")
		c.lines = append(c.lines, wantsFiles)
	case command.ContainerNames:
		for _, p := range c.pods() {
			c.offer(p.Spec.Name, p.Spec.Container.Image+", "+string(p.Status))
		}
	case command.ContainerPlaces:
		for _, p := range c.pods() {
			c.offer(p.Spec.Name+":", "")
		}
		c.lines = append(c.lines, goesOn, wantsFiles)
	case command.NetworkNames:
		c.each(c.ask("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}"), "")
	case command.VolumeNames:
		c.each(c.ask("volume", "ls", "--quiet"), "")
	case command.ImageNames:
		c.each(c.ask("image", "ls", "--format", "{{.Repository}}:{{.Tag}}"), "")
	case command.SignalNames:
		c.each(signals, "")
	}
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
	root := allCommands(c.con, []string{"version"})
	root.Subcommands = []*command.Command{{Name: completeWord, Needs: command.NoRoot, Run: func(s *command.Session, _ *cli.Context) error {
		found = s
		return nil
	}}}
	root.App(c.con).RunContext(c.ctx, append(append([]string{root.Name}, c.parser.Global...), completeWord)) // or there is none
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
