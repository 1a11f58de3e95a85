// Package control is what any front end may ask of podc: a command line, a server, a page. Each noun has a small interface; what goes
// in and comes out is plain data that marshals, and errors have classes. Nothing here knows flags, prints, or names a path of the
// caller's machine. control/local is podc on this machine.
//
// A container is named by its name, its id, or the beginning of that; a network likewise. What is named and does not exist is
// errdefs.IsNotFound, what is asked for wrongly is errdefs.IsInvalidArgument, both before any side effect.
package control

import (
	"context"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/dockerapi"
)

// Control is podc, on this machine or another one.
type Control struct {
	Projects   Projects
	System     System
	Images     Images
	Containers Containers
	Streams    Streams
	Files      Files
	Networks   Networks
	Volumes    Volumes
	Secrets    Objects
	Configs    Objects
}

// Containers are the containers of all projects.
type Containers interface {
	// List lists what is selected, by name.
	List(ctx context.Context, sel Selection) ([]api.Pod, error)
	Get(ctx context.Context, ref string) (api.Pod, error)
	// Refresh is Get once nobody is at work on the container any more, and what has befallen it is on record.
	Refresh(ctx context.Context, ref string) (api.Pod, error)
	// Inspect tells all about a container; size measures its files, which takes time.
	Inspect(ctx context.Context, ref string, size bool) (dockerapi.Container, error)
	// Size measures the files of a container, in bytes.
	Size(ctx context.Context, ref string) (dockerapi.Size, error)

	Start(ctx context.Context, ref string) error
	Stop(ctx context.Context, ref string, opt StopOptions) error
	// Restart stops a container, if it runs, and starts it.
	Restart(ctx context.Context, ref string, opt StopOptions) error
	Kill(ctx context.Context, ref, signal string) error
	Pause(ctx context.Context, ref string) error
	Unpause(ctx context.Context, ref string) error
	Remove(ctx context.Context, ref string, opt api.RemoveOptions) error
	// Await waits until the run of a container has ended, and returns it as it is then. What follows is not waited for, as Refresh
	// does. Of one that is gone by then it is known how it ended.
	Await(ctx context.Context, ref string) (api.Pod, error)
	// Wait waits until a container meets a condition, and returns it as it is then.
	Wait(ctx context.Context, ref string, until api.Condition) (api.Pod, error)
	// Prune removes the containers that do not run; filters as PruneFilters.
	Prune(ctx context.Context, f Filters) (Pruned, error)

	// Processes lists the processes of a running container, the first one first.
	Processes(ctx context.Context, ref string) ([]api.ProcessInfo, error)
	// Usage reads what a running container has used so far.
	Usage(ctx context.Context, ref string) (api.Usage, error)
}

// StopOptions say how a container is stopped.
type StopOptions struct {
	Signal  string         `json:"signal,omitempty"`  // instead of its own
	Timeout *time.Duration `json:"timeout,omitempty"` // before it is killed; nil: its own grace period, negative: never
	// ForEnd says that the machine goes down: nobody is on record as having asked for it, and nothing else here counts.
	ForEnd bool `json:"for_end,omitempty"`
}

// Pruned is what was removed.
type Pruned struct {
	Names []string `json:"names"` // ids of containers and images, names of networks and volumes
	Freed int64    `json:"freed"` // bytes
}

// Streams are what containers say, and what befalls them.
type Streams interface {
	// Logs passes on what the containers selected have written and, if it follows, write: those too that are made later, over stops
	// and starts, until none of them runs and no command is at work that may start one; named ones until they have ended and will not
	// restart. The oldest lines come first, the end of a run after its last line. Met hears of each container before its first line. A
	// container that keeps no log is told to Warn, and left out; one that is named is an error (errdefs.IsFailedPrecondition).
	Logs(ctx context.Context, sel Selection, opt LogOptions, out LogOutput) error
	// Events passes on what befell containers, in order.
	Events(ctx context.Context, opt api.EventOptions, out func(api.Event) error) error
	// Exec runs a command in a running container, and returns its exit code once it has ended, or runs if it is to be left alone. The
	// end of ctx kills who passes its streams on, not the command. A command that cannot be run has fault.ExitOf's code. A terminal
	// is for Become only, so far.
	Exec(ctx context.Context, ref string, opt api.ExecOptions, with ExecStreams) (code int, err error)
	// Attach connects with the standard streams of a running container.
	Attach(ctx context.Context, ref string) (Stream, error)
}

