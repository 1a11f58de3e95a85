package project

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
	"podc.example/podc/project"
)

func LsCommand() *command.Command {
	return &command.Command{
		Name: "ls", Usage: "list projects",
		Flags: []*command.Flag{
			command.Toggle("all", "projects of which nothing runs too", "a"),
			command.List("filter", command.Word("name=REGEX"), "only projects for which name=REGEX holds"),
			command.Text("format", command.Format("table", "json"), ""),
			command.Toggle("quiet", "only names", "q"),
		},
		Run: listProjects,
	}
}

// projectRow is one project, with docker's keys.
type projectRow struct {
	Name        string
	Status      string
	ConfigFiles string
}

var projectLayout = show.Layout{Columns: []show.Column{{"NAME", "Name"}, {"STATUS", "Status"}, {"CONFIG FILES", "ConfigFiles"}}}

func listProjects(s *command.Session, c *cli.Context) error {
	f, err := command.FiltersOf(c, "name")
	if err != nil {
		return err
	}
	named, err := f.Matches("name")
	if err != nil {
		return err
	}
	pods, err := s.Podc.Containers.List(c.Context, control.Selection{})
	if err != nil {
		return err
	}
	rows := slices.DeleteFunc(projectRows(pods, c.Bool("all")), func(r projectRow) bool { return !named(r.Name) })
	return command.ShowList(s, c, projectLayout, rows, true, func(r projectRow) string { return r.Name })
}

// projectRows sums up the projects that pods belong to, by name. Unless all is set, only what runs
// counts, as in docker.
func projectRows(pods []api.Pod, all bool) []projectRow {
	byName := map[string][]api.Pod{}
	for _, p := range pods {
		if name := p.Spec.Labels[project.LabelProject]; name != "" && !control.IsOneOff(p) {
			byName[name] = append(byName[name], p)
		}
	}
	rows := []projectRow{}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		members := byName[name]
		if !all {
			members = slices.DeleteFunc(members, func(p api.Pod) bool { return !p.Status.Up() })
		}
		if len(members) > 0 {
			rows = append(rows, projectRow{name, combinedStatus(members), configFiles(members)})
		}
	}
	return rows
}

// combinedStatus counts pods by what they do: "exited(1), running(2)".
func combinedStatus(pods []api.Pod) string {
	counts := map[string]int{}
	for _, p := range pods {
		counts[dockerapi.StatusOf(p)]++
	}
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s(%d)", status, counts[status]))
	}
	return strings.Join(parts, ", ")
}

// configFiles are the files that the pods were made from, each once.
func configFiles(pods []api.Pod) string {
	var files []string
	for _, p := range pods {
		for file := range strings.SplitSeq(p.Spec.Labels[project.LabelConfigFiles], ",") {
			if file != "" && !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	if len(files) == 0 {
		return "N/A"
	}
	return strings.Join(files, ",")
}
