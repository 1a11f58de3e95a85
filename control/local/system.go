package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/doctor"
	"podc.example/podc/engine"
	"podc.example/podc/engine/cgroups"
	"podc.example/podc/internal/child"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podcimage"
	"podc.example/podc/internal/rootkey"
	"podc.example/podc/netstack"
	"podc.example/podc/project"
	"podc.example/podc/secrets"
)

// system implements control.System.
type system struct {
	cfg    Config
	engine *engine.Engine
	images podcimage.Client
}

func (s system) Info(ctx context.Context) (control.Info, error) {
	snap, err := s.engine.Snapshot(ctx, "")
	if err != nil {
		return control.Info{}, err
	}
	info := control.Info{
		Root: s.cfg.Root, RunRoot: s.cfg.RunRoot, RootID: s.engine.RootID(),
		Runtime: programVersion(ctx, "crun"), Conmon: programVersion(ctx, "conmon"), CgroupV2: cgroups.This().V2,
		Pods: len(snap.Pods), Networks: len(snap.Networks), Volumes: len(snap.Volumes),
	}
	if s.cfg.Root != control.DefaultRoot {
		info.ImageStore = s.cfg.Root + "/storage"
	}
	for _, p := range snap.Pods {
		if p.Status.Up() {
			info.Running++
		}
	}
	return info, nil
}

// programVersion is the first line of what a program says about its version, or why there is none.
func programVersion(ctx context.Context, name string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := child.Command(ctx, name, "--version")
	cmd.WaitDelay = time.Second // what it has started may keep its output open
	out, err := cmd.Output()
	if err != nil {
		return "cannot be run: " + err.Error()
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first
}

func (s system) Check(ctx context.Context, repair bool) (problems []api.Problem, mended []string, err error) {
	var errs []error
	if repair {
		done, err := s.engine.Checker().Repair(ctx)
		errs = append(errs, err)
		for _, p := range done {
			mended = append(mended, p.String())
		}
	}
	problems, err1 := s.engine.Checker().Check(ctx)
	files, done, err2 := s.checkFiles(repair)
	var images podcimage.CheckReply
	err3 := s.images.Ask(ctx, helper.Question{Verb: podcimage.Check, Request: podcimage.CheckRequest{Repair: repair}}, &images)
	return slices.Concat(problems, files, images.Problems), slices.Concat(mended, done, images.Repaired), errors.Join(append(errs, err1, err2, err3)...)
}

// checkFiles finds the files of a root that cannot be read and that no pod, network or volume owns. With repair it removes those that
// podc makes anew by itself.
func (s system) checkFiles(repair bool) (problems []api.Problem, mended []string, err error) {
	add := func(kind, object, detail string, mend func() error) {
		p := api.Problem{Kind: kind, Object: object, Detail: detail}
		if !repair || mend == nil {
			problems = append(problems, p)
		} else if merr := mend(); merr != nil {
			problems, err = append(problems, p), errors.Join(err, merr)
		} else {
			mended = append(mended, p.String())
		}
	}
	remove := func(path string) func() error { return func() error { return os.RemoveAll(path) } }
	if key, err := disk.ReadFile(rootkey.Path(s.cfg.Root)); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && len(key) != rootkey.Size {
		add("file", rootkey.Path(s.cfg.Root), "the root's key is damaged; another one is made when it is needed, and containers with secrets in their files are made anew then", remove(rootkey.Path(s.cfg.Root)))
	}
	for path, damage := range project.DamagedNotes(s.cfg.RunRoot) {
		add("file", path, damage.Error()+"; the anonymous volumes that it names are kept (podc volume ls)", remove(path))
	}
	memos, _ := filepath.Glob(filepath.Join(s.cfg.RunRoot, "memo", "*.json"))
	for _, path := range memos {
		var any json.RawMessage
		if err := disk.ReadJSON(path, &any); errors.Is(err, disk.ErrDamaged) {
			add("file", path, err.Error()+"; it only saves time", remove(path))
		}
	}
	for _, path := range s.cfg.builds().Left() {
		add("file", path, "left by a build that was killed", func() error { return s.cfg.builds().Clear(context.Background()) })
	}
	for _, kind := range []secrets.Kind{secrets.Secret, secrets.Config} {
		damaged, derr := secrets.Open(s.cfg.Root, kind).Damaged()
		err = errors.Join(err, derr)
		for _, name := range slices.Sorted(maps.Keys(damaged)) {
			add(kind.Name, name, damaged[name], nil)
		}
	}
	return problems, mended, err
}

func (s system) Examine(ctx context.Context) []doctor.Finding {
	return doctor.Examine(ctx, doctor.Host{
		Path: s.cfg.Env["PATH"], Helpers: s.cfg.Helpers, DataRoot: s.cfg.Root, RunRoot: s.cfg.RunRoot, UID: s.cfg.UID,
		PluginDirs: s.engine.Network().PluginDirs(),
		Probes: []doctor.Probe{
			{Name: "root filesystems", Try: s.engine.TryRootfs, Fine: "overlays can be mounted below " + s.cfg.Root, Needed: true,
				Mend: "put the data root on ext4, xfs or btrfs (--root), and give podc the right to mount"},
			{Name: "networks", Try: netstack.TryKernel, Fine: "bridges, pairs of links and nftables can be made", Needed: true,
				Mend: "load what is missing (modprobe bridge veth nf_tables nft_chain_nat), or use a kernel that has it"},
			{Name: "forward policy", Try: s.blockers, Fine: "nobody drops what podc lets through",
				Mend: "accept the traffic of podc's bridges there (iifname \"b*\"), or set the policy to accept"},
			{Name: "ports", Try: s.engine.TryPorts, Fine: "those of containers at rest are free", Mend: "end who has them, or publish others"},
		},
	})
}

// blockers fails with the chains of others that drop what podc lets through.
func (s system) blockers(ctx context.Context) error {
	chains, err := s.engine.Network().Blockers(ctx)
	if err == nil && len(chains) > 0 {
		err = errors.New(strings.Join(chains, "; "))
	}
	return err
}

func (s system) BeginRun(ctx context.Context) error {
	return errors.Join(s.engine.Shutdown().Forget(), s.engine.Checker().Tidy(ctx))
}

func (s system) EndRun() error { return s.engine.Shutdown().Note() }

// helperPatience is how long the helpers of containers that have ended may take to end themselves.
const helperPatience = 10 * time.Second

func (s system) AwaitEnd(ctx context.Context) error {
	err := s.engine.ShutDownAll(ctx, "")
	wait, cancel := context.WithTimeoutCause(ctx, helperPatience, fmt.Errorf("helpers of containers did not end within %s", helperPatience))
	defer cancel()
	return errors.Join(err, s.cfg.builds().Stop(wait), s.engine.Monitors().AwaitHelpers(wait))
}

func (s system) Ending() bool { return s.engine.Ending() }

func (s system) Stops() bool { return engine.MachineStops() }
