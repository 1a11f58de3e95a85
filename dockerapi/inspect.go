package dockerapi

import (
	"cmp"
	"maps"
	"strings"
	"time"

	"podc.example/podc/api"
)

// ContainerFacts is what the description of a container is made of.
type ContainerFacts struct {
	Pod      api.Pod
	Details  api.PodDetails
	Networks map[string]api.Network
	// IDs are the ids of the containers whose namespaces this one uses, by name.
	IDs map[string]string
	// VolumePath is where a volume's data lies on the host.
	VolumePath func(name string) string
	// Size is that of the files on disk; nil where nobody asked.
	Size *Size
}

// Size is that of a container's files, in bytes.
type Size struct {
	Written int64 // by the container
	All     int64 // the image's included
}

// InspectContainer describes a container.
func InspectContainer(f ContainerFacts) Container {
	p, c := f.Pod, f.Pod.Spec.Container
	out := Container{
		ID: p.ID, Created: stamp(p.Created), Args: []string{}, State: stateOf(p), Image: imageID(cmp.Or(p.Image.ID, c.ImageID)),
		ResolvConfPath: f.Details.Resolv, HostnamePath: f.Details.Hostname, HostsPath: f.Details.Hosts, LogPath: f.Details.Log,
		Name: "/" + p.Spec.Name, RestartCount: p.Restarts, Driver: "overlay2", Platform: cmp.Or(p.Image.Config.OS, "linux"),
		AppArmorProfile: f.Details.AppArmor, HostConfig: hostConfigOf(f), Mounts: mountPoints(p, f.VolumePath),
		Config: configOf(p), NetworkSettings: networkSettingsOf(f),
		GraphDriver: &DriverData{Name: "overlay2", Data: map[string]string{
			"ID": p.ID, "LowerDir": strings.Join(p.Image.Layers, ":"), "UpperDir": f.Details.Upper, "WorkDir": f.Details.Work,
			"MergedDir": f.Details.Merged,
		}},
	}
	if c.Log.Driver == "none" {
		out.LogPath = ""
	}
	if len(p.Args) > 0 {
		out.Path = p.Args[0]
		out.Args = append(out.Args, p.Args[1:]...)
	}
	if f.Size != nil {
		out.SizeRw, out.SizeRootFs = &f.Size.Written, &f.Size.All
	}
	return out
}

func stateOf(p api.Pod) *State {
	status := StatusOf(p)
	s := &State{
		Status: status, Paused: status == "paused", Restarting: status == "restarting", Dead: status == "dead",
		OOMKilled: p.OOMKilled, Pid: p.Pid, ExitCode: p.ExitCode, Error: p.Error, StartedAt: stamp(p.Started), FinishedAt: stamp(p.Finished),
	}
	s.Running = status == "running" || s.Paused || s.Restarting // so in docker
	if p.Health != api.HealthNone || len(p.Probes) > 0 {
		s.Health = &Health{Status: cmp.Or(string(p.Health), "unhealthy"), FailingStreak: p.Failing, Log: []HealthResult{}}
		for _, probe := range p.Probes {
			s.Health.Log = append(s.Health.Log, HealthResult{probe.Start, probe.End, probe.ExitCode, probe.Output})
		}
	}
	return s
}

// StatusOf is the container's status in docker's words.
func StatusOf(p api.Pod) string {
	if p.Status == api.StatusCreating {
		return string(api.StatusCreated)
	}
	return string(p.Status)
}

func configOf(p api.Pod) *Config {
	c, img := p.Spec.Container, p.Image.Config
	is := api.Effective(c, img)
	out := &Config{
		Hostname: cmp.Or(p.Spec.Hostname, ShortID(p.ID)), Domainname: p.Spec.Domainname, User: is.User,
		AttachStdout: true, AttachStderr: true, StdinOnce: c.StdinOnce, ExposedPorts: set(exposed(p)), Tty: c.TTY, OpenStdin: c.StdinOpen,
		Env: append([]string{}, is.Env...), Cmd: is.Command, Entrypoint: is.Entrypoint, Image: c.Image, Volumes: set(img.Volumes),
		WorkingDir: is.WorkingDir, Labels: LabelsOf(p), StopSignal: is.StopSignal, Healthcheck: healthConfig(is.Health),
	}
	if c.StopGrace != nil {
		seconds := int((*c.StopGrace).Round(time.Second) / time.Second)
		out.StopTimeout = &seconds
	}
	return out
}

// LabelsOf are the image's labels and the container's own, which win.
func LabelsOf(p api.Pod) map[string]string {
	if len(p.Image.Config.Labels) == 0 {
		return notNil(p.Spec.Labels)
	}
	labels := maps.Clone(p.Image.Config.Labels)
	maps.Copy(labels, p.Spec.Labels)
	return labels
}

func healthConfig(h *api.HealthCheck) *HealthConfig {
	if h == nil {
		return nil
	}
	return &HealthConfig{h.Test, h.Interval, h.Timeout, h.StartPeriod, h.StartInterval, h.Retries}
}
