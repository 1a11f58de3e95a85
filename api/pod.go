// Package api is podc's vocabulary: plain data that marshals, spoken by the engine, by plans, by every front end, and over the wire.
// It has no behaviour but what follows from the data alone, imports nothing of podc's, and builds on every system.
package api

import (
	"slices"
	"strings"
	"time"
)

// PodSpec is what a pod should be. It is written once, at creation, and never changed, but for the networks that ConnectPod and
// DisconnectPod add and take away: a changed wish is a new pod.
type PodSpec struct {
	Name   string            `json:"name"`  // unique on this root; letters, digits, "_.-"
	Group  string            `json:"group"` // opaque; one group has one monitor and resolves its own names
	Labels map[string]string `json:"labels,omitempty"`

	Hostname   string `json:"hostname,omitempty"` // empty: the first 12 digits of the container's id, or the name of the shared network's pod or host
	Domainname string `json:"domainname,omitempty"`

	// AutoRemove removes the pod with its anonymous volumes when its run has ended, unless somebody attends it (see Attend).
	AutoRemove bool `json:"auto_remove,omitempty"`

	Network   PodNetwork    `json:"network"`
	PID       Namespace     `json:"pid,omitzero"`
	IPC       Namespace     `json:"ipc,omitzero"`
	UTS       Namespace     `json:"uts,omitzero"`
	Container ContainerSpec `json:"container"`
}

// NetworkMode says where a pod's network namespace comes from.
type NetworkMode string

const (
	NetworkPrivate NetworkMode = ""     // its own, attached to Endpoints (none of them: only loopback)
	NetworkHost    NetworkMode = "host" // the host's
	NetworkPod     NetworkMode = "pod"  // that of another pod, named in PodNetwork.Pod
)

// PodNetwork is a pod's view of the network.
type PodNetwork struct {
	Mode       NetworkMode `json:"mode,omitempty"`
	Pod        string      `json:"pod,omitempty"`
	Endpoints  []Endpoint  `json:"endpoints,omitempty"`
	Ports      []Port      `json:"ports,omitempty"`
	Names      []string    `json:"names,omitempty"` // resolvable on every network, beside the pod's own name, short id and host name
	DNS        []string    `json:"dns,omitempty"`   // upstream servers; empty: the host's
	DNSSearch  []string    `json:"dns_search,omitempty"`
	DNSOptions []string    `json:"dns_options,omitempty"`
	ExtraHosts []string    `json:"extra_hosts,omitempty"` // "name=address"; the address may be "host-gateway"
	// Unnamed keeps the host name to the pod itself.
	Unnamed bool `json:"unnamed,omitempty"`
	// Links maps extra names, visible only inside this pod, to names of its networks.
	Links map[string]string `json:"links,omitempty"`
}

// ContainerSpec is the main container of a pod. Zero values mean "as the image says", then "as the engine's default says".
type ContainerSpec struct {
	Image   string `json:"image"`    // as the user wrote it, for people
	ImageID string `json:"image_id"` // what it meant when the pod was planned; decides

	Entrypoint []string `json:"entrypoint"` // nil: the image's; non-nil drops the image's command too
	Command    []string `json:"command"`    // nil: the image's; empty: none
	Env        []string `json:"env,omitempty"`
	WorkingDir string   `json:"working_dir,omitempty"`
	User       string   `json:"user,omitempty"` // name or uid, optionally ":group"; names are looked up inside the root filesystem
	GroupAdd   []string `json:"group_add,omitempty"`
	TTY        bool     `json:"tty,omitempty"`
	StdinOpen  bool     `json:"stdin_open,omitempty"`
	StdinOnce  bool     `json:"stdin_once,omitempty"` // with StdinOpen and no TTY: its end is that of the first stream attached
	Init       bool     `json:"init,omitempty"`       // a reaper as PID 1

	ReadOnly     bool              `json:"read_only,omitempty"`
	Privileged   bool              `json:"privileged,omitempty"`
	CapAdd       []string          `json:"cap_add,omitempty"`
	CapDrop      []string          `json:"cap_drop,omitempty"`
	SecurityOpt  []string          `json:"security_opt,omitempty"`
	Devices      []Device          `json:"devices,omitempty"`
	DeviceRules  []string          `json:"device_rules,omitempty"` // "c 1:3 rwm"
	Sysctls      map[string]string `json:"sysctls,omitempty"`
	Ulimits      map[string]Ulimit `json:"ulimits,omitempty"` // by docker's name: "nofile"
	Annotations  map[string]string `json:"annotations,omitempty"`
	Mounts       []Mount           `json:"mounts,omitempty"`
	VolumesFrom  []VolumesFrom     `json:"volumes_from,omitempty"`
	Files        []File            `json:"files,omitempty"`
	ShmSize      int64             `json:"shm_size,omitempty"` // bytes; 0: 64 MiB
	Resources    Resources         `json:"resources"`
	OOMScoreAdj  *int              `json:"oom_score_adj,omitempty"`
	Umask        *uint32           `json:"umask,omitempty"`         // nil: the runtime's, 0022
	CgroupNS     string            `json:"cgroup_ns,omitempty"`     // "private", "host"; empty: private on cgroups v2, else host
	CgroupParent string            `json:"cgroup_parent,omitempty"` // below the root of every hierarchy
	Runtime      string            `json:"runtime,omitempty"`       // "crun" (default), "runc", or a path

	Expose []string `json:"expose,omitempty"` // ports it listens on beside those that the image says, for people: "5432/tcp"

	PostStart []Hook `json:"post_start,omitempty"`
	PreStop   []Hook `json:"pre_stop,omitempty"`

	StopSignal string         `json:"stop_signal,omitempty"` // empty: the image's, else SIGTERM
	StopGrace  *time.Duration `json:"stop_grace,omitempty"`  // nil: 10 s
	Restart    RestartPolicy  `json:"restart"`
	Health     *HealthCheck   `json:"health,omitempty"` // nil: the image's
	Log        LogConfig      `json:"log"`
}

