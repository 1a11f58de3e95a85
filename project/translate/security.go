package translate

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"podc.example/podc/api"
	"podc.example/podc/compose"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/valid"
)

// security translates what the container may do.
func (t *translation) security(c *api.ContainerSpec, key string, s types.ServiceConfig, digests map[string]string) error {
	c.ReadOnly, c.Privileged = s.ReadOnly, s.Privileged
	c.CapAdd, c.CapDrop = s.CapAdd, s.CapDrop
	c.Sysctls, c.DeviceRules = s.Sysctls, s.DeviceCgroupRules
	var limits error
	c.Ulimits, limits = ulimits(key+".ulimits", s.Ulimits)
	return compose.Join(t.securityOpts(c, key, s.SecurityOpt, digests), devices(c, key, s.Devices), limits)
}

// securityOpts makes the file of a seccomp profile absolute and takes its content into the hash.
func (t *translation) securityOpts(c *api.ContainerSpec, key string, opts []string, digests map[string]string) error {
	for i, opt := range opts {
		at := fmt.Sprintf("%s.security_opt[%d]", key, i)
		name, value, _ := strings.Cut(strings.Replace(opt, ":", "=", 1), "=")
		if strings.Contains(opt, "=") {
			name, value, _ = strings.Cut(opt, "=")
		}
		if name == "seccomp" && value != "unconfined" && value != "builtin" && value != "default" {
			path := value
			if !filepath.IsAbs(path) {
				path = filepath.Join(t.p.WorkingDir, path)
			}
			t.res.Inputs = append(t.res.Inputs, path)
			content, err := disk.ReadRegular(path, 1<<20)
			if err != nil {
				return compose.Invalid(at, "cannot read the seccomp profile %s: %v", path, err)
			}
			digests["security_opt"] = t.key.digest(content)
			opt = "seccomp=" + path
		}
		c.SecurityOpt = append(c.SecurityOpt, opt)
	}
	return nil
}

func devices(c *api.ContainerSpec, key string, list []types.DeviceMapping) error {
	for i, d := range list {
		at := fmt.Sprintf("%s.devices[%d]", key, i)
		switch {
		case !filepath.IsAbs(d.Source) && strings.Contains(d.Source, "="):
			return compose.NotServed(at, "CDI device "+d.Source, "name the device file")
		case !filepath.IsAbs(d.Source):
			return compose.Invalid(at, "%q is no path of a device", d.Source)
		case d.Target != "" && !filepath.IsAbs(d.Target):
			return compose.Invalid(at, "target %q is not an absolute path", d.Target)
		case strings.Trim(d.Permissions, "rwm") != "":
			return compose.Invalid(at, "permissions %q hold other letters than r, w, m", d.Permissions)
		}
		c.Devices = append(c.Devices, api.Device{Host: d.Source, Container: cmp.Or(d.Target, d.Source), Permissions: cmp.Or(d.Permissions, "rwm")})
	}
	return nil
}

// ulimitNames are docker's names of resource limits.
var ulimitNames = []string{"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
	"rtprio", "rttime", "sigpending", "stack"}

func ulimits(key string, list map[string]*types.UlimitsConfig) (map[string]api.Ulimit, error) {
	var all map[string]api.Ulimit
	for _, name := range slices.Sorted(maps.Keys(list)) {
		at := key + "." + name
		if !slices.Contains(ulimitNames, name) {
			return nil, compose.Invalid(at, "no such limit").Suggesting(name, ulimitNames)
		}
		u := list[name]
		if u == nil {
			continue
		}
		out := api.Ulimit{Soft: int64(u.Soft), Hard: int64(u.Hard)}
		if u.Single != 0 {
			out = api.Ulimit{Soft: int64(u.Single), Hard: int64(u.Single)}
		}
		if err := valid.Ulimit(name, out.Soft, out.Hard); err != nil {
			return nil, compose.Invalid(at, "%v", err)
		}
		if all == nil {
			all = map[string]api.Ulimit{}
		}
		all[name] = out
	}
	return all, nil
}
