//go:build !linux

package service

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
)

// Service is not available here.
type Service struct{}

// Namespace is not available here.
type Namespace struct{}

// Start refuses.
func Start(context.Context, Spec) (*Service, error) { return nil, sandbox.ErrUnsupported }

// NewNamespace refuses.
func NewNamespace() (*Namespace, error) { return nil, sandbox.ErrUnsupported }

func (*Namespace) Path() string { return "" }
func (*Namespace) Close() error { return nil }

func (*Service) Dial(context.Context) (net.Conn, error) { return nil, sandbox.ErrUnsupported }
func (*Service) HTTP() *http.Client                     { return nil }
func (*Service) Host() string                           { return "" }
func (*Service) ColdStart() time.Duration               { return 0 }
func (*Service) Tail() []string                         { return nil }
func (*Service) Alive() error                           { return sandbox.ErrUnsupported }
func (*Service) Stop(context.Context) error             { return nil }
func (*Service) CPU() (time.Duration, error)            { return 0, sandbox.ErrUnsupported }
func (*Service) Sample() (result.MemoryPoint, error) {
	return result.MemoryPoint{}, sandbox.ErrUnsupported
}
func (*Service) ResetPeak() error        { return sandbox.ErrUnsupported }
func (*Service) PeakRSS() (int64, error) { return 0, sandbox.ErrUnsupported }

// Callgrind is not available here.
type Callgrind struct{}

// FindCallgrind refuses.
func FindCallgrind() (Callgrind, error) { return Callgrind{}, sandbox.ErrUnsupported }

func (Callgrind) Wrap(*sandbox.Box, map[string]string) Wrap { return Wrap{} }
func (Callgrind) Zero(context.Context, *Service) error      { return sandbox.ErrUnsupported }
func (Callgrind) Dump(context.Context, *Service, int) (io.ReadCloser, error) {
	return nil, sandbox.ErrUnsupported
}

// Gperftools is not available here.
type Gperftools struct{ Profiler }

// FindGperftools refuses.
func FindGperftools(Want) (*Gperftools, error) { return nil, sandbox.ErrUnsupported }

// Perf is not available here.
type Perf struct{ Profiler }

// FindPerf refuses.
func FindPerf() (*Perf, error) { return nil, sandbox.ErrUnsupported }