// LogOptions say which lines are wanted.
type LogOptions struct {
	Follow bool      `json:"follow,omitempty"`
	Tail   int       `json:"tail"`           // of each container the last lines, -1: all
	Since  time.Time `json:"since,omitzero"` // zero: from the beginning
	Until  time.Time `json:"until,omitzero"` // zero: to the end

	// Of who follows, by the names of containers and services:
	Later []string `json:"later,omitempty"` // containers that are left out until they are started, and begin there
	Mute  []string `json:"mute,omitempty"`  // services whose lines are not wanted, only their ends
	For   []string `json:"for,omitempty"`   // services that it goes on for while they run; none: all
	Live  bool     `json:"live,omitempty"`  // containers that keep no log are listened to, as by Attach
}

// Line is one line of a container's output.
type Line struct {
	Pod    string    `json:"pod"` // its name
	Stderr bool      `json:"stderr,omitempty"`
	Time   time.Time `json:"time"`
	Text   []byte    `json:"text"` // without the newline at its end; valid only until the receiver returns
}

// LogOutput takes what Logs passes on, in one goroutine at a time. Lines come in batches: each is worth a write of its own. What is
// nil hears nothing.
type LogOutput struct {
	Met   func(pods []api.Pod)
	Lines func(lines []Line)
	Ended func(e End)
	Warn  func(text string)
}

// End is that of a run which was followed.
type End struct {
	Pod      api.Pod `json:"pod"`                // afterwards, with its exit code if that is known; of one that is gone, as it was
	Restarts bool    `json:"restarts,omitempty"` // its policy starts it again
	Replaced bool    `json:"replaced,omitempty"` // by the run that Pod is in: it was started again, or is another container
}

// ExecStreams are the command's, as far as it is not left alone.
type ExecStreams struct {
	In       io.Reader        // nil: none
	Out, Err io.Writer        // nil: it is thrown away
	Signals  <-chan os.Signal // passed on to the command
	Begun    func()           // called, if not nil, once it is about to run
}

// Becomer is what only podc on this machine has: it becomes the program that a command in a container is run by, so that none of its
// own is left between two terminals. It returns only if that fails.
type Becomer interface {
	Become(ctx context.Context, ref string, opt api.ExecOptions) error
}

// Stream is a connection with the standard streams of a container.
type Stream interface {
	io.WriteCloser                         // to its standard input
	Output(stdout, stderr io.Writer) error // returns at the end of the output
	Resize(width, height int) error        // of its terminal
	CloseWrite() error                     // ends its standard input
}

// Files are the files of containers, whether they run or not. A path is resolved as the container sees it: no link leads out.
type Files interface {
	// Get looks at a path, following a link at its end if follow says so or the path is that of a folder, and writes what is there as a
	// tar stream to what open, which is told what that is, returns: under the name as, or, if that is empty, the content of the folder.
	Get(ctx context.Context, ref, path string, follow bool, open func(FileStat) (w io.Writer, as string, err error)) error
	// Put looks at a path and unpacks the tar stream that open, which is told what is there, returns into the folder that it names.
	// With asRoot all files become root's; else they belong to whom the stream says.
	Put(ctx context.Context, ref, path string, asRoot bool, open func(FileStat) (into string, r io.Reader, err error)) error
	// Export writes the root filesystem, without what is mounted in it, as a tar stream.
	Export(ctx context.Context, ref string, w io.Writer) error
	// Commit makes an image of a container and returns its id, "sha256:...". What the image store complains about goes to warn.
	Commit(ctx context.Context, ref string, opt CommitOptions, warn func(text string)) (id string, err error)
}

