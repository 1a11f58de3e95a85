package show

import (
	"strings"

	"github.com/docker/go-units"
)

// DockerTime is how lists write a moment.
const DockerTime = "2006-01-02 15:04:05 -0700 MST"

// Size is a number of bytes for people, in powers of 1000 with up to three digits, as docker's lists have it: "12.3MB". What docker
// writes as "1e+03kB", from 999.5 of a unit on, is one of the next here.
func Size(n int64) string {
	s := units.HumanSizeWithPrecision(float64(n), 3)
	if strings.HasPrefix(s, "1e+03") {
		s = units.HumanSizeWithPrecision(float64(n)*1.001, 3)
	}
	return s
}
