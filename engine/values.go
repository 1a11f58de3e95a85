package engine

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
)

// checkValues refuses (errdefs.IsInvalidArgument) every single value of s that the kernel or the runtime would not take, or take for
// another. The rules are package valid's, as for compose files; here they are for specs, which come from programs.
func checkValues(s api.PodSpec) error {
	var v values
	v.text("hostname", s.Hostname, valid.HostName)
	v.text("domain name", s.Domainname, valid.HostName)
	v.obey("labels", valid.Labels(s.Labels))
	v.network(s.Network)
	v.container(s.Container)
	return errors.Join(v...)
}

// values are what is wrong.
type values []error

func (v *values) obey(what string, err error) {
	if err != nil {
		*v = append(*v, fault.New(errdefs.ErrInvalidArgument, "%s: %w", what, err))
	}
}

// text obeys a rule unless value is empty, which means a default.
func (v *values) text(what, value string, rule func(string) error) {
	if value != "" {
		v.obey(what, rule(value))
	}
}

func (v *values) each(what string, list []string, rule func(string) error) {
	for _, s := range list {
		v.obey(what, rule(s))
	}
}

func (v *values) network(n api.PodNetwork) {
	v.each("name", n.Names, valid.Name)
	v.each("alias", slices.Collect(maps.Keys(n.Links)), valid.Name)
	v.each("search domain", n.DNSSearch, valid.SearchDomain)
	v.each("option of name servers", n.DNSOptions, valid.Word)
	v.each("name server", n.DNS, address)
	v.each("extra host", n.ExtraHosts, func(s string) error {
		name, at, _ := strings.Cut(s, "=")
		if err := valid.Name(name); err != nil || at == "host-gateway" {
			return err
		}
		return address(at)
	})
	for _, e := range n.Endpoints {
		v.each("alias", e.Aliases, valid.Name)
	}
}

func address(s string) error {
	if _, err := netip.ParseAddr(s); err != nil {
		return fmt.Errorf("%.60q is no address", s)
	}
	return nil
}

func (v *values) container(c api.ContainerSpec) {
	v.obey("command", valid.Arguments(slices.Concat(c.Entrypoint, c.Command), c.Env))
	v.process(c.WorkingDir, c.User)
	v.obey("working directory", valid.WorkingDir(c.WorkingDir))
	v.each("group", c.GroupAdd, valid.Group)
	for _, h := range slices.Concat(c.PostStart, c.PreStop) {
		v.obey("hook", valid.Arguments(h.Command, h.Env))
		v.process(h.WorkingDir, h.User)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Sysctls)) {
		v.obey("sysctl "+name, valid.Sysctl(name, c.Sysctls[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Ulimits)) {
		v.obey("ulimit "+name, valid.Ulimit(name, c.Ulimits[name].Soft, c.Ulimits[name].Hard))
	}
	v.obey("annotations", valid.Labels(c.Annotations))
	v.text("cgroup parent", c.CgroupParent, valid.CgroupParent)
	v.text("runtime", c.Runtime, valid.Runtime)
	for _, m := range c.Mounts {
		v.text("mount source", m.Source, valid.Path)
		v.obey("mount", rootfs.CheckTarget(m))
		v.obey("tmpfs", valid.FileSystemSize(m.TmpfsSize))
		v.obey("tmpfs mode", valid.Between(int64(m.TmpfsMode), 0, 0o7777))
	}
	for _, d := range c.Devices {
		v.obey("device", valid.AbsolutePath(d.Host))
		v.text("device", d.Container, rootfs.CheckDevicePlace)
	}
	for _, f := range c.Files {
		v.obey("file", rootfs.CheckTarget(api.Mount{Target: f.Target}))
		v.text("owner of a file", f.UID, valid.ID)
		v.text("group of a file", f.GID, valid.ID)
	}
	v.text("stop signal", c.StopSignal, func(s string) error {
		_, err := ParseSignal(s)
		return err
	})
	v.limits(c)
	if c.StopGrace != nil {
		v.obey("stop grace period", valid.Duration(*c.StopGrace))
	}
	if h := c.Health; h != nil {
		v.obey("health check", valid.HealthTest(h.Test))
		v.obey("health check's interval", valid.Duration(h.Interval))
		v.obey("health check's timeout", valid.Duration(h.Timeout))
		v.obey("health check's start period", valid.Duration(h.StartPeriod))
		v.obey("health check's start interval", valid.Duration(h.StartInterval))
		v.obey("health check's retries", valid.Between(int64(h.Retries), 0, valid.MostRetries))
	}
	v.obey("restart attempts", valid.Between(int64(c.Restart.MaxRetries), 0, math.MaxInt32))
}

// process checks what containers and hooks say of a process.
func (v *values) process(dir, user string) {
	v.text("working directory", dir, valid.AbsolutePath)
	v.text("user", user, valid.User)
}

func (v *values) limits(c api.ContainerSpec) {
	r := c.Resources
	v.obey("shm size", valid.FileSystemSize(c.ShmSize))
	v.obey("memory", valid.Memory(r.Memory))
	v.obey("memory reservation", valid.Memory(r.MemoryReservation))
	v.obey("memory and swap", valid.MemorySwap(r.MemorySwap, r.Memory))
	v.obey("cpus", valid.CPUs(r.CPUs))
	v.obey("cpuset", valid.Cpuset(r.Cpuset))
	v.obey("cpu shares", valid.CPUShares(r.CPUShares))
	v.obey("cpu period", valid.CPUPeriod(r.CPUPeriod))
	v.obey("cpu quota", valid.CPUQuota(r.CPUQuota))
	v.obey("pids", valid.Pids(r.Pids))
	if r.Swappiness != nil {
		v.obey("swappiness", valid.Swappiness(*r.Swappiness))
	}
	if c.OOMScoreAdj != nil {
		v.obey("oom score", valid.OOMScore(int64(*c.OOMScoreAdj)))
	}
	if c.Umask != nil {
		v.obey("umask", valid.Between(int64(*c.Umask), 0, 0o777))
	}
}
