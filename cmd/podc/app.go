package main

import (
	"github.com/urfave/cli/v2"
)

// newApp builds the command tree, as far as args can need it. Each command is made by a constructor in a file of its own.
func newApp(con *console, args []string) *cli.App {
	app := &cli.App{
		Name:                      con.program(),
		HelpName:                  con.program(),
		Usage:                     "run compose projects, without a daemon",
		Version:                   version,
		HideVersion:               true,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true,
		Writer:                    con.out,
		ErrWriter:                 con.err,
		Flags:                     globalFlags(),
		Commands:                  commandsFor(con, args),
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              func(_ *cli.Context, err error, _ bool) error { return usage("%v", err) },
	}
	for _, c := range app.Commands {
		settle(c)
	}
	return app
}

// commands are the constructors of all commands, by name, in the order of the help.
var commands = []struct {
	name string
	make func(*console) *cli.Command
}{
	{"up", upCommand},
	{"create", createCommand},
	{"down", downCommand},
	{"start", startCommand},
	{"stop", stopCommand},
	{"restart", restartCommand},
	{"kill", killCommand},
	{"pause", pauseCommand},
	{"unpause", unpauseCommand},
	{"rm", rmCommand},
	{"scale", scaleCommand},
	{"wait", waitCommand},
	{"ps", psCommand},
	{"logs", logsCommand},
	{"exec", execCommand},
	{"top", topCommand},
	{"stats", statsCommand},
	{"events", eventsCommand},
	{"port", portCommand},
	{"cp", cpCommand},
	{"export", exportCommand},
	{"commit", commitCommand},
	{"run", runCommand},
	{"attach", attachCommand},
	{"config", configCommand},
	{configsName, configsCommand},
	{"plan", planCommand},
	{"viz", vizCommand},
	{"version", versionCommand},
	{"container", containerCommand},
	{"image", imageCommand},
	{"load", loadCommand},
	{"ls", lsCommand},
	{"images", imagesCommand},
	{"volumes", volumesCommand},
	{"network", networkCommand},
	{"volume", volumeCommand},
	{"secret", secretCommand},
	{"system", systemCommand},
	{"boot", bootCommand},
	{"doctor", doctorCommand},
	{"completion", completionCommand},
	{"generate", generateCommand},
}

// commandsFor builds the commands that args can be about: those whose names occur in it. Building all of them, as help needs,
// takes as long as half of what a quick command does.
func commandsFor(con *console, args []string) []*cli.Command {
	occurs := map[string]bool{}
	for _, arg := range args {
		occurs[arg] = true
		occurs[aliases[arg]] = true
	}
	occurs[configsName] = occurs["config"]
	all := occurs["help"] || occurs["--help"] || occurs["-h"]
	var list []*cli.Command
	for _, c := range commands {
		if all || occurs[c.name] {
			list = append(list, c.make(con))
		}
	}
	if len(list) == 0 && !all {
		return commandsFor(con, []string{"help"})
	}
	return list
}

// settle gives a command and those below it what all of them share.
func settle(c *cli.Command) {
	c.HideHelpCommand = true
	c.OnUsageError = func(_ *cli.Context, err error, _ bool) error { return usage("%v", err) }
	for _, sub := range c.Subcommands {
		settle(sub)
	}
}
