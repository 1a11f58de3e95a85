package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
)

// ForEach does something for every argument and goes on after errors, which it joins.
func ForEach(c *cli.Context, do func(context.Context, string) error) error {
	var errs []error
	for _, arg := range c.Args().Slice() {
		if err := c.Context.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, do(c.Context, arg))
	}
	return errors.Join(errs...)
}

// ShowList prints rows as --format says or, with --quiet, of each what it is called.
func ShowList[R any](s *Session, c *cli.Context, l show.Layout, rows []R, asArray bool, called func(R) string) error {
	if !c.Bool("quiet") {
		return show.PrintList(s.Con.Out, Pretty(c.String("format")), l, rows, asArray)
	}
	for _, r := range rows {
		fmt.Fprintln(s.Con.Out, called(r))
	}
	return nil
}

// RemoveEach removes whatever is named and says so. With --force it does not mind what does not exist.
func RemoveEach(s *Session, c *cli.Context, remove func(context.Context, string) error) error {
	return ForEach(c, func(ctx context.Context, name string) error {
		err := remove(ctx, name)
		if errdefs.IsNotFound(err) && c.Bool("force") {
			return nil
		}
		if err == nil {
			fmt.Fprintln(s.Con.Out, name)
		}
		return err
	})
}

// InspectEach shows what look finds for every argument, and then the errors of those for which it finds nothing.
func InspectEach[T any](s *Session, c *cli.Context, look func(ctx context.Context, arg string) (T, error)) error {
	var found []T
	err := ForEach(c, func(ctx context.Context, arg string) error {
		item, err := look(ctx, arg)
		if err == nil {
			found = append(found, item)
		}
		return err
	})
	return errors.Join(show.PrintInspect(s.Con, c.String("format"), found), err)
}

// Pairs reads KEY=VALUE flags; a KEY alone has an empty value.
func Pairs(flag string, args []string) (map[string]string, error) {
	if len(args) == 0 {
		return nil, nil
	}
	m := map[string]string{}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		if key == "" {
			return nil, fault.Invalid("invalid --%s %q: want KEY=VALUE", flag, arg)
		}
		if err := cmp.Or(valid.Line(key), valid.Text(value)); err != nil {
			return nil, fault.Invalid("invalid --%s: %v", flag, err)
		}
		m[key] = value
	}
	return m, nil
}

// Seconds is a flag that counts seconds; nil if it was not given. A negative number means no limit, as in docker.
func Seconds(c *cli.Context, name string) *time.Duration {
	if !c.IsSet(name) {
		return nil
	}
	d := time.Duration(c.Int(name)) * time.Second
	return &d
}

// Given reports whether a flag is on: set, and not set to false.
func Given(c *cli.Context, name string) bool {
	switch v := c.Value(name).(type) {
	case bool:
		return v
	default:
		return c.IsSet(name)
	}
}

// NotServed refuses flags whose feature does not exist yet.
func NotServed(c *cli.Context, names ...string) error {
	for _, name := range names {
		if Given(c, name) {
			return fault.Invalid("--%s is not available yet", name)
		}
	}
	return nil
}

// NonEmpty is a list of s, or of nothing.
func NonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// Pretty takes docker compose's other word for the table.
func Pretty(format string) string {
	if format == "pretty" {
		return "table"
	}
	return format
}

// `podc config` is compose's, unless one of the objectVerbs follows at once: then ConfigsName is meant.
const ConfigsName = "configs"

var objectVerbs = []string{"create", "ls", "list", "inspect", "rm", "remove"}

// Variables are those that a flag names. One without a value has that of podc's own environment, and is dropped if it has none there.
func Variables(flag string, vars []string, env map[string]string) ([]string, error) {
	var list []string
	for _, v := range vars {
		name, value, has := strings.Cut(v, "=")
		if err := valid.VariableName(name); err != nil {
			return nil, fault.Invalid("invalid --%s: %v", flag, err)
		}
		if !has {
			value, has = env[name]
		}
		if has {
			list = append(list, name+"="+value)
		}
	}
	if err := valid.Arguments(nil, list); err != nil {
		return nil, fault.Invalid("invalid --%s: %v", flag, err)
	}
	return list, nil
}

