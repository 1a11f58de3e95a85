package project

import "time"

// The options of a verb are what a person asks for beside the compose file. Each verb has its own, and minds every field of it. They
// are plain data: they marshal.

// UpOptions are those of Up.
type UpOptions struct {
	Services      []string // planned with what they depend on; none: all
	NoDeps        bool     // leave the dependencies of Services alone
	Deps          Recreate // for dependencies that Services does not name
	ForceRecreate bool
	NoRecreate    bool
	RenewAnon     bool // new anonymous volumes; implies ForceRecreate
	RemoveOrphans bool
	IgnoreOrphans bool // neither remove nor mention them
	NoStart       bool
	OneOff        *OneOff        // is made beside; its service is named in Services, and not planned itself
	KeepVolumes   bool           // keep a volume whose configuration changed, with a warning, rather than plan its loss
	KeepCompleted bool           // do not run a one-shot again that completed and did not change
	Scale         map[string]int // replicas by service
	Pull          PullPolicy     // instead of that of every service, unless empty
	Build         bool           // build the images of all services that have a build
	NoBuild       bool           // build nothing
	Wait          bool           // end only when all is ready
	WaitTimeout   time.Duration  // of every wait, those of dependents too; 0: as long as a health check can take, or a day
	Timeout       *time.Duration // of stops; nil: each pod's own grace period
	Remedies      Remedies
}

// Remedy is something that a person can ask for, so that what is refused or warned of is no more.
type Remedy string

const (
	DropOrphans   Remedy = "drop-orphans"   // remove what the compose file does not have
	TakeProfiles  Remedy = "take-profiles"  // take services of inactive profiles too
	RemoveService Remedy = "remove-service" // {name}, containers that run too
	LoadImage     Remedy = "load-image"
	AllowBuild    Remedy = "allow-build"
)

// Remedies are the words of whoever asks for a verb: how people ask there for each. One without words is not spoken of.
type Remedies map[Remedy]string

// Recreate says when pods of dependencies are replaced.
type Recreate string

const (
	RecreateDiverged Recreate = "" // when they differ from the wish
	RecreateForce    Recreate = "force"
	RecreateNever    Recreate = "never"
)

// DownOptions say what goes beside pods and networks.
type DownOptions struct {
	Services      []string // none: all
	Volumes       bool     // named volumes of the project, and anonymous ones
	RemoveImages  string   // "local": those without a name of their own; "all": every one that services use; "": none
	RemoveOrphans bool
	Timeout       *time.Duration // nil: each pod's own grace period
	Remedies      Remedies
}

// StartOptions are those of Start.
type StartOptions struct {
	Services    []string      // none: all
	Wait        bool          // end only when all is ready
	WaitTimeout time.Duration // as in UpOptions
}

// StopOptions are those of Stop.
type StopOptions struct {
	Services []string       // none: all
	Timeout  *time.Duration // nil: each pod's own grace period
}

// RestartOptions are those of Restart.
type RestartOptions struct {
	Services []string       // none: all
	Timeout  *time.Duration // nil: each pod's own grace period
	NoDeps   bool           // dependents with `restart: true` do not follow
}

// KillOptions are those of Kill.
type KillOptions struct {
	Services      []string // none: all
	Signal        string   // empty: SIGKILL
	RemoveOrphans bool
}

// PauseOptions are those of Pause and Unpause.
type PauseOptions struct {
	Services []string // none: all
}

// RemoveOptions are those of Remove.
type RemoveOptions struct {
	Services []string // none: all
	Stop     bool     // running pods too, after stopping them
	Volumes  bool     // their anonymous volumes too
	Force    bool     // do not ask
}
