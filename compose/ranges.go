package compose

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// ConfigTarget is where a config appears in the container.
func ConfigTarget(f types.ServiceConfigObjConfig) string { return fileTarget(f.Target, f.Source, "/") }

// SecretTarget is where a secret appears in the container.
func SecretTarget(f types.ServiceSecretConfig) string {
	return fileTarget(f.Target, f.Source, "/run/secrets")
}

// fileTarget resolves a target below base, which a relative one cannot leave.
func fileTarget(target, source, base string) string {
	if target == "" {
		target = source
	}
	if path.IsAbs(target) {
		return path.Clean(target)
	}
	return path.Join(base, path.Clean("/"+target))
}

// ranges checks the numbers of a service.
func (c *checker) ranges(key string, s types.ServiceConfig) {
	c.between(key+".mem_limit", int64(s.MemLimit), 0, math.MaxInt64)
	c.between(key+".mem_reservation", int64(s.MemReservation), 0, math.MaxInt64)
	c.between(key+".memswap_limit", int64(s.MemSwapLimit), -1, math.MaxInt64)
	c.between(key+".shm_size", int64(s.ShmSize), 0, math.MaxInt64)
	c.between(key+".pids_limit", s.PidsLimit, -1, 4_194_304)
	c.between(key+".oom_score_adj", s.OomScoreAdj, -1000, 1000)
	c.orZero(key+".cpu_shares", s.CPUShares, 2, 262_144)
	c.orZero(key+".cpu_period", s.CPUPeriod, 1000, 1_000_000)
	if s.CPUQuota != -1 {
		c.orZero(key+".cpu_quota", s.CPUQuota, 1000, math.MaxInt64)
	}
	c.cpus(key+".cpus", float64(s.CPUS))
	c.between(key+".mem_swappiness", int64(s.MemSwappiness), 0, 100)
	if s.Umask != nil {
		c.between(key+".umask", int64(*s.Umask), 0, 0o777)
	}
	c.memory(key, s)
	c.blkio(key+".blkio_config", s.BlkioConfig)
	c.cpuset(key+".cpuset", s.CPUSet)
	c.deployRanges(key+".deploy", s.Deploy)
	c.user(key+".user", s.User)
	c.durations(key, s)
	c.healthTest(key, s.HealthCheck)
}

// memory checks limits against each other, as docker does.
func (c *checker) memory(key string, s types.ServiceConfig) {
	limit, reserved := s.MemLimit, s.MemReservation
	if s.Deploy != nil {
		if l := s.Deploy.Resources.Limits; l != nil && limit == 0 {
			limit = l.MemoryBytes
		}
		if r := s.Deploy.Resources.Reservations; r != nil && reserved == 0 {
			reserved = r.MemoryBytes
		}
	}
	switch {
	case s.MemSwapLimit > 0 && limit == 0:
		c.fail(key+".memswap_limit", "needs a mem_limit, which it includes")
	case s.MemSwapLimit > 0 && s.MemSwapLimit < limit:
		c.fail(key+".memswap_limit", "is smaller than mem_limit, which it includes")
	}
	if limit > 0 && reserved > limit {
		c.fail(key+".mem_reservation", "is larger than mem_limit")
	}
}

func (c *checker) blkio(key string, b *types.BlkioConfig) {
	if b == nil {
		return
	}
	c.orZero(key+".weight", int64(b.Weight), 10, 1000)
	for i, d := range b.WeightDevice {
		at := fmt.Sprintf("%s.weight_device[%d]", key, i)
		c.between(at+".weight", int64(d.Weight), 10, 1000)
		c.devicePath(at, d.Path)
	}
	for name, list := range map[string][]types.ThrottleDevice{"device_read_bps": b.DeviceReadBps, "device_read_iops": b.DeviceReadIOps,
		"device_write_bps": b.DeviceWriteBps, "device_write_iops": b.DeviceWriteIOps} {
		for i, d := range list {
			at := fmt.Sprintf("%s.%s[%d]", key, name, i)
			c.between(at+".rate", int64(d.Rate), 1, math.MaxInt64)
			c.devicePath(at, d.Path)
		}
	}
}

func (c *checker) devicePath(at, p string) {
	if !path.IsAbs(p) {
		c.fail(at+".path", "%q is no path of a device", p)
	}
}

