package cli

import (
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/container"
	"podc.example/podc/cli/image"
	"podc.example/podc/cli/network"
	"podc.example/podc/cli/project"
	"podc.example/podc/cli/secret"
	"podc.example/podc/cli/show"
	"podc.example/podc/cli/system"
	"podc.example/podc/cli/volume"
)

// allCommands is the root of all commands, as far as args can need them. Each is made by a constructor in a file of its own.
func allCommands(con *show.Console, args []string) *command.Command {
	return &command.Command{
		Name: con.Program(), Usage: "run compose projects, without a daemon", Flags: command.GlobalFlags(), Subcommands: commandsFor(args),
	}
}

// commands are the constructors of all commands, by name, in the order of the help.
var commands = []struct {
	name string
	make func() *command.Command
}{
	{"up", project.UpCommand},
	{"create", project.CreateCommand},
	{"down", project.DownCommand},
	{"start", project.StartCommand},
	{"stop", project.StopCommand},
	{"restart", project.RestartCommand},
	{"kill", project.KillCommand},
	{"pause", project.PauseCommand},
	{"unpause", project.UnpauseCommand},
	{"rm", project.RmCommand},
	{"scale", project.ScaleCommand},
	{"wait", project.WaitCommand},
	{"ps", project.PsCommand},
	{"logs", project.LogsCommand},
	{"exec", container.ExecCommand},
	{"top", container.TopCommand},
	{"stats", container.StatsCommand},
	{"events", project.EventsCommand},
	{"port", project.PortCommand},
	{"cp", container.CpCommand},
	{"export", container.ExportCommand},
	{"commit", container.CommitCommand},
	{"run", project.RunCommand},
	{"build", project.BuildCommand},
	{"pull", project.PullCommand},
	{"push", project.PushCommand},
	{"attach", container.AttachCommand},
	{"config", project.ConfigCommand},
	{command.ConfigsName, secret.ConfigsCommand},
	{"plan", project.PlanCommand},
	{"viz", project.VizCommand},
	{"version", versionCommand},
	{"container", container.ContainerCommand},
	{"image", image.ImageCommand},
	{"load", image.LoadCommand},
	{"ls", project.LsCommand},
	{"images", project.ImagesCommand},
	{"volumes", project.VolumesCommand},
	{"network", network.NetworkCommand},
	{"volume", volume.VolumeCommand},
	{"secret", secret.SecretCommand},
	{"system", system.SystemCommand},
	{"boot", system.BootCommand},
	{"doctor", system.DoctorCommand},
	{"completion", completionCommand},
	{"generate", project.GenerateCommand},
}

// commandsFor builds the commands that args can be about: those whose names occur in it. Building all of them, as help needs,
// takes as long as half of what a quick command does.
func commandsFor(args []string) []*command.Command {
	occurs := map[string]bool{}
	for _, arg := range args {
		occurs[arg] = true
		occurs[command.Aliases[arg]] = true
	}
	occurs[command.ConfigsName] = occurs["config"]
	all := occurs["help"] || occurs["--help"] || occurs["-h"]
	var list []*command.Command
	for _, c := range commands {
		if all || occurs[c.name] {
			list = append(list, c.make())
		}
	}
	if len(list) == 0 && !all {
		return commandsFor([]string{"help"})
	}
	return list
}