// Device is a host device node made available in the container.
type Device struct {
	Host        string `json:"host"`
	Container   string `json:"container"`
	Permissions string `json:"permissions,omitempty"` // "rwm"
}

// Ulimit is a resource limit; -1 means unlimited.
type Ulimit struct {
	Soft int64 `json:"soft"`
	Hard int64 `json:"hard"`
}

// MountType says what is mounted.
type MountType string

const (
	MountBind   MountType = "bind"
	MountVolume MountType = "volume"
	MountTmpfs  MountType = "tmpfs"
	MountImage  MountType = "image" // the files of an image, read-only
)

// Mount is one mount of a container, in the order given.
type Mount struct {
	Type     MountType `json:"type"`
	Source   string    `json:"source,omitempty"` // bind: host path; volume: its name, empty for an anonymous one; image: its reference
	Target   string    `json:"target"`
	ReadOnly bool      `json:"read_only,omitempty"`
	// CreateSource makes a missing bind source as a folder; otherwise it is an error.
	CreateSource bool   `json:"create_source,omitempty"`
	NonRecursive bool   `json:"non_recursive,omitempty"`
	Propagation  string `json:"propagation,omitempty"` // "rprivate" when empty
	// OnlyTopReadOnly leaves what is mounted below a read-only bind as it is; AllReadOnly insists on the contrary, which else is
	// done where the kernel can (Linux 5.12).
	OnlyTopReadOnly bool   `json:"only_top_read_only,omitempty"`
	AllReadOnly     bool   `json:"all_read_only,omitempty"`
	Relabel         string `json:"relabel,omitempty"` // "z" or "Z": label the source for containers, where SELinux is on
	Subpath         string `json:"subpath,omitempty"` // of a volume or image: what is mounted of it
	// ImageID and Layers are what the reference of an image meant when the pod was planned.
	ImageID      string            `json:"image_id,omitempty"`
	Layers       []string          `json:"layers,omitempty"`
	NoCopy       bool              `json:"no_copy,omitempty"`    // volume: never seed it from the image
	TmpfsSize    int64             `json:"tmpfs_size,omitempty"` // bytes; 0: the kernel's default
	TmpfsMode    uint32            `json:"tmpfs_mode,omitempty"` // 0: 01777
	TmpfsOptions []string          `json:"tmpfs_options,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"` // for an anonymous volume that is made
}

// File is a config or secret: a small file placed on a tmpfs of the pod, never in a layer and never in saved state.
type File struct {
	Target string  `json:"target"` // absolute path in the container
	UID    string  `json:"uid,omitempty"`
	GID    string  `json:"gid,omitempty"`
	Mode   *uint32 `json:"mode,omitempty"`   // nil: 0444
	Source string  `json:"source,omitempty"` // host file, read at creation; empty: Content
	// Content is not marshalled: it may be secret.
	Content []byte `json:"-"`
}