func (c *checker) deployRanges(key string, d *types.DeployConfig) {
	if d == nil {
		return
	}
	if l := d.Resources.Limits; l != nil {
		c.cpus(key+".resources.limits.cpus", float64(l.NanoCPUs))
		c.between(key+".resources.limits.memory", int64(l.MemoryBytes), 0, math.MaxInt64)
		c.between(key+".resources.limits.pids", l.Pids, -1, 4_194_304)
	}
	if r := d.Resources.Reservations; r != nil {
		c.between(key+".resources.reservations.memory", int64(r.MemoryBytes), 0, math.MaxInt64)
	}
	if r := d.RestartPolicy; r != nil && r.MaxAttempts != nil && *r.MaxAttempts > math.MaxInt32 {
		c.fail(key+".restart_policy.max_attempts", "%d is too large", *r.MaxAttempts)
	}
}

func (c *checker) between(key string, v, low, high int64) {
	switch {
	case v >= low && v <= high:
	case high == math.MaxInt64:
		c.fail(key, "%d is less than %d", v, low)
	default:
		c.fail(key, "%d is not between %d and %d", v, low, high)
	}
}

func (c *checker) orZero(key string, v, low, high int64) {
	if v != 0 {
		c.between(key, v, low, high)
	}
}

func (c *checker) cpus(key string, v float64) {
	if math.IsNaN(v) || v < 0 || v > 1e5 || (v > 0 && v < 0.01) {
		c.fail(key, "%g is no number of processors: at least 0.01 is possible", v)
	}
}

var cpusetForm = regexp.MustCompile(`^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$`)

func (c *checker) cpuset(key, v string) {
	if v != "" && !cpusetForm.MatchString(v) {
		c.fail(key, "%.40q is no list of processors such as \"0-3,5\"", v)
	}
}

// user refuses ids that do not fit: a larger one would wrap around, to root at worst.
func (c *checker) user(key, v string) {
	for _, part := range strings.SplitN(v, ":", 2) {
		if strings.ContainsAny(part, "\n:") {
			c.fail(key, "%q is not USER or USER:GROUP", v)
			return
		}
		digits := strings.TrimPrefix(part, "-")
		if digits == "" || strings.Trim(digits, "0123456789") != "" {
			continue
		}
		if id, err := strconv.ParseInt(part, 10, 64); err != nil || id < 0 || id > math.MaxUint32-1 {
			c.fail(key, "%s is not an id between 0 and %d", part, uint32(math.MaxUint32-1))
		}
	}
}

func (c *checker) durations(key string, s types.ServiceConfig) {
	if d := s.StopGracePeriod; d != nil && *d < 0 {
		c.fail(key+".stop_grace_period", "%s is negative", time.Duration(*d))
	}
	h := s.HealthCheck
	if h == nil {
		return
	}
	for name, d := range map[string]*types.Duration{"interval": h.Interval, "timeout": h.Timeout, "start_period": h.StartPeriod, "start_interval": h.StartInterval} {
		if d != nil && *d != 0 && time.Duration(*d) < time.Millisecond {
			c.fail(key+".healthcheck."+name, "%s is less than 1ms", time.Duration(*d))
		}
	}
	if h.Retries != nil && *h.Retries > 1_000_000 {
		c.fail(key+".healthcheck.retries", "%d is too large", *h.Retries)
	}
}

func (c *checker) healthTest(key string, h *types.HealthCheckConfig) {
	if h == nil || len(h.Test) == 0 {
		return
	}
	at := key + ".healthcheck.test"
	switch form := h.Test[0]; {
	case form != "NONE" && form != "CMD" && form != "CMD-SHELL":
		c.fail(at, "begins with %q rather than \"CMD\", \"CMD-SHELL\" or \"NONE\"", form)
	case form == "NONE" && len(h.Test) > 1:
		c.fail(at, "\"NONE\" takes no arguments")
	case form == "CMD" && len(h.Test) < 2:
		c.fail(at, "\"CMD\" needs a command")
	case form == "CMD-SHELL" && len(h.Test) != 2:
		c.fail(at, "\"CMD-SHELL\" takes one line, not %d words", len(h.Test)-1).WithHint("use \"CMD\" for a list of words")
	}
}
