package control

// System is the machine that podc runs containers on.
type System interface {
	// Ending reports whether the machine goes down.
	Ending() bool
}
