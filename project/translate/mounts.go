package translate

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
	"github.com/docker/go-units"

	"podc.example/podc/api"
	"podc.example/podc/compose"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/valid"
	"podc.example/podc/project"
	"podc.example/podc/volumes"
)

// volumes translates the top-level volumes that services use.
func (t *translation) volumes() error {
	for _, key := range t.p.VolumeNames() {
		v := t.p.Volumes[key]
		out := project.Volume{Key: key, External: bool(v.External), Spec: api.Volume{Name: v.Name}}
		if !out.External {
			if v.Driver != "" && v.Driver != "local" {
				return compose.NotServed("volumes."+key+".driver", fmt.Sprintf("%q", v.Driver), "use local, the default")
			}
			if err := volumeOptions(&out.Spec, "volumes."+key+".driver_opts", v.DriverOpts); err != nil {
				return err
			}
			out.Spec.Labels = userLabels(v.Labels)
			out.Hash = digest(out.Spec)
			out.Spec.Labels = t.ownLabels(v.Labels, project.LabelVolume, key, out.Hash)
		}
		t.res.Desired.Volumes = append(t.res.Desired.Volumes, out)
	}
	return nil
}

func volumeOptions(v *api.Volume, key string, opts types.Options) error {
	for _, name := range slices.Sorted(maps.Keys(opts)) {
		if err := volumes.CheckOption(name); err != nil {
			return compose.NotServed(key+"."+name, "", "the driver local takes type, device and o")
		}
	}
	if len(opts) > 0 {
		v.Options = opts
	}
	if err := volumes.CheckOptions(opts); err != nil {
		return compose.Invalid(key, "%s", err)
	}
	return nil
}

// mounts translates `volumes` and `tmpfs`, outer targets before inner ones.
func (t *translation) mounts(c *api.ContainerSpec, key string, s types.ServiceConfig) error {
	places := places{}
	for i, v := range s.Volumes {
		at := fmt.Sprintf("%s.volumes[%d]", key, i)
		m, err := t.mount(at, v)
		if err == nil {
			err = target(at, m)
		}
		if err != nil {
			return err
		}
		c.Mounts = t.place(places, c.Mounts, at, m)
	}
	for i, text := range s.Tmpfs {
		at := fmt.Sprintf("%s.tmpfs[%d]", key, i)
		m, err := tmpfs(at, text)
		if err == nil {
			err = target(at, m)
		}
		if err != nil {
			return err
		}
		c.Mounts = t.place(places, c.Mounts, at, m)
	}
	for i, f := range s.Configs {
		c.Mounts = t.place(places, c.Mounts, fmt.Sprintf("%s.configs[%d]", key, i), api.Mount{Source: "config " + f.Source, Target: compose.ConfigTarget(f)})
	}
	for i, f := range s.Secrets {
		c.Mounts = t.place(places, c.Mounts, fmt.Sprintf("%s.secrets[%d]", key, i), api.Mount{Source: "secret " + f.Source, Target: compose.SecretTarget(f)})
	}
	c.Mounts = slices.DeleteFunc(c.Mounts, func(m api.Mount) bool { return m.Type == "" }) // files go apart
	slices.SortStableFunc(c.Mounts, func(a, b api.Mount) int {
		return strings.Count(a.Target, "/") - strings.Count(b.Target, "/")
	})
	return nil
}

// places says in which list of the service a target is.
type places map[string]string

// place adds a mount to those before it. Of two that want one place the last has it, as in docker, and one that is there twice is
// one. Of two in one list the loader has told.
func (t *translation) place(taken places, before []api.Mount, at string, m api.Mount) []api.Mount {
	list := at[strings.LastIndex(at, ".")+1 : strings.LastIndex(at, "[")]
	i := slices.IndexFunc(before, func(o api.Mount) bool { return o.Target == m.Target })
	if i >= 0 && reflect.DeepEqual(before[i], m) {
		return before
	}
	if i >= 0 {
		if taken[m.Target] != list {
			t.warn(at, "%s", compose.Hides(taken[m.Target], m.Target))
		}
		before = slices.Delete(before, i, i+1)
	}
	taken[m.Target] = list
	return append(before, m)
}

// target refuses a place where nothing can be mounted, and what nothing can be.
func target(at string, m api.Mount) error {
	for _, err := range []error{rootfs.CheckTarget(m), valid.Path(m.Source), valid.FileSystemSize(m.TmpfsSize)} {
		if err == nil {
			continue
		}
		e := compose.Invalid(at, "%v", err)
		for _, taken := range []string{m.Target, m.Source} { // for a drive of Windows, with a mode behind it or without
			if name, rest, ok := strings.Cut(taken, ":/"); ok && len(name) == 1 {
				e.WithHint("a volume whose name is one letter needs the long syntax: {type: volume, source: %s, target: /%s}", name, rest)
			}
		}
		return e
	}
	return nil
}