// Resources are cgroup limits; zero means unlimited, except Pids.
type Resources struct {
	CPUs              float64  `json:"cpus,omitempty"`
	CPUShares         int64    `json:"cpu_shares,omitempty"`
	CPUPeriod         int64    `json:"cpu_period,omitempty"` // microseconds
	CPUQuota          int64    `json:"cpu_quota,omitempty"`  // microseconds
	Cpuset            string   `json:"cpuset,omitempty"`
	Memory            int64    `json:"memory,omitempty"` // bytes
	MemoryReservation int64    `json:"memory_reservation,omitempty"`
	MemorySwap        int64    `json:"memory_swap,omitempty"`      // memory plus swap, docker's memswap_limit; 0: twice Memory, -1: unlimited
	Swappiness        *int64   `json:"mem_swappiness,omitempty"`   // 0 to 100; cgroups v1 only
	OOMKillDisable    bool     `json:"oom_kill_disable,omitempty"` // cgroups v1 only
	BlockIO           *BlockIO `json:"blkio,omitempty"`
	Pids              int64    `json:"pids,omitempty"` // 0: 2048; -1: unlimited
}

// BlockIO bounds the traffic with block devices.
type BlockIO struct {
	Weight        uint16         `json:"weight,omitempty"` // 10 to 1000
	WeightDevices []DeviceWeight `json:"weight_devices,omitempty"`
	ReadBps       []DeviceRate   `json:"read_bps,omitempty"`
	WriteBps      []DeviceRate   `json:"write_bps,omitempty"`
	ReadIOps      []DeviceRate   `json:"read_iops,omitempty"`
	WriteIOps     []DeviceRate   `json:"write_iops,omitempty"`
}

// DeviceWeight is the weight of one device, named by its path on the host.
type DeviceWeight struct {
	Path   string `json:"path"`
	Weight uint16 `json:"weight"`
}

// DeviceRate is the most that one device may do in a second.
type DeviceRate struct {
	Path string `json:"path"`
	Rate uint64 `json:"rate"`
}

// RestartPolicy says what follows an exit that nobody asked for.
type RestartPolicy struct {
	Name       string `json:"name,omitempty"`        // "" or "no", "always", "on-failure", "unless-stopped"
	MaxRetries int    `json:"max_retries,omitempty"` // on-failure only; 0: no limit
}

// HealthCheck is a probe run inside the container. Zero durations and counts mean docker's defaults (30s, 30s, 3, 0s, 5s).
type HealthCheck struct {
	Test          []string      `json:"test,omitempty"` // {"NONE"}, {"CMD", argv...} or {"CMD-SHELL", line}; empty: the image's
	Interval      time.Duration `json:"interval,omitempty"`
	Timeout       time.Duration `json:"timeout,omitempty"`
	Retries       int           `json:"retries,omitempty"`
	StartPeriod   time.Duration `json:"start_period,omitempty"`
	StartInterval time.Duration `json:"start_interval,omitempty"`
}

// Logging drivers that are not like "json-file", and like the empty one.
const (
	LogNone     = "none"
	LogLocal    = "local"
	LogJournald = "journald"
)

// LogConfig says how output is kept.
type LogConfig struct {
	// Driver is "" or "json-file"; "local", with larger defaults; "journald", which has the journal keep the output as well; or
	// "none". But for the last the output lies in files beside the pod.
	Driver  string `json:"driver,omitempty"`
	MaxSize int64  `json:"max_size,omitempty"` // bytes per file; 0: 10 MiB, with local 20 MiB
	MaxFile int    `json:"max_file,omitempty"` // files kept; 0: 3, with local 5
	Tag     string `json:"tag,omitempty"`      // of journald's entries
}

// Status is what a pod is doing. It is derived (saved fact, exit file, process), never merely asserted.
type Status string

const (
	StatusCreating   Status = "creating" // half made: being made by a live process, or left by a dead one
	StatusCreated    Status = "created"
	StatusRunning    Status = "running"
	StatusPaused     Status = "paused"     // running, but for a moment that may be long
	StatusRestarting Status = "restarting" // exited; the monitor will start it again
	StatusExited     Status = "exited"
	StatusRemoving   Status = "removing"
	StatusDead       Status = "dead" // its record cannot be read: it can only be removed
)

// Live reports whether there are processes: the pod runs, or is paused.
func (s Status) Live() bool { return s == StatusRunning || s == StatusPaused }

