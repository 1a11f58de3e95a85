package main

import (
	"context"
	"slices"

	"podc.example/podc/compose"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
	"podc.example/podc/project/translate"
)

// load answers one request. That a project cannot be loaded is an answer, too.
func load(ctx context.Context, _ *helper.Call, req podccompose.LoadRequest) (*podccompose.LoadReply, error) {
	reply := &podccompose.LoadReply{}
	if err := loadInto(ctx, reply, req); err != nil {
		reply.Fault = fault.Of(err)
	}
	return reply, nil
}

func loadInto(ctx context.Context, reply *podccompose.LoadReply, req podccompose.LoadRequest) error {
	warned := captureWarnings()
	p, err := compose.Load(ctx, options(req))
	reply.Inputs, reply.Promoted, reply.StatedName = p.Inputs, p.Promoted, p.StatedName
	if err != nil {
		return err
	}
	undeclared, err := amend(p, req)
	if err != nil {
		return err
	}
	reply.Inputs = p.Inputs
	res, err := translate.Translate(p, translate.Options{
		Key: req.Key, Version: req.Version, Scale: req.Scale, Store: req.Store,
		Compatibility: req.Compatibility || compatibility(p), Existing: req.Existing,
	})
	if err != nil {
		return err
	}
	reply.Desired, reply.Contents = res.Desired, res.Contents
	reply.Desired.Volumes = slices.DeleteFunc(reply.Desired.Volumes, func(v project.Volume) bool { return slices.Contains(undeclared, v.Key) })
	reply.Desired.Warnings = once(append(warned(), reply.Desired.Warnings...))
	reply.Inputs = slices.Compact(slices.Sorted(slices.Values(append(reply.Inputs, res.Inputs...))))
	reply.Memo = !p.Streamed
	return nil
}

func options(req podccompose.LoadRequest) compose.Options {
	return compose.Options{
		Files: req.Files, Stdin: req.Stdin, WorkingDir: req.WorkingDir, ProjectDir: req.ProjectDir,
		ProjectName: req.ProjectName, Profiles: req.Profiles, EnvFiles: req.EnvFiles,
		Services: req.Services, NoDeps: req.NoDeps, AllResources: req.AllResources || req.Run != nil && len(req.Run.Volumes) > 0, // which may be any of the file's
		Lenient: req.Existing, NoEnvResolution: req.Existing,
	}
}

func compatibility(p *compose.Project) bool { return truthy(p.Environment["COMPOSE_COMPATIBILITY"]) }
