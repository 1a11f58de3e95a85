package api

// Snapshot is what exists at one instant, as far as planning needs it.
type Snapshot struct {
	Pods     []Pod // of the group asked for, by name
	Networks map[string]Network
	Volumes  map[string]Volume
	// Unread says why networks made by hand may be missing from Networks; nil if none are.
	Unread error `json:"-"`
}

// KeeperOf is the owner of the addresses that a group keeps for pods that need not exist yet.
func KeeperOf(group string) string { return "group " + group }
