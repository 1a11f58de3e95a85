package main

// progressStyle is --progress.
type progressStyle string

const (
	progressAuto  progressStyle = "auto"
	progressTTY   progressStyle = "tty"
	progressPlain progressStyle = "plain"
	progressJSON  progressStyle = "json"
	progressQuiet progressStyle = "quiet"
)

// ansiMode is --ansi.
type ansiMode string

const (
	ansiNever  ansiMode = "never"
	ansiAlways ansiMode = "always"
	ansiAuto   ansiMode = "auto"
)

// style is how things are shown.
type style struct {
	progress progressStyle
	ansi     ansiMode
	noColor  bool // NO_COLOR: no colours, whatever else is asked for
}

// color reports whether a stream may be coloured.
func (g style) color(tty bool) bool {
	return !g.noColor && (g.ansi == ansiAlways || g.ansi == ansiAuto && tty)
}
