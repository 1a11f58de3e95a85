package container

import (
	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/show"
)

// ContainerCommand has docker's verbs for single containers, of whatever project, by name, id, or the beginning of an id.
func ContainerCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "container", Usage: "manage containers by name or id",
		Subcommands: []*cli.Command{
			containerListCommand(con), containerInspectCommand(con), containerStartCommand(con), containerStopCommand(con),
			containerRestartCommand(con), containerKillCommand(con), containerPauseCommand(con), containerUnpauseCommand(con),
			containerWaitCommand(con), containerRemoveCommand(con), containerPruneCommand(con), containerExecCommand(con),
			containerLogsCommand(con), containerPortCommand(con), containerTopCommand(con), containerCopyCommand(con), containerExportCommand(con), containerCommitCommand(con), containerAttachCommand(con), containerStatsCommand(con),
		},
	}
}
