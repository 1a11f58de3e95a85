package control

import (
	"path"
	"strings"
)

// OnlyContent reports whether a path, as the source of a copy, means what is in a folder, and not the folder.
func OnlyContent(p string) bool { return path.Base(p) == "." || path.Clean(p) == "/" }

// AsFolder reports whether a path can only be that of a folder.
func AsFolder(p string) bool { return strings.HasSuffix(p, "/") || path.Base(p) == "." }
