package project

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
)

// Between the removal of a pod and the creation of its successor nothing but this note connects the successor with the
// anonymous volumes it is to inherit. It is written before a plan runs, so that a run cut short costs nobody their data.

func (deps Deps) inheritPath(name string) string {
	return filepath.Join(deps.RunDir, "projects", name+".inherit.json")
}

func (deps Deps) readInherit(name string) (map[string]map[string]string, error) {
	var notes map[string]map[string]string
	err := disk.ReadJSON(deps.inheritPath(name), &notes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, disk.ErrDamaged) { // the volumes are still there, to be found by name
		return nil, nil
	}
	return notes, err
}

// DamagedNotes lists the notes of projects below a run root that cannot be read, each with the reason. They are passed over, and
// removing them does no harm.
func DamagedNotes(runDir string) map[string]error {
	damaged := map[string]error{}
	paths, _ := filepath.Glob(Deps{RunDir: runDir}.inheritPath("*"))
	for _, path := range paths {
		var notes map[string]map[string]string
		if err := disk.ReadJSON(path, &notes); errors.Is(err, disk.ErrDamaged) {
			damaged[path] = err
		}
	}
	return damaged
}

// runInheriting runs a plan with the note of its inheritances in place. Afterwards only those stay that are still due.
func (deps Deps) runInheriting(ctx context.Context, name string, o Observed, plan Plan) error {
	notes := maps.Clone(o.Inherit)
	for pod, have := range plan.inherits {
		if notes == nil {
			notes = map[string]map[string]string{}
		}
		notes[pod] = have
	}
	if len(plan.inherits) > 0 {
		if err := disk.WriteJSON(deps.inheritPath(name), notes, disk.Volatile); err != nil {
			return err
		}
	}
	if err := deps.run(ctx, plan); err != nil || len(notes) == 0 {
		return err
	}
	maps.DeleteFunc(notes, func(pod string, _ map[string]string) bool {
		_, made := plan.inherits[pod]
		return made || slices.ContainsFunc(o.Pods, func(p api.Pod) bool { return p.Spec.Name == pod })
	})
	if len(notes) == 0 {
		return os.RemoveAll(deps.inheritPath(name))
	}
	return disk.WriteJSON(deps.inheritPath(name), notes, disk.Volatile)
}
