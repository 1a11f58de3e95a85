package command

import (
	"errors"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/cli/show"
	"podc.example/podc/project"
)

func TestReporterOnImages(t *testing.T) {
	con, _, stderr := show.BufferConsole()
	r := &Reporter{Progress: &show.PlainProgress{W: con.Err}, QuietPull: true}
	for _, e := range []project.Event{
		{Kind: project.PrepareBegan, How: project.ByPull, Image: "nginx"},
		{Kind: project.PrepareMoved, How: project.ByPull, Image: "nginx", Progress: api.Progress{Status: show.Working, Text: "Pulling", Details: "3 MB"}},
		{Kind: project.PrepareEnded, How: project.ByPull, Image: "nginx"},
		{Kind: project.RemovalBegan, Image: "nginx"},
		{Kind: project.RemovalEnded, Image: "nginx"},
		{Kind: project.RemovalBegan, Image: "app"},
		{Kind: project.RemovalEnded, Image: "app", Err: errdefs.ErrFailedPrecondition},
	} {
		r.Report(e)
	}
	want := " Image nginx Pulling\n Image nginx Pulled\n Image nginx Removing\n Image nginx Removed\n Image app Removing\n Image app Resource is still in use\n"
	if stderr.String() != want {
		t.Errorf("got\n%s", stderr)
	}
}

func TestReporter(t *testing.T) {
	con, _, stderr := show.BufferConsole()
	r := &Reporter{Progress: &show.PlainProgress{W: con.Err}, Explain: true}
	missing := project.Reason{Kind: project.Missing}
	step := func(a project.Action, why project.Reason) *project.Step {
		return &project.Step{Key: a.Key(), Why: why, Do: a}
	}
	network := step(project.CreateNetwork{Network: api.Network{Name: "shop_default"}}, missing)
	volume := step(project.CreateVolume{Volume: api.Volume{Name: "shop_data"}}, missing)
	wait := step(project.WaitPod{Name: "shop-db-1", Until: api.Healthy}, project.Reason{Kind: project.Needed, About: []string{"web"}})
	job := step(project.WaitPod{Name: "shop-job-1", Until: api.Completed}, project.Reason{})
	start := step(project.StartPod{Name: "shop-web-1"}, project.Reason{Kind: project.NotRunning})
	for _, e := range []project.Event{
		{Kind: project.LockAwaited, Text: "waiting for project lock held by pid 7"},
		{Kind: project.Warned, Text: "beware\x1b[2J"},
		{Kind: project.PrepareBegan, How: project.ByPull, Image: "nginx"},
		{Kind: project.PrepareMoved, How: project.ByPull, Image: "nginx", Progress: api.Progress{ID: "layer", ParentID: "nginx", Status: show.Working}},
		{Kind: project.PrepareEnded, How: project.ByPull, Image: "nginx"},
		{Kind: project.PrepareEnded, How: project.ByPull, Image: "other", Err: errors.New("no route\nto host")},
		{Kind: project.StepBegan, Step: network},
		{Kind: project.StepEnded, Step: network},
		{Kind: project.StepEnded, Step: volume},
		{Kind: project.StepBegan, Step: wait},
		{Kind: project.StepEnded, Step: wait},
		{Kind: project.StepEnded, Step: job},
		{Kind: project.StepEnded, Step: start, Err: errors.New("no memory")},
		{Kind: project.StepSkipped, Step: start, Text: "it failed"},
		{Kind: project.StepSkipped, Step: start, Text: "it was skipped"},
		{Kind: project.Warned, Step: start, Err: errors.New("bad"), Text: "bad; going on without it"},
	} {
		r.Report(e)
	}
	want := `waiting for project lock held by pid 7
warning: beware
 Image nginx Pulling
 Image nginx Pulled
 Image other Error no route
 Network shop_default Creating (missing)
 Network shop_default Created (missing)
 Volume shop_data Created (missing)
 Container shop-db-1 Waiting (needed by web)
 Container shop-db-1 Healthy (needed by web)
 Container shop-job-1 Exited
 Container shop-web-1 Error no memory
 Container shop-web-1 Skipped it failed
 Container shop-web-1 Error bad
warning: bad; going on without it
`
	if stderr.String() != want {
		t.Errorf("got\n%s", stderr)
	}
	stderr.Reset()
	// What is one act to docker is told as one; what was stopped is told to be.
	stop, remove := step(project.StopPod{Name: "shop-web-1"}, project.Reason{}), step(project.RemovePod{Name: "shop-web-1"}, project.Reason{})
	create := step(project.CreatePod{Spec: api.PodSpec{Name: "shop-web-1"}}, project.Reason{})
	whole := func(plan project.Plan) {
		r.Report(project.Event{Kind: project.Planned, Plan: &plan})
		for i := range plan.Steps {
			r.Report(project.Event{Kind: project.StepBegan, Step: &plan.Steps[i]})
			r.Report(project.Event{Kind: project.StepEnded, Step: &plan.Steps[i]})
		}
	}
	whole(project.Plan{Steps: []project.Step{*stop, *remove, *create}, Stopped: []string{"shop-db-1"}})
	r.restart = true
	whole(project.Plan{Steps: []project.Step{*stop, *step(project.StartPod{Name: "shop-web-1"}, project.Reason{})}})
	r.restart = false
	whole(project.Plan{Steps: []project.Step{*stop, *remove}})
	want = ` Container shop-db-1 Stopping
 Container shop-db-1 Stopped
 Container shop-web-1 Recreate
 Container shop-web-1 Recreated
 Container shop-web-1 Restarting
 Container shop-web-1 Started
 Container shop-web-1 Stopping
 Container shop-web-1 Stopped
 Container shop-web-1 Removing
 Container shop-web-1 Removed
`
	if stderr.String() != want {
		t.Errorf("got\n%s", stderr)
	}
	stderr.Reset()
	ShowPlan(&show.PlainProgress{W: con.Err}, project.Plan{Steps: []project.Step{*network, *start}, Prepare: []project.Prepare{{Ref: "x", How: project.ByPull, Why: missing}}})
	want = ` DRY-RUN MODE -  Image x Pulled (missing)
 DRY-RUN MODE -  Network shop_default Created (missing)
 DRY-RUN MODE -  Container shop-web-1 Started (not running)
`
	if stderr.String() != want {
		t.Errorf("got\n%s", stderr)
	}
	stderr.Reset()
	d := &project.Desired{Services: []project.Service{
		{Name: "web", Replicas: 1, Pod: api.PodSpec{Name: "shop-web"}}, {Name: "db", Replicas: 2, Pod: api.PodSpec{Name: "shop-db"}}}}
	ShowUnchanged(&show.PlainProgress{W: con.Err}, d, project.UpOptions{Scale: map[string]int{"db": 1}}, project.Plan{Steps: []project.Step{*start}})
	if stderr.String() != " Container shop-db-1 Running\n" {
		t.Errorf("got\n%s", stderr)
	}
}
