package local

import (
	"context"

	"podc.example/podc/api"
	"podc.example/podc/secrets"
)

// objects implements control.Objects.
type objects struct {
	*secrets.Store
	kind secrets.Kind
}

func (o objects) List(context.Context) ([]api.Object, error) { return o.Store.List() }

func (o objects) Get(_ context.Context, ref string) (api.Object, error) { return o.Store.Get(ref) }

func (o objects) Limit() int64 { return int64(o.kind.Limit) }