// Up reports whether a pod counts as running: it is live, or between two runs.
func (s Status) Up() bool { return s.Live() || s == StatusRestarting }

// Health is the state of a pod's probe.
type Health string

const (
	HealthNone      Health = "" // no probe
	HealthStarting  Health = "starting"
	HealthHealthy   Health = "healthy"
	HealthUnhealthy Health = "unhealthy"
)

// Pod is one pod as observed at one instant.
type Pod struct {
	Spec    PodSpec   `json:"spec"`
	ID      string    `json:"id"` // 64 hex digits; names the container to the runtime
	Created time.Time `json:"created"`

	Status     Status            `json:"status"`
	Pid        int               `json:"pid,omitempty"` // of the container's first process, 0 unless running
	Started    time.Time         `json:"started,omitzero"`
	Finished   time.Time         `json:"finished,omitzero"`
	ExitCode   int               `json:"exit_code"`            // of the last run
	ExitKnown  bool              `json:"exit_known"`           // false: it ended while nobody could see (reboot, killed conmon)
	OOMKilled  bool              `json:"oom_killed,omitempty"` // last run
	Error      string            `json:"error,omitempty"`      // why the last start failed
	Restarts   int               `json:"restarts,omitempty"`   // by policy, since the last start asked for
	Health     Health            `json:"health,omitempty"`
	Failing    int               `json:"failing,omitempty"` // probes failed in a row
	Probes     []Probe           `json:"probes,omitempty"`  // the last five, oldest first
	Interfaces []Interface       `json:"interfaces,omitempty"`
	Ports      []Port            `json:"ports,omitempty"`   // as published: with the host ports that were chosen
	Volumes    map[string]string `json:"volumes,omitempty"` // target -> volume name, anonymous ones included
	// Halting says, of a running pod, that a stop is under way. If nobody is at it any more it was cut short, and the container
	// may end at any moment, or never.
	Halting bool `json:"halting,omitempty"`
	// Returns says that the pod is at rest, and that its restart policy brings it back when the machine has started.
	Returns bool `json:"returns,omitempty"`
	// HooksDue says that the hooks which follow a start have not succeeded since.
	HooksDue bool `json:"hooks_due,omitempty"`
	// RunLost says, of a running pod, that what podc needs to look after the run is gone, as when somebody has emptied the run
	// root: it can be stopped, and not much else.
	RunLost bool `json:"run_lost,omitempty"`
	// FilesLost says that the contents of the pod's files are gone, as after a reboot: it can only be made anew.
	FilesLost bool `json:"files_lost,omitempty"`

	From    []Mount  `json:"from,omitempty"`    // what Spec.Container.VolumesFrom came to
	Image   Image    `json:"image,omitzero"`    // as it was resolved when the pod was made
	Args    []string `json:"args,omitempty"`    // what the container runs: the image's where the spec has none
	Exposed []string `json:"exposed,omitempty"` // ports that it is said to listen on, "5432/tcp", sorted
}

// Probe is the outcome of one health check.
type Probe struct {
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	ExitCode int       `json:"exit_code"`        // -1: killed at its timeout
	Output   string    `json:"output,omitempty"` // at most 4 KiB
}

// Condition is what WaitPod waits for.
type Condition string

const (
	Started   Condition = "started"   // running, or already ended well
	Healthy   Condition = "healthy"   // its probe succeeded; an error if it has none
	Completed Condition = "completed" // exited with code 0
	// Ready is what `up --wait` asks for: healthy where there is a probe, else to have run for half a second; one that ended with
	// code 0 and will not restart is ready too. Without a probe a restart by policy is an error.
	Ready Condition = "ready"
	// Running is running now; ends, however bad, are waited out.
	Running Condition = "running"
	// Stopped is exited, whatever the code, and not going to restart.
	Stopped Condition = "stopped"
)

// String is a problem in one line.
func (p Problem) String() string {
	line := strings.TrimSpace(p.Kind + " " + p.Object)
	if p.Detail != "" {
		line += ": " + p.Detail
	}
	return line
}

// Known reports whether c can be waited for.
func (c Condition) Known() bool {
	return slices.Contains([]Condition{Started, Healthy, Completed, Ready, Running, Stopped}, c)
}

// Problem is a broken invariant found by Check.
type Problem struct {
	Kind   string `json:"kind"` // "pod", "netns", "mount", "cgroup", "link", "lease", "rule", "process", "file", ...
	Object string `json:"object"`
	Detail string `json:"detail"`
}

