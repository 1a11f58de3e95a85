package translate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"podc.example/podc/api"
	"podc.example/podc/compose"
	"podc.example/podc/project"
)

// lenderOf reads "service:NAME" or "container:NAME": what a template says of the pod that is borrowed from.
func lenderOf(value string) (lender string, ok bool) {
	if name, ok := strings.CutPrefix(value, types.ServicePrefix); ok && name != "" {
		return project.LenderPrefix + name, true
	}
	name, ok := strings.CutPrefix(value, types.ContainerPrefix)
	return name, ok && name != ""
}

// namespaces translates which namespaces are the pod's own. Package compose has checked that services exist.
func (t *translation) namespaces(pod *api.PodSpec, key string, s types.ServiceConfig) error {
	if s.UserNSMode != "" && s.UserNSMode != "host" {
		return compose.NotServed(key+".userns_mode", fmt.Sprintf("%q", s.UserNSMode), "users of containers are those of the host; leave it out, or write host")
	}
	err := compose.Join(
		namespace(&pod.PID, key+".pid", s.Pid, "host"),
		namespace(&pod.IPC, key+".ipc", s.Ipc, "host", "private", "shareable", "none"),
		namespace(&pod.UTS, key+".uts", s.Uts, "host"),
	)
	if err != nil {
		return err
	}
	if of, ok := strings.CutPrefix(s.Ipc, types.ServicePrefix); ok && t.p.Services[of].Ipc != "shareable" {
		return compose.Invalid(key+".ipc", "service %q does not lend its ipc namespace", of).WithHint("give services.%s `ipc: shareable`", of)
	}
	for name, value := range map[string]string{"hostname": s.Hostname, "domainname": s.DomainName} {
		if pod.UTS.Mode != api.NamespacePrivate && value != "" {
			return compose.Invalid(key+"."+name, "cannot be given with uts %q, which has one", s.Uts)
		}
	}
	return nil
}

func namespace(n *api.Namespace, key, value string, modes ...string) error {
	if of, ok := lenderOf(value); ok {
		*n = api.Namespace{Mode: api.NamespacePod, Pod: of}
		return nil
	}
	known := slices.Contains(modes, value)
	switch {
	case value == "", known && value == "private":
		return nil
	case known:
		n.Mode = api.NamespaceMode(value)
		return nil
	}
	return compose.Invalid(key, "%q is none of %s, service:NAME, container:NAME", value, strings.Join(modes, ", "))
}

// volumesFrom translates "SERVICE[:ro|rw]" and "container:NAME[:ro|rw]".
func volumesFrom(c *api.ContainerSpec, key string, list []string) error {
	for i, text := range list {
		of, rest := "", ""
		if name, ok := strings.CutPrefix(text, types.ContainerPrefix); ok {
			of, rest, _ = strings.Cut(name, ":")
		} else {
			of, rest, _ = strings.Cut(text, ":")
			of = project.LenderPrefix + of
		}
		if of == "" || rest != "" && rest != "ro" && rest != "rw" {
			return compose.Invalid(fmt.Sprintf("%s[%d]", key, i), "%q is not SERVICE or container:NAME, with :ro or :rw at most", text)
		}
		c.VolumesFrom = append(c.VolumesFrom, api.VolumesFrom{Pod: of, ReadOnly: rest == "ro"})
	}
	return nil
}
