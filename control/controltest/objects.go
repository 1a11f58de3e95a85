package controltest

import (
	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
)

var objects = []behaviour{
	{"secrets are kept, found and forgotten", func(s *suite) { kept(s, s.Secrets, s.Configs) }},
	{"configs are kept, found and forgotten", func(s *suite) { kept(s, s.Configs, s.Secrets) }},
}

func kept(s *suite, of, others control.Objects) {
	equal(s, "objects", len(must(of.List(s.ctx))(s)), 0)
	made := must(of.Create(s.ctx, api.Object{Name: "o", Data: []byte("x"), Labels: map[string]string{"a": "b"}}))(s)
	s.is(failed(of.Create(s.ctx, api.Object{Name: "o", Data: []byte("y")})), errdefs.IsAlreadyExists)
	for _, ref := range []string{"o", made.ID} {
		is := must(of.Get(s.ctx, ref))(s)
		equal(s, ref, is.ID+string(is.Data)+is.Labels["a"], made.ID+"xb")
	}
	must(of.Create(s.ctx, api.Object{Name: "large", Data: make([]byte, of.Limit())}))(s)
	equal(s, "objects", len(must(of.List(s.ctx))(s)), 2)
	equal(s, "objects of the other kind", len(must(others.List(s.ctx))(s)), 0)
	s.ok(of.Remove(s.ctx, made.ID))
	s.is(failed(of.Get(s.ctx, "o")), errdefs.IsNotFound)
	s.is(of.Remove(s.ctx, "o"), errdefs.IsNotFound)
}
