package control

import (
	"context"

	"podc.example/podc/api"
	"podc.example/podc/doctor"
)

// Where podc keeps things unless it is told otherwise.
const (
	DefaultRoot    = "/var/lib/podc" // data
	DefaultRunRoot = "/run/podc"
)

// System is the machine that podc runs containers on, and podc's own state.
type System interface {
	Info(ctx context.Context) (Info, error)
	// Check finds what is broken or left over, and with repair mends it first: mended says what.
	Check(ctx context.Context, repair bool) (problems []api.Problem, mended []string, err error)
	// Examine looks whether the machine has what containers need.
	Examine(ctx context.Context) []doctor.Finding

	// BeginRun clears away what the last run of the machine has left, once after its start.
	BeginRun(ctx context.Context) error
	// EndRun notes that the machine goes down: nothing is started any more.
	EndRun() error
	// AwaitEnd stops what still runs, and returns when nothing of podc's runs any more.
	AwaitEnd(ctx context.Context) error
	// Ending reports whether the machine goes down, Stops whether its init says so, whatever is on record.
	Ending() bool
	Stops() bool
}

// Info says where podc keeps things, and what it runs with.
type Info struct {
	Root       string // data
	RunRoot    string
	RootID     string
	Runtime    string // what the programs say of their versions
	Conmon     string
	Pods       int
	Running    int
	Networks   int
	Volumes    int
	CgroupV2   bool
	ImageStore string `json:",omitempty"` // empty: as storage.conf says
}