// Borrowed is one thing that a pod has of another one.
type Borrowed struct{ What, Of string }

// Borrowed lists what the pod has of others, in a fixed order.
func (s PodSpec) Borrowed() []Borrowed {
	var list []Borrowed
	s.MapBorrowed(func(b Borrowed) string {
		list = append(list, b)
		return b.Of
	})
	return list
}

// MapBorrowed renames the pods that the pod borrows from. It shares no memory that it changed.
func (s *PodSpec) MapBorrowed(name func(Borrowed) string) {
	if s.Network.Mode == NetworkPod {
		s.Network.Pod = name(Borrowed{BorrowNetwork, s.Network.Pod})
	}
	for _, n := range []struct {
		what string
		of   *Namespace
	}{{BorrowPID, &s.PID}, {BorrowIPC, &s.IPC}, {BorrowUTS, &s.UTS}} {
		if n.of.Mode == NamespacePod {
			n.of.Pod = name(Borrowed{n.what, n.of.Pod})
		}
	}
	s.Container.VolumesFrom = slices.Clone(s.Container.VolumesFrom)
	for i, v := range s.Container.VolumesFrom {
		s.Container.VolumesFrom[i].Pod = name(Borrowed{BorrowVolumes, v.Pod})
	}
}

// NamespaceMode says where a namespace of a pod comes from, beside that of the network.
type NamespaceMode string

// Namespace is a pod's pid, ipc or uts namespace.
type Namespace struct {
	Mode NamespaceMode `json:"mode,omitempty"`
	Pod  string        `json:"pod,omitempty"` // of NamespacePod
}

// VolumesFrom has a pod mount what another one mounts of volumes and of the host.
type VolumesFrom struct {
	Pod      string `json:"pod"`
	ReadOnly bool   `json:"read_only,omitempty"`
}

// IsOn reports whether the pod is on a network, or will be when it starts.
func (p Pod) IsOn(network string) bool {
	return slices.ContainsFunc(p.Spec.Network.Endpoints, func(e Endpoint) bool { return e.Network == network }) ||
		slices.ContainsFunc(p.Interfaces, func(i Interface) bool { return i.Network == network })
}

// ExitNote is what an exit code does not tell of the end, to be put behind it; mostly "".
func (p Pod) ExitNote() string {
	if p.OOMKilled {
		return " (out of memory)"
	}
	return ""
}

// Kept reports whether there is a log to be kept.
func (c LogConfig) Kept() bool { return c.Driver != LogNone }

// Hook is a command that runs inside of a container after its start or before its stop, as docker compose's post_start and
// pre_stop. It has the container's environment and user where it says nothing else.
type Hook struct {
	Command    []string `json:"command"`
	User       string   `json:"user,omitempty"`
	Privileged bool     `json:"privileged,omitempty"`
	WorkingDir string   `json:"working_dir,omitempty"`
	Env        []string `json:"env,omitempty"` // K=V
}

// RemoveOptions says what goes with a pod.
type RemoveOptions struct {
	Volumes bool // its anonymous volumes too
	Force   bool // stop it first, by SIGKILL
}

const (
	NamespacePrivate   NamespaceMode = ""          // its own
	NamespaceHost      NamespaceMode = "host"      // the host's
	NamespacePod       NamespaceMode = "pod"       // that of another pod
	NamespaceShareable NamespaceMode = "shareable" // ipc only: its own, that others may join, with /dev/shm
	NamespaceNone      NamespaceMode = "none"      // ipc only: its own, without /dev/shm
)

// Kinds of things that a pod can borrow from another one.
const (
	BorrowNetwork = "network"
	BorrowPID     = "pid namespace"
	BorrowIPC     = "ipc namespace"
	BorrowUTS     = "uts namespace"
	BorrowVolumes = "volumes"
)

// PodDetails is what there is to know of a pod beside Pod, for those who look closely: where its files lie on the host, and what
// is kept from its container. Paths are given whether or not something is there at the moment.
type PodDetails struct {
	Log                     string // the newest file
	Hosts, Resolv, Hostname string // mounted into the container
	Merged, Upper, Work     string // the root filesystem's overlay; its lower folders are Pod.Image.Layers
	UserXattrs              bool   // the overlay's marks are in attributes that any user may set
	NetNS                   string // the pinned network namespace; empty: the host's
	Masked, ReadOnly        []string
	AppArmor                string // its profile; "" where there is no AppArmor
}
