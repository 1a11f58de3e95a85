package translate

import (
	"fmt"
	"maps"

	"github.com/compose-spec/compose-go/v2/types"

	"podc.example/podc/api"
	"podc.example/podc/compose"
	"podc.example/podc/project"
)

// hooks translates what runs inside of the container after its start and before its stop.
func (t *translation) hooks(c *api.ContainerSpec, key string, s types.ServiceConfig) error {
	var err1, err2 error
	c.PostStart, err1 = t.hookList(key+".post_start", s.PostStart)
	c.PreStop, err2 = t.hookList(key+".pre_stop", s.PreStop)
	return compose.Join(err1, err2)
}

func (t *translation) hookList(key string, list []types.ServiceHook) ([]api.Hook, error) {
	var hooks []api.Hook
	for i, h := range list {
		if len(h.Command) == 0 {
			return nil, compose.Invalid(fmt.Sprintf("%s[%d]", key, i), "has no command")
		}
		env := maps.Clone(h.Environment)
		for name, value := range env {
			if own, ok := t.p.Environment[name]; ok && value == nil {
				env[name] = &own
			}
		}
		hooks = append(hooks, api.Hook{Command: h.Command, User: h.User, Privileged: h.Privileged, WorkingDir: h.WorkingDir, Env: environment(env)})
	}
	return hooks, nil
}

// preStart translates the containers that run to their end before the service is started. The loader has given them what they
// have in common with the service; its volumes they have from its first replica.
func (t *translation) preStart(out *project.Service, key string, s types.ServiceConfig, digests map[string]string) error {
	for i, h := range s.PreStart {
		at := fmt.Sprintf("%s.pre_start[%d]", key, i)
		if h.PerReplica {
			return compose.NotServed(at+".per_replica", "", "hooks run once for all replicas")
		}
		tmp := &project.Service{Replicas: 1, Pod: api.PodSpec{
			Name: project.HookName(t.p.Name+t.sep+s.Name, t.sep, i+1), Group: t.p.Name, Hostname: h.Hostname, Domainname: h.DomainName,
		}}
		hs := types.ServiceConfig{Name: s.Name, ContainerSpec: h.ContainerSpec}
		tmp.Pod.Labels = t.labels(hs)
		own := map[string]string{}
		err := compose.Join(t.platform(at, hs), t.pod(tmp, at, hs, own))
		if err != nil {
			return err
		}
		project.Unname(&tmp.Pod)
		c := &tmp.Pod.Container
		c.VolumesFrom = append(c.VolumesFrom, api.VolumesFrom{Pod: project.LenderPrefix + s.Name})
		for k, d := range own {
			digests[fmt.Sprintf("pre_start[%d].%s", i, k)] = d
		}
		out.PreStart = append(out.PreStart, tmp.Pod)
	}
	return nil
}
