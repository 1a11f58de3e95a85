package translate

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/compose"
	"podc.example/podc/internal/disk"
	"podc.example/podc/project"
	"podc.example/podc/secrets"
)

// files translates configs and secrets; the keyed digests of their contents go into digests.
func (t *translation) files(c *api.ContainerSpec, owner string, s types.ServiceConfig, digests map[string]string) error {
	var errs []error
	for i, ref := range s.Configs {
		use := fileRef{service: owner, kind: "configs", number: i, target: compose.ConfigTarget(ref), store: secrets.Config,
			ref: types.FileReferenceConfig(ref), object: types.FileObjectConfig(t.p.Configs[ref.Source])}
		errs = append(errs, t.file(c, use, digests))
	}
	for i, ref := range s.Secrets {
		use := fileRef{service: owner, kind: "secrets", number: i, target: compose.SecretTarget(ref), store: secrets.Secret,
			ref: types.FileReferenceConfig(ref), object: types.FileObjectConfig(t.p.Secrets[ref.Source])}
		errs = append(errs, t.file(c, use, digests))
	}
	return compose.Join(errs...)
}

// fileRef is a service's use of one config or secret.
type fileRef struct {
	service string
	kind    string // "configs" or "secrets"
	number  int    // in the service's list
	target  string
	store   secrets.Kind
	ref     types.FileReferenceConfig
	object  types.FileObjectConfig
}

// at is the key path of the use, key that of the config or secret itself.
func (r fileRef) at() string  { return fmt.Sprintf("services.%s.%s[%d]", r.service, r.kind, r.number) }
func (r fileRef) key() string { return r.kind + "." + r.ref.Source }

func (t *translation) file(c *api.ContainerSpec, r fileRef, digests map[string]string) error {
	out := api.File{Target: r.target, UID: r.ref.UID, GID: r.ref.GID, Source: r.object.File}
	err := compose.Join(numericID(r.at()+".uid", r.ref.UID), numericID(r.at()+".gid", r.ref.GID), target(r.at(), api.Mount{Target: r.target}))
	if err != nil {
		return err
	}
	if r.ref.Mode != nil {
		mode := uint32(*r.ref.Mode)
		if *r.ref.Mode < 0 || mode > 0o7777 {
			return compose.Invalid(r.at()+".mode", "%#o is no mode of a file", int64(*r.ref.Mode))
		}
		out.Mode = &mode
	}
	content, err := t.content(r)
	if err != nil {
		return err
	}
	digests[r.kind+"."+r.target] = t.key.digest(content)
	// Of two with one target the last has it: see place.
	c.Files = append(slices.DeleteFunc(c.Files, func(f api.File) bool { return f.Target == out.Target }), out)
	return nil
}

func numericID(key, id string) error {
	if id == "" {
		return nil
	}
	if n, err := strconv.ParseUint(id, 10, 32); err != nil || n == 1<<32-1 {
		return compose.Invalid(key, "%q is no numeric id", id)
	}
	return nil
}

// content returns what the file will hold, and puts it beside the result if it has no file of its own.
func (t *translation) content(r fileRef) ([]byte, error) {
	if t.opt.Existing {
		return nil, nil
	}
	if r.object.File != "" {
		b, err := disk.ReadRegular(r.object.File, int64(r.store.Limit))
		if err != nil {
			e := compose.Invalid(r.key()+".file", "cannot read %s: %v", r.object.File, err)
			if errors.Is(err, fs.ErrNotExist) {
				e.Class = errdefs.ErrNotFound
			} else if errors.Is(err, disk.ErrIsFolder) {
				e.WithHint("mount a folder with `volumes` instead")
			}
			return nil, e
		}
		return b, nil
	}
	var content []byte
	switch {
	case bool(r.object.External):
		var err error
		if content, err = t.external(r); err != nil {
			return nil, err
		}
	case r.object.Environment != "" && r.object.Content == "":
		content = []byte(t.p.Environment[r.object.Environment])
	default:
		content = []byte(r.object.Content)
	}
	if len(content) > r.store.Limit {
		return nil, compose.Invalid(r.key(), "is larger than %d KiB", r.store.Limit>>10)
	}
	t.res.Contents[project.ContentKey(r.service, r.target)] = content
	return content, nil
}

// external is the content of what the data root keeps.
func (t *translation) external(r fileRef) ([]byte, error) {
	store := secrets.Open(t.opt.Store, r.store)
	t.res.Inputs = append(t.res.Inputs, store.Path(r.object.Name))
	o, err := store.Get(r.object.Name)
	if err != nil {
		e := compose.Invalid(r.key(), "%s %q is declared external: %v", r.store.Name, r.object.Name, err)
		if errdefs.IsNotFound(err) {
			e = compose.Invalid(r.key(), "%s %q is declared external but does not exist", r.store.Name, r.object.Name)
			e.WithHint("create it with: podc %s create %s FILE", r.store.Name, r.object.Name)
			e.Class = errdefs.ErrNotFound
		}
		return nil, e
	}
	return o.Data, nil
}
