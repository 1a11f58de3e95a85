package api

import "time"

// Event is something that befell a pod, in docker's words.
type Event struct {
	Time   time.Time `json:"time"`
	Type   string    `json:"type"`   // "container"
	Action string    `json:"action"` // "create", "start", "die", "exec_start: sh", "health_status: healthy", ...
	Pod    string    `json:"pod"`
	ID     string    `json:"id"`
	Group  string    `json:"group"`
	// Attributes are the pod's labels, its image and name, and what the action has of its own: "exitCode", "signal".
	Attributes map[string]string `json:"attributes,omitempty"`
}

// EventOptions says which events are wanted.
type EventOptions struct {
	Group string    // empty: of every group
	Since time.Time // zero: from now on
	Until time.Time // zero: for ever, with Follow; else to the end
	// Follow goes on with what happens later.
	Follow bool
}

// LogLine is one line of a container's output.
type LogLine struct {
	Time   time.Time // when its last part was written; whole lines of one log come in the order of these times
	Stream string    // "stdout" or "stderr"
	Text   []byte    // without the newline; valid only until the receiver returns
	// Partial says that the line goes on in the next LogLine of its stream, or that its end is not written yet.
	Partial bool
}

// ProcessInfo is one process of a container, as the host sees it.
type ProcessInfo struct {
	Pid, Parent int
	UID         int    // effective
	State       string // the kernel's letter: "R", "S", "D", "Z", ...
	Started     time.Time
	CPU         time.Duration // used so far, by all of its threads
	TTY         string        // "pts/0"; empty: none
	Threads     int
	Virtual     int64    // bytes of address space
	Resident    int64    // bytes in memory
	Name        string   // as the kernel has it, 15 bytes at most
	Args        []string // empty for a zombie
}

// Usage is what a container has used so far, and uses now. CPU shares and rates follow from two of them.
type Usage struct {
	Read   time.Time
	CPU    time.Duration // by all processes, since the start
	User   time.Duration // of CPU
	System time.Duration // of CPU
	Host   time.Duration // what all CPUs of the host have done since boot
	CPUs   int           // of the host

	Memory      int64 // bytes, page cache included
	Cache       int64 // bytes of Memory that are file cache which nobody used lately
	MemoryLimit int64 // bytes; the host's memory if there is no limit
	Pids        int64
	PidsLimit   int64 // 0: none

	Networks   map[string]NetworkUsage // by interface; nil in the host's network
	BlockRead  int64                   // bytes
	BlockWrite int64                   // bytes
}

// NetworkUsage is what one interface has carried, as the container sees it.
type NetworkUsage struct {
	RxBytes, RxPackets, RxErrors, RxDropped int64
	TxBytes, TxPackets, TxErrors, TxDropped int64
}

// Progress is how far one piece of a long operation has come: of a pull, a load, a push, a build. Each replaces those with the
// same ID. What a journal tells of what has happened is an Event.
type Progress struct {
	ID       string `json:"id"`
	ParentID string `json:"parent_id,omitempty"`
	Status   string `json:"status"` // "Working", "Done", "Warning" or "Error"
	Text     string `json:"text"`
	Details  string `json:"details,omitempty"`
	Current  int64  `json:"current,omitempty"` // bytes
	Total    int64  `json:"total,omitempty"`   // bytes; 0: not known
	Percent  int    `json:"percent,omitempty"`
	Step     int    `json:"step,omitempty"`   // of a build: which, from 1 on
	Cached   bool   `json:"cached,omitempty"` // of a step of a build: it was not run, its result was there
	Log      string `json:"log,omitempty"`    // what a step of a build has written since, in whole lines where it wrote whole ones
}