// Switched is the value of a switch, nil if the command line does not have it.
func Switched(c *cli.Context, name string) *bool {
	if !c.IsSet(name) {
		return nil
	}
	value := c.Bool(name)
	return &value
}

// Container finds a container by its name, its id or the beginning of that.
func (s *Session) Container(arg string) (api.Pod, error) {
	return s.Podc.Containers.Get(s.Flags.Context, arg)
}

// atOnce is how many containers a command works on at the same time.
const atOnce = 50

// EachContainer does something with every container named, many at once, prints what docker prints, the argument, and goes on
// after errors, which it joins.
func (s *Session) EachContainer(c *cli.Context, do func(ctx context.Context, ref string) error) error {
	args := c.Args().Slice()
	errs := make([]error, len(args))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, arg := range args {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = do(c.Context, arg)
		})
	}
	wg.Wait()
	for i, arg := range args {
		if errs[i] == nil {
			fmt.Fprintln(s.Con.Out, arg)
		}
	}
	return errors.Join(errs...)
}

// NoReplica is the error of a number that no container of a service has.
func NoReplica(service string, index int) error {
	return fault.New(errdefs.ErrNotFound, "service %q has no container #%d", service, index)
}

// Index is the flag that chooses one of a service's containers.
func Index() *Flag {
	return Number("index", 0, "NUMBER", "NUMBER of the replica (default: the lowest)")
}

// LogFlags are those of every logs.
func LogFlags() []*Flag {
	return []*Flag{
		Toggle("follow", "go on as output comes", "f"),
		Text("since", Time, "only lines after TIME: RFC 3339, seconds since 1970, or relative (42m)"),
		Text("until", Time, "only lines before TIME"),
		TextOr("tail", "all", Word("N"), "only the last N lines of each container", "n"),
		Toggle("timestamps", "a time before each line", "t"),
	}
}

// LogOptions reads --follow, --since, --until and --tail.
func LogOptions(c *cli.Context, now time.Time) (opt control.LogOptions, err error) {
	opt.Follow = c.Bool("follow")
	if opt.Since, err = control.ParseTime("since", c.String("since"), now); err != nil {
		return opt, err
	}
	if opt.Until, err = control.ParseTime("until", c.String("until"), now); err != nil {
		return opt, err
	}
	opt.Tail, err = parseTail(c.String("tail"))
	return opt, err
}

// parseTail reads --tail; -1 is all.
func parseTail(s string) (int, error) {
	if s == "all" {
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fault.Invalid("invalid --tail %q: want a number or \"all\"", s)
	}
	return max(n, -1), nil
}

// BuildArguments are --build-arg and --ssh of what builds: values by name, and paths by id, "" for the caller's agent.
func BuildArguments(c *cli.Context, env map[string]string) (args, ssh map[string]string, err error) {
	args, ssh = map[string]string{}, map[string]string{}
	list, err := Variables("build-arg", c.StringSlice("build-arg"), env)
	for _, kv := range list {
		name, value, _ := strings.Cut(kv, "=")
		args[name] = value
	}
	for _, key := range c.StringSlice("ssh") {
		id, path, _ := strings.Cut(key, "=")
		ssh[id] = path
	}
	return args, ssh, err
}

// Size is a flag's size in bytes; 0 if it is not given.
func Size(c *cli.Context, flag string) (int64, error) {
	text := c.String(flag)
	if text == "" {
		return 0, nil
	}
	size, err := units.RAMInBytes(text)
	if err != nil || size <= 0 {
		return 0, fault.Invalid("invalid --%s %q: want a size, such as 512m", flag, text)
	}
	return size, nil
}
