package project

import (
	"context"
	"fmt"

	"podc.example/podc/engine"
)

// BootOptions say what Boot works with beside labels.
type BootOptions struct {
	// Contents finds what configs and secrets of pods hold that lie in no file of their own, by ContentKey; a reboot has taken
	// them. It is asked only if a pod needs it. An error is a warning: the pods that need the contents then fail to start.
	Contents func(ctx context.Context, pods []engine.Pod) (map[string][]byte, error)
}

// Boot starts the pods of a group that their restart policies bring back once the machine has started (engine.Pod.Returns), in
// the order of depends_on. What a pod depends on is waited for, but it is started even if that fails: a policy to restart says
// that it can do without. Nothing is recreated, and the compose file is not applied. A second Boot finds nothing to do. One pod
// that cannot start does not keep others from it.
func Boot(ctx context.Context, deps Deps, group string, opt BootOptions) error {
	deps.Report = serial(deps.Report)
	lock, err := deps.lock(ctx, group)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	o, err := deps.observe(ctx, group, nil)
	if err != nil {
		return err
	}
	contents := map[string][]byte{}
	if lost := lostContents(o.Pods); len(lost) > 0 && opt.Contents != nil {
		if contents, err = opt.Contents(ctx, lost); err != nil {
			deps.Report(Event{Kind: Warned, Text: fmt.Sprintf("cannot read again what configs and secrets of %s hold: %v", group, err)})
		}
	}
	plan, err := planBoot(Desired{Name: group}, o, contents)
	if err != nil {
		return err
	}
	return deps.run(ctx, plan)
}

// lostContents are the pods to bring back that need what is in no file.
func lostContents(pods []engine.Pod) []engine.Pod {
	var lost []engine.Pod
	for _, p := range pods {
		for _, f := range p.Spec.Container.Files {
			if p.Returns && p.FilesLost && f.Source == "" {
				lost = append(lost, p)
				break
			}
		}
	}
	return lost
}

func planBoot(d Desired, o Observed, contents map[string][]byte) (Plan, error) {
	p := newVerb(d, o, Options{})
	for _, u := range p.units {
		for i := range u.DependsOn {
			u.DependsOn[i].Required = false
		}
		for _, s := range u.slots {
			if !s.old.Returns {
				continue
			}
			u.policy = keep
			s.start = "restart: " + s.old.Spec.Container.Restart.Name
			if s.old.FilesLost {
				s.restore = &RestoreFiles{Name: s.old.Spec.Name, Contents: contentsOf(s.old, contents)}
			}
		}
	}
	return p.finish()
}

func contentsOf(pod *engine.Pod, all map[string][]byte) map[string][]byte {
	own := map[string][]byte{}
	for _, f := range pod.Spec.Container.Files {
		if b, ok := all[ContentKey(serviceOf(pod), f.Target)]; ok {
			own[f.Target] = b
		}
	}
	return own
}
