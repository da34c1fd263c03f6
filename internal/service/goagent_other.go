//go:build !linux

package service

import (
	"context"

	"github.com/duet-bench/duet/internal/sandbox"
)

// GoAgent is not available here.
type GoAgent struct{}

// NewGoAgent makes one that refuses.
func NewGoAgent(GoWants) *GoAgent { return &GoAgent{} }

func (*GoAgent) Tool() string                              { return ToolGo }
func (*GoAgent) Wrap(*sandbox.Box, map[string]string) Wrap { return Wrap{} }
func (*GoAgent) Attach(context.Context, *Service) error    { return sandbox.ErrUnsupported }
func (*GoAgent) Begin(context.Context, *Service) error     { return sandbox.ErrUnsupported }
func (*GoAgent) End(context.Context, *Service) ([]Collected, error) {
	return nil, sandbox.ErrUnsupported
}
func (*GoAgent) Metrics(context.Context, *Service) (GoCounters, error) {
	return GoCounters{}, sandbox.ErrUnsupported
}
