package show

import "fmt"

// DockerTime is how lists write a moment.
const DockerTime = "2006-01-02 15:04:05 -0700 MST"

// Size is a number of bytes for people, in powers of 1000 with up to three digits, as docker prints it: "12.3MB".
func Size(n int64) string {
	f, unit := float64(n), 0
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	for f >= 999.5 && unit < len(units)-1 {
		f /= 1000
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%dB", n)
	}
	s := fmt.Sprintf("%.3g", f)
	return s + units[unit]
}

// BinarySize is a number of bytes for people, in powers of 1024 with up to four digits, as docker prints memory: "12.3MiB".
func BinarySize(n int64) string {
	f, unit := float64(n), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for f >= 1024 && unit < len(units)-1 {
		f /= 1024
		unit++
	}
	return fmt.Sprintf("%.4g", f) + units[unit]
}
