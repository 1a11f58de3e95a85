package disk

import "strings"

// maxName is below what file systems take (255 bytes), so that a suffix fits.
const maxName = 240

// IsName reports whether s may name an object and hence its file: a letter or digit, then letters, digits and "_.-". It is
// docker's rule for the names of containers, networks and volumes.
func IsName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case i > 0 && (c == '_' || c == '.' || c == '-'):
		default:
			return false
		}
	}
	return true
}

// IsBelow reports whether path, which is clean, is folder or lies in it.
func IsBelow(path, folder string) bool {
	return path == folder || folder == "/" || strings.HasPrefix(path, folder+"/")
}
