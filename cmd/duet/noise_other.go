//go:build !linux

package main

import (
	"context"
	"time"

	"github.com/duet-bench/duet/internal/load"
	"github.com/duet-bench/duet/internal/noise"
)

func measureNoise(context.Context, time.Duration, *progress) ([]noise.Round, noise.Disturbance, error) {
	return nil, noise.Disturbance{}, load.ErrUnsupported
}
