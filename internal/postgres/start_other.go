//go:build !linux

package postgres

import (
	"context"
	"time"

	"github.com/duet-bench/duet/internal/sandbox"
)

// throwaway is not available here.
type throwaway struct{}

// Start refuses.
func Start(context.Context, Options) (*Server, error) { return nil, sandbox.ErrUnsupported }

// Forget has nothing to forget.
func Forget(string) {}

func (throwaway) alive() error       { return nil }
func (throwaway) cpu() time.Duration { return 0 }
func (throwaway) stop() error        { return nil }
