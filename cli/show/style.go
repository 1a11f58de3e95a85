package show

// ProgressStyle is --progress.
type ProgressStyle string

const (
	ProgressAuto  ProgressStyle = "auto"
	ProgressTTY   ProgressStyle = "tty"
	ProgressPlain ProgressStyle = "plain"
	ProgressJSON  ProgressStyle = "json"
	ProgressQuiet ProgressStyle = "quiet"
)

// AnsiMode is --ansi.
type AnsiMode string

const (
	AnsiNever  AnsiMode = "never"
	AnsiAlways AnsiMode = "always"
	AnsiAuto   AnsiMode = "auto"
)

// Style is how things are shown.
type Style struct {
	Progress ProgressStyle
	Ansi     AnsiMode
	NoColor  bool // NO_COLOR: no colours, whatever else is asked for
}

// Color reports whether a stream may be coloured.
func (g Style) Color(tty bool) bool {
	return !g.NoColor && (g.Ansi == AnsiAlways || g.Ansi == AnsiAuto && tty)
}
