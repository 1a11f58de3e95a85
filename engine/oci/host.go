package oci

// Host is what spec generation must know of the machine. It is data, so that specs can be golden-tested anywhere.
type Host struct {
	CgroupV2 bool
	// Caps are the capabilities that podc itself may pass on.
	Caps []string
	// Rlimits are the hard limits of podc, by OCI name: defaults are clamped to them.
	Rlimits map[string]uint64
	// Stack is the limit of podc's stack, which containers get unless they ask for another, in bytes.
	Stack   uint64
	Thermal []string // further paths to mask: per-CPU thermal throttling counters
	Lacks   []string // limits that this kernel does not offer, of optionalLimits
	// AppArmor says that it is on; Profile is the one of containers that ask for none.
	AppArmor bool
	Profile  string
	// RecursiveReadOnly says that a mount can be made read-only with all that is mounted below it.
	RecursiveReadOnly bool
}
