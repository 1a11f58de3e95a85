// Package host knows what this machine offers to containers: capabilities, limits, devices, security modules, programs. It says before
// anything is made what cannot be had of it.
package host

import (
	"sync"

	"podc.example/podc/engine/cgroups"
	"podc.example/podc/engine/oci"
)

// Host is everything that differs for containers between one machine, or one user of it, and the next. Whoever needs to know asks it
// for what is the case, and not why.
type Host struct {
	oci.Host // what configurations follow from
	Cgroups  cgroups.Host
	// UserXattrs says that overlays keep their marks in extended attributes that any user may set.
	UserXattrs bool
}

// This is the machine that podc runs on; it is looked at once per process.
var This = sync.OnceValue(func() Host { return facts().Host() })
