package local

import (
	"context"
	"os"

	"podc.example/podc/api"
	"podc.example/podc/secrets"
)

// objects implements control.Objects.
type objects struct {
	root string
	kind secrets.Kind
}

func (o objects) store() *secrets.Store { return secrets.Open(o.root, o.kind) }

func (o objects) List(context.Context) ([]api.Object, error) { return o.store().List() }

func (o objects) Get(_ context.Context, ref string) (api.Object, error) { return o.store().Get(ref) }

func (o objects) Create(ctx context.Context, want api.Object) (api.Object, error) {
	if err := os.MkdirAll(o.root, 0o700); err != nil {
		return want, err
	}
	return o.store().Create(ctx, want)
}

func (o objects) Remove(ctx context.Context, ref string) error { return o.store().Remove(ctx, ref) }

func (o objects) Limit() int64 { return int64(o.kind.Limit) }
