package compose

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"podc.example/podc/internal/valid"
)

// ConfigTarget is where a config appears in the container.
func ConfigTarget(f types.ServiceConfigObjConfig) string { return fileTarget(f.Target, f.Source, "/") }

// SecretTarget is where a secret appears in the container.
func SecretTarget(f types.ServiceSecretConfig) string {
	return fileTarget(f.Target, f.Source, "/run/secrets")
}

// fileTarget resolves a target below base, which a relative one cannot leave.
func fileTarget(target, source, base string) string {
	target = cmp.Or(target, source)
	if path.IsAbs(target) {
		return path.Clean(target)
	}
	return path.Join(base, path.Clean("/"+target))
}

// CPUs is a number of processors as the file has it: the loader keeps 0.01 as the nearest number of 32 bits, which is less.
func CPUs(f float32) float64 {
	v, _ := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	return v
}

// obey notes what a rule of package valid says of the value of a key.
func (c *checker) obey(key string, err error) {
	if err != nil {
		c.fail(key, "%v", err)
	}
}

// values holds single values of a service to the rules of the kernel and the runtime.
func (c *checker) values(key string, s types.ServiceConfig) {
	c.memory(key, s)
	c.obey(key+".shm_size", valid.FileSystemSize(int64(s.ShmSize)))
	c.obey(key+".pids_limit", valid.Pids(s.PidsLimit))
	c.obey(key+".oom_score_adj", valid.OOMScore(s.OomScoreAdj))
	c.obey(key+".cpu_shares", valid.CPUShares(s.CPUShares))
	c.obey(key+".cpu_period", valid.CPUPeriod(s.CPUPeriod))
	c.obey(key+".cpu_quota", valid.CPUQuota(s.CPUQuota))
	c.obey(key+".cpus", valid.CPUs(CPUs(s.CPUS)))
	c.obey(key+".mem_swappiness", valid.Swappiness(int64(s.MemSwappiness)))
	if s.Umask != nil {
		c.obey(key+".umask", valid.Between(int64(*s.Umask), 0, 0o777))
	}
	c.blkio(key+".blkio_config", s.BlkioConfig)
	c.obey(key+".cpuset", valid.Cpuset(s.CPUSet))
	c.deploy(key+".deploy", s.Deploy)
	c.durations(key, s)
	c.process(key, s.Environment, s.WorkingDir, s.User)
	c.obey(key+".working_dir", valid.WorkingDir(s.WorkingDir))
	c.obey(key+".command", valid.Arguments(append(slices.Clone(s.Entrypoint), s.Command...), environment(s.Environment)))
	for i, g := range s.GroupAdd {
		c.obey(fmt.Sprintf("%s.group_add[%d]", key, i), valid.Group(g))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Sysctls)) {
		c.obey(key+".sysctls."+name, valid.Sysctl(name, s.Sysctls[name]))
	}
	c.obey(key+".labels", valid.Labels(s.Labels))
	c.obey(key+".annotations", valid.Labels(map[string]string(s.Annotations)))
	if s.Runtime != "" {
		c.obey(key+".runtime", valid.Runtime(s.Runtime))
	}
	if s.CgroupParent != "" {
		c.obey(key+".cgroup_parent", valid.CgroupParent(s.CgroupParent))
	}
	c.hostNames(key, s)
}

// process checks what services and hooks say of a process.
func (c *checker) process(key string, env types.MappingWithEquals, dir, user string) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		at := key + ".environment." + name
		c.obey(at, valid.VariableName(name))
		if v := env[name]; v != nil {
			c.obey(at, valid.Text(*v))
		}
	}
	if dir != "" {
		c.obey(key+".working_dir", valid.AbsolutePath(dir))
	}
	c.obey(key+".user", valid.User(user))
}

// environment lists the variables that are set.
func environment(vars types.MappingWithEquals) []string {
	var env []string
	for name, v := range vars {
		if v != nil && valid.VariableName(name) == nil && valid.Text(*v) == nil { // what is wrong with one is told by its name
			env = append(env, name+"="+*v)
		}
	}
	return env
}

