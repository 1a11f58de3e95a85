package project

import (
	"podc.example/podc/engine"
	"podc.example/podc/engine/enginetest"
)

var (
	_ Engine = (*engine.Engine)(nil)
	_ Engine = (*enginetest.Fake)(nil)
)
