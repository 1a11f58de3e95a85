package control

import (
	"context"

	"podc.example/podc/project"
)

// Projects are the verbs of whole projects. A verb gets what the project should be or, if it only works on what exists, no more than
// its name: then labels tell the rest. It holds the project's lock where the containers are, and plans and runs there: what is in
// between may fail without leaving half of it undone and locked. What happens is reported as it does.
type Projects interface {
	// Plan is what Up would do. With pin the images are kept for the project: it is about to be brought up.
	Plan(ctx context.Context, d project.Desired, opt project.UpOptions, pin bool, with Watch) (project.Plan, error)
	Up(ctx context.Context, d project.Desired, opt UpOptions, with Watch) error
	// Build makes images of services anew. No container is touched.
	Build(ctx context.Context, d project.Desired, opt project.BuildOptions, with Watch) error
	// Pull fetches images of services. No container is touched.
	Pull(ctx context.Context, d project.Desired, opt project.PullOptions, with Watch) error
	// Push sends images that services build to their registries.
	Push(ctx context.Context, d project.Desired, opt project.PushOptions, with Watch) error
	Down(ctx context.Context, d project.Desired, opt project.DownOptions, with Watch) error
	Start(ctx context.Context, d project.Desired, opt project.StartOptions, with Watch) error
	Stop(ctx context.Context, d project.Desired, opt project.StopOptions, with Watch) error
	Restart(ctx context.Context, d project.Desired, opt project.RestartOptions, with Watch) error
	Kill(ctx context.Context, d project.Desired, opt project.KillOptions, with Watch) error
	Pause(ctx context.Context, d project.Desired, opt project.PauseOptions, with Watch) error
	Unpause(ctx context.Context, d project.Desired, opt project.PauseOptions, with Watch) error
	Remove(ctx context.Context, d project.Desired, opt project.RemoveOptions, with Watch) error
	// Boot starts what restart policies bring back after a start of the machine.
	Boot(ctx context.Context, name string, opt project.BootOptions, with Watch) error
	// ShutDown stops a project because the machine goes down: nobody is on record as having asked for it.
	ShutDown(ctx context.Context, name string, with Watch) error
	// Idle returns when no verb is at work on the project, or with ctx's cause.
	Idle(ctx context.Context, name string) error
}

// Watch is who asked for a verb, while it is under way. The zero Watch hears nothing and agrees to nothing.
type Watch struct {
	Report func(project.Event)
	// Confirm is asked once, with the list, before steps are taken that should not be taken unasked.
	Confirm func(steps []project.Step) bool
	DryRun  bool // report the plan, and take no step of it
	Pulls   int  // at once; 0: as many as usual
}

// UpOptions are those of Up.
type UpOptions struct {
	project.UpOptions
	// Listen names services whose output somebody will show: what their containers say that keep no log is held for Attach from their
	// start on. Attach does so for one container, with a terminal of that size.
	Listen        []string `json:"listen,omitempty"`
	Attach        string   `json:"attach,omitempty"`
	Width, Height int      `json:",omitempty"`
}
