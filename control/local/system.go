package local

// system implements control.System.
type system struct{ cfg Config }

func (s system) Ending() bool { return s.cfg.Engine.Ending() }