// FileStat is what is at a path of a container.
type FileStat struct {
	Path   string `json:"path"` // absolute, with the links resolved that were followed
	Exists bool   `json:"exists"`
	IsDir  bool   `json:"is_dir"`
}

// CommitOptions say what image is made of a container.
type CommitOptions struct {
	Name    string   `json:"name,omitempty"` // empty: it has none
	Author  string   `json:"author,omitempty"`
	Message string   `json:"message,omitempty"`
	Changes []string `json:"changes,omitempty"` // instructions of a Dockerfile
	Pause   bool     `json:"pause,omitempty"`   // the container, meanwhile
	DryRun  bool     `json:"dry_run,omitempty"` // only look whether it could be done; there is no id
}

// Networks are those that podc made, and those made by hand.
type Networks interface {
	// List lists the networks for which f holds (NetworkFilters), by name.
	List(ctx context.Context, f Filters) ([]api.Network, error)
	Get(ctx context.Context, ref string) (api.Network, error)
	Inspect(ctx context.Context, ref string) (dockerapi.Network, error)
	// Create makes a network; errdefs.IsAlreadyExists if there is one of the name. Warnings tell what of it has no effect.
	Create(ctx context.Context, n NewNetwork) (warnings []string, err error)
	Remove(ctx context.Context, ref string) error
	// Prune removes the networks that no container uses (PruneFilters).
	Prune(ctx context.Context, f Filters) (Pruned, error)
	// Connect joins a container, running or not, to a network; e says how.
	Connect(ctx context.Context, ref, container string, e api.Endpoint) error
	// Disconnect takes a container from a network. With force it does not mind one that is not there, or not on it.
	Disconnect(ctx context.Context, ref, container string, force bool) error
}

// NewNetwork is a network that is to be made. Where nothing is said of a family of addresses, driver options may, else there are those
// of IPv4 alone.
type NewNetwork struct {
	api.Network
	IPv4 *bool `json:"want_ipv4,omitempty"`
	IPv6 *bool `json:"want_ipv6,omitempty"`
}

// Volumes are named and anonymous ones.
type Volumes interface {
	// List lists the volumes for which f holds (VolumeFilters), by name.
	List(ctx context.Context, f Filters) ([]dockerapi.Volume, error)
	Inspect(ctx context.Context, name string) (dockerapi.Volume, error)
	// Create makes a volume. One without a name is anonymous, and gets one.
	Create(ctx context.Context, v api.Volume) (api.Volume, error)
	Remove(ctx context.Context, name string) error
	// Prune removes the volumes that no container uses, with their data: anonymous ones, or all of them; by label= and label!=.
	Prune(ctx context.Context, f Filters, all bool) (Pruned, error)
}

// Objects are the secrets, or the configs, that compose files call external.
type Objects interface {
	List(ctx context.Context) ([]api.Object, error)
	// Get finds an object by its name or its id.
	Get(ctx context.Context, ref string) (api.Object, error)
	// Create keeps an object, and returns it with its id; errdefs.IsAlreadyExists if the name is taken.
	Create(ctx context.Context, o api.Object) (api.Object, error)
	// Remove forgets an object; containers keep what they have.
	Remove(ctx context.Context, ref string) error
	// Limit is the most that an object may hold, in bytes.
	Limit() int64
}

// OnlyContent reports whether a path, as the source of a copy, means what is in a folder, and not the folder.
func OnlyContent(p string) bool { return path.Base(p) == "." || path.Clean(p) == "/" }

// AsFolder reports whether a path can only be that of a folder.
func AsFolder(p string) bool { return strings.HasSuffix(p, "/") || path.Base(p) == "." }
