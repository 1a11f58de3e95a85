// Package engine runs pods on one host, without a daemon: it prepares namespaces, root filesystems, OCI specs, networks and
// volumes, then executes conmon, which executes crun. State is files (paths.go) and the kernel; nothing has to be running
// for a call to work. It knows no compose words and links neither containers/storage nor containers/image: images reach it
// resolved.
package engine

import (
	"podc.example/podc/api"
	"podc.example/podc/engine/conmon"
	"podc.example/podc/engine/logfile"
)

// Data that the engine shares with others.
type (
	BlockIO       = api.BlockIO
	Condition     = api.Condition
	ContainerSpec = api.ContainerSpec
	Device        = api.Device
	DeviceRate    = api.DeviceRate
	DeviceWeight  = api.DeviceWeight
	Event         = api.Event
	EventOptions  = api.EventOptions
	File          = api.File
	Health        = api.Health
	HealthCheck   = api.HealthCheck
	Hook          = api.Hook
	Image         = api.Image
	ImageConfig   = api.ImageConfig
	LogConfig     = api.LogConfig
	LogLine       = api.LogLine
	Mount         = api.Mount
	MountType     = api.MountType
	Namespace     = api.Namespace
	NamespaceMode = api.NamespaceMode
	Pod           = api.Pod
	PodNetwork    = api.PodNetwork
	PodSpec       = api.PodSpec
	Probe         = api.Probe
	Problem       = api.Problem
	RemoveOptions = api.RemoveOptions
	Resources     = api.Resources
	RestartPolicy = api.RestartPolicy
	Status        = api.Status
	Ulimit        = api.Ulimit
	Usage         = api.Usage
	VolumesFrom   = api.VolumesFrom
	LogOptions    = logfile.Options
	Exec          = conmon.Exec
	RuntimeError  = conmon.RuntimeError
	Stream        = conmon.Stream
)

const (
	NetworkPrivate   = api.NetworkPrivate
	NetworkHost      = api.NetworkHost
	NetworkPod       = api.NetworkPod
	MountBind        = api.MountBind
	MountVolume      = api.MountVolume
	MountTmpfs       = api.MountTmpfs
	MountImage       = api.MountImage
	StatusCreating   = api.StatusCreating
	StatusCreated    = api.StatusCreated
	StatusRunning    = api.StatusRunning
	StatusPaused     = api.StatusPaused
	StatusRestarting = api.StatusRestarting
	StatusExited     = api.StatusExited
	StatusDead       = api.StatusDead
	HealthNone       = api.HealthNone
	HealthStarting   = api.HealthStarting
	HealthHealthy    = api.HealthHealthy
	HealthUnhealthy  = api.HealthUnhealthy
	Started          = api.Started
	Healthy          = api.Healthy
	Completed        = api.Completed
	Ready            = api.Ready
	Running          = api.Running
	Stopped          = api.Stopped
	NamespacePrivate = api.NamespacePrivate
	NamespacePod     = api.NamespacePod
)
