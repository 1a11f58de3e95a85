package main

import (
	"context"
	"encoding/json"
	"io"
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/compose"
	"podc.example/podc/internal/fault"
	"podc.example/podc/project"
	"podc.example/podc/project/translate"
)

// load answers one request and returns the exit code.
func load(ctx context.Context, stdin io.Reader, stdout io.Writer) int {
	reply := answer(ctx, stdin)
	if err := json.NewEncoder(stdout).Encode(reply); err != nil {
		return 1
	}
	if reply.Fault != nil {
		return 1
	}
	return 0
}

func answer(ctx context.Context, stdin io.Reader) *project.LoadReply {
	var req project.LoadRequest
	if err := json.NewDecoder(stdin).Decode(&req); err != nil {
		return &project.LoadReply{Fault: fault.Of(fault.New(errdefs.ErrInvalidArgument, "cannot decode the request: %w", err))}
	}
	warned := captureWarnings()
	p, err := compose.Load(ctx, options(req))
	reply := &project.LoadReply{Inputs: p.Inputs, Promoted: p.Promoted, StatedName: p.StatedName}
	if err != nil {
		reply.Fault = fault.Of(err)
		return reply
	}
	undeclared, err := amend(p, req)
	if err != nil {
		reply.Fault = fault.Of(err)
		return reply
	}
	reply.Inputs = p.Inputs
	res, err := translate.Translate(p, translate.Options{
		Key: req.Key, Version: req.Version, Scale: req.Scale, Pull: req.Pull, Store: req.Store,
		Compatibility: req.Compatibility || compatibility(p), Existing: req.Existing,
	})
	if err != nil {
		reply.Fault = fault.Of(err)
		return reply
	}
	reply.Desired, reply.Contents = res.Desired, res.Contents
	reply.Desired.Volumes = slices.DeleteFunc(reply.Desired.Volumes, func(v project.Volume) bool { return slices.Contains(undeclared, v.Key) })
	reply.Desired.Warnings = once(append(warned(), reply.Desired.Warnings...))
	reply.Inputs = slices.Compact(slices.Sorted(slices.Values(append(reply.Inputs, res.Inputs...))))
	reply.Memo = !p.Streamed
	return reply
}

func options(req project.LoadRequest) compose.Options {
	return compose.Options{
		Files: req.Files, Stdin: req.Stdin, WorkingDir: req.WorkingDir, ProjectDir: req.ProjectDir,
		ProjectName: req.ProjectName, Profiles: req.Profiles, EnvFiles: req.EnvFiles,
		Services: req.Services, NoDeps: req.NoDeps, AllResources: req.AllResources || req.Run != nil && len(req.Run.Volumes) > 0, // which may be any of the file's
		Lenient: req.Existing, NoEnvResolution: req.Existing,
	}
}

func compatibility(p *compose.Project) bool { return truthy(p.Environment["COMPOSE_COMPATIBILITY"]) }