// hostNames checks the names of a container and of others that it knows.
func (c *checker) hostNames(key string, s types.ServiceConfig) {
	if s.Hostname != "" {
		c.obey(key+".hostname", valid.HostName(s.Hostname))
	}
	if s.DomainName != "" {
		c.obey(key+".domainname", valid.HostName(s.DomainName))
	}
	for i, d := range s.DNSSearch {
		c.obey(fmt.Sprintf("%s.dns_search[%d]", key, i), valid.SearchDomain(d))
	}
	for i, o := range s.DNSOpts {
		c.obey(fmt.Sprintf("%s.dns_opt[%d]", key, i), valid.Word(o))
	}
	for _, host := range slices.Sorted(maps.Keys(s.ExtraHosts)) {
		c.obey(key+".extra_hosts", valid.Name(host))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Networks)) {
		if n := s.Networks[name]; n != nil {
			for i, alias := range n.Aliases {
				c.obey(fmt.Sprintf("%s.networks.%s.aliases[%d]", key, name, i), valid.Name(alias))
			}
		}
	}
	for list, links := range map[string][]string{"links": s.Links, "external_links": s.ExternalLinks} {
		for i, l := range links {
			if _, alias, has := strings.Cut(l, ":"); has {
				c.obey(fmt.Sprintf("%s.%s[%d]", key, list, i), valid.Name(alias))
			}
		}
	}
}

// memory checks limits, and against each other as docker does.
func (c *checker) memory(key string, s types.ServiceConfig) {
	c.obey(key+".mem_limit", valid.Memory(int64(s.MemLimit)))
	c.obey(key+".mem_reservation", valid.Memory(int64(s.MemReservation)))
	limit, reserved := s.MemLimit, s.MemReservation
	if s.Deploy != nil {
		if l := s.Deploy.Resources.Limits; l != nil && limit == 0 {
			limit = l.MemoryBytes
		}
		if r := s.Deploy.Resources.Reservations; r != nil && reserved == 0 {
			reserved = r.MemoryBytes
		}
	}
	c.obey(key+".memswap_limit", valid.MemorySwap(int64(s.MemSwapLimit), int64(limit)))
	if limit > 0 && reserved > limit {
		c.fail(key+".mem_reservation", "is larger than mem_limit")
	}
}

func (c *checker) blkio(key string, b *types.BlkioConfig) {
	if b == nil {
		return
	}
	if b.Weight != 0 {
		c.obey(key+".weight", valid.Between(int64(b.Weight), 10, 1000))
	}
	for i, d := range b.WeightDevice {
		at := fmt.Sprintf("%s.weight_device[%d]", key, i)
		c.obey(at+".weight", valid.Between(int64(d.Weight), 10, 1000))
		c.devicePath(at, d.Path)
	}
	for name, list := range map[string][]types.ThrottleDevice{"device_read_bps": b.DeviceReadBps, "device_read_iops": b.DeviceReadIOps,
		"device_write_bps": b.DeviceWriteBps, "device_write_iops": b.DeviceWriteIOps} {
		for i, d := range list {
			at := fmt.Sprintf("%s.%s[%d]", key, name, i)
			c.obey(at+".rate", valid.Between(int64(d.Rate), 1, math.MaxInt64))
			c.devicePath(at, d.Path)
		}
	}
}

func (c *checker) devicePath(at, p string) {
	if !path.IsAbs(p) {
		c.fail(at+".path", "%q is no path of a device", p)
	}
}

func (c *checker) deploy(key string, d *types.DeployConfig) {
	if d == nil {
		return
	}
	if l := d.Resources.Limits; l != nil {
		c.obey(key+".resources.limits.cpus", valid.CPUs(CPUs(l.NanoCPUs.Value())))
		c.obey(key+".resources.limits.memory", valid.Memory(int64(l.MemoryBytes)))
		c.obey(key+".resources.limits.pids", valid.Pids(l.Pids))
	}
	if r := d.Resources.Reservations; r != nil {
		c.obey(key+".resources.reservations.memory", valid.Memory(int64(r.MemoryBytes)))
	}
	if r := d.RestartPolicy; r != nil && r.MaxAttempts != nil && *r.MaxAttempts > math.MaxInt32 {
		c.fail(key+".restart_policy.max_attempts", "%d is too large", *r.MaxAttempts)
	}
}

func (c *checker) durations(key string, s types.ServiceConfig) {
	if d := s.StopGracePeriod; d != nil {
		c.obey(key+".stop_grace_period", valid.Duration(time.Duration(*d)))
	}
	h := s.HealthCheck
	if h == nil {
		return
	}
	c.obey(key+".healthcheck.test", valid.HealthTest(h.Test))
	for name, d := range map[string]*types.Duration{"interval": h.Interval, "timeout": h.Timeout, "start_period": h.StartPeriod, "start_interval": h.StartInterval} {
		if d != nil {
			c.obey(key+".healthcheck."+name, valid.Duration(time.Duration(*d)))
		}
	}
	if h.Retries != nil && *h.Retries > valid.MostRetries {
		c.fail(key+".healthcheck.retries", "%d is too large", *h.Retries)
	}
}
