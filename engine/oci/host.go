package oci

// Host is what spec generation must know of the machine. It is data, so that specs can be golden-tested anywhere.
type Host struct {
	CgroupV2 bool
	// Caps are the capabilities that podc itself may pass on.
	Caps []string
	// Rlimits are the hard limits of podc, by OCI name: defaults are clamped to them. OOMScore is podc's own adjustment of what
	// the OOM killer chooses by. MayExceed says that containers can be given more, and less, than these.
	Rlimits   map[string]uint64
	OOMScore  int
	MayExceed bool
	// Stack is the limit of podc's stack, which containers get unless they ask for another, in bytes.
	Stack   uint64
	Thermal []string // further paths to mask: per-CPU thermal throttling counters
	Lacks   []string // limits that this kernel does not offer, of optionalLimits
	// AppArmor says that it is on; Profile is the one of containers that ask for none.
	AppArmor bool
	Profile  string
	// IDs is how many ids of users and groups there are, from 0 on; 0: all that the kernel knows.
	IDs int64
	// Lent says that the machine's own namespaces, which containers may share, are somebody else's: what the kernel shows of them
	// in /proc, /sys and /dev/mqueue cannot be mounted anew, only shown from where the machine has it.
	Lent bool
	// NoNodes says that nobody may make device nodes: those of the machine are mounted in their places.
	NoNodes bool
	// RecursiveReadOnly says that a mount can be made read-only with all that is mounted below it.
	RecursiveReadOnly bool
}