func (t *translation) mount(at string, v types.ServiceVolumeConfig) (api.Mount, error) {
	m := api.Mount{Type: api.MountType(v.Type), Target: path.Clean(v.Target), ReadOnly: v.ReadOnly}
	if v.Bind != nil {
		m.Relabel = v.Bind.SELinux
	}
	switch v.Type {
	case types.VolumeTypeBind:
		m.Source = v.Source
		return m, bind(&m, at, v)
	case types.VolumeTypeVolume:
		return m, t.volumeMount(&m, at, v)
	case types.VolumeTypeTmpfs:
		if v.Tmpfs != nil {
			m.TmpfsSize, m.TmpfsMode = int64(v.Tmpfs.Size), v.Tmpfs.Mode
		}
		if m.TmpfsSize < 0 || m.TmpfsMode > 0o7777 {
			return m, compose.Invalid(at+".tmpfs", "size %d or mode %o is out of range", m.TmpfsSize, m.TmpfsMode)
		}
		return m, nil
	case types.VolumeTypeImage:
		return m, t.imageMount(&m, at, v)
	}
	return m, compose.Invalid(at+".type", "%q is none of bind, volume, tmpfs, image", v.Type)
}

// bind completes a bind mount; its source is absolute already.
func bind(m *api.Mount, at string, v types.ServiceVolumeConfig) error {
	m.CreateSource = true
	if v.Bind == nil {
		return nil
	}
	m.CreateSource = bool(v.Bind.CreateHostPath)
	m.Propagation = v.Bind.Propagation
	switch m.Propagation {
	case "", "private", "rprivate", "shared", "rshared", "slave", "rslave":
	default:
		return compose.Invalid(at+".bind.propagation", "%q is none of private, rprivate, shared, rshared, slave, rslave", m.Propagation)
	}
	switch v.Bind.Recursive {
	case "", "enabled":
	case "disabled":
		m.NonRecursive = true
	case "writable":
		m.OnlyTopReadOnly = true
	case "readonly":
		m.AllReadOnly = true
	default:
		return compose.Invalid(at+".bind.recursive", "%q is none of enabled, disabled, writable, readonly", v.Bind.Recursive)
	}
	switch {
	case (m.OnlyTopReadOnly || m.AllReadOnly) && !m.ReadOnly:
		return compose.Invalid(at+".bind.recursive", "%q needs read_only: true", v.Bind.Recursive)
	case m.AllReadOnly && m.Propagation != "" && m.Propagation != "rprivate":
		return compose.Invalid(at+".bind.recursive", "\"readonly\" needs propagation rprivate")
	}
	return nil
}

func (t *translation) volumeMount(m *api.Mount, at string, v types.ServiceVolumeConfig) error {
	if v.Source != "" {
		m.Source = t.p.Volumes[v.Source].Name
	}
	if v.Volume == nil {
		return nil
	}
	m.NoCopy = v.Volume.NoCopy
	if v.Source == "" {
		m.Labels = v.Volume.Labels
	}
	return subpath(m, at+".volume.subpath", v.Volume.Subpath)
}

// subpath takes a path below the source; at the start it must be there.
func subpath(m *api.Mount, key, p string) error {
	if p != "" && !filepath.IsLocal(p) {
		return compose.Invalid(key, "%q is no path within the source", p)
	}
	m.Subpath = p
	return nil
}

// imageMount takes an image by its reference, or that of a service by its name.
func (t *translation) imageMount(m *api.Mount, at string, v types.ServiceVolumeConfig) error {
	m.Source = v.Source
	if s, ok := t.p.Services[v.Source]; ok {
		m.Source = imageName(t, s)
	}
	if _, err := reference.ParseDockerRef(m.Source); err != nil {
		return compose.Invalid(at+".source", "%q is no image reference", v.Source)
	}
	if v.Image == nil {
		return nil
	}
	return subpath(m, at+".image.subpath", v.Image.SubPath)
}

// tmpfs parses "path[:option,...]".
func tmpfs(at, text string) (api.Mount, error) {
	target, options, _ := strings.Cut(text, ":")
	m := api.Mount{Type: api.MountTmpfs, Target: path.Clean(target)}
	for _, opt := range strings.Split(options, ",") {
		name, value, _ := strings.Cut(opt, "=")
		switch name {
		case "":
		case "ro":
			m.ReadOnly = true
		case "rw":
		case "size":
			if err := tmpfsSize(&m, value); err != nil {
				return m, compose.Invalid(at, "size %q is none", value)
			}
		case "mode":
			mode, err := strconv.ParseUint(value, 8, 32)
			if err != nil || mode > 0o7777 {
				return m, compose.Invalid(at, "mode %q is no octal mode", value)
			}
			m.TmpfsMode = uint32(mode)
		case "uid", "gid":
			if err := valid.NumericID(value); err != nil {
				return m, compose.Invalid(at, "%s: %v", name, err)
			}
			m.TmpfsOptions = append(m.TmpfsOptions, opt)
		default:
			if !tmpfsOption(name) {
				return m, compose.Invalid(at, "option %q is not one of tmpfs", name)
			}
			m.TmpfsOptions = append(m.TmpfsOptions, opt)
		}
	}
	return m, nil
}

func tmpfsSize(m *api.Mount, value string) error {
	if strings.HasSuffix(value, "%") {
		m.TmpfsOptions = append(m.TmpfsOptions, "size="+value)
		return nil
	}
	size, err := units.RAMInBytes(value)
	m.TmpfsSize = size
	return err
}

func tmpfsOption(name string) bool {
	return slices.Contains([]string{"exec", "noexec", "suid", "nosuid", "dev", "nodev", "nr_inodes", "nr_blocks",
		"atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", "sync", "async",
		"dirsync", "huge", "mpol", "noswap", "private", "rprivate", "shared", "rshared", "slave", "rslave"}, name)
}
