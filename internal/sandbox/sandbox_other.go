//go:build !linux

package sandbox

import (
	"context"
	"os"
	"time"
)

// Box is not available here.
type Box struct{}

// Process is not available here.
type Process struct{}

// Helper returns: nothing is ever started on this system.
func Helper() {}

// Guard has nothing to guard: nothing is ever started on this system.
func Guard() error { return nil }

// KillEverything has nothing to kill.
func KillEverything(time.Duration) {}

// Probe finds no way to confine a child.
func Probe() Abilities { return Abilities{} }

// New refuses.
func New(Options) (*Box, error) { return nil, ErrUnsupported }

func (*Box) Level() string                                    { return "none" }
func (*Box) UID() int                                         { return -1 }
func (*Box) Dir() string                                      { return "" }
func (*Box) Home() string                                     { return "" }
func (*Box) Tmp() string                                      { return "" }
func (*Box) Logs() string                                     { return "" }
func (*Box) Own(string) error                                 { return ErrUnsupported }
func (*Box) Start(context.Context, Command) (*Process, error) { return nil, ErrUnsupported }
func (*Box) Run(context.Context, Command) (Exit, error)       { return Exit{}, ErrUnsupported }
func (*Box) Processes() ([]int, error)                        { return nil, ErrUnsupported }
func (*Box) KillAll(context.Context) error                    { return nil }
func (*Box) Renew() error                                     { return ErrUnsupported }
func (*Box) Close() error                                     { return nil }
func (*Process) Pid() int                                     { return 0 }
func (*Process) Spawned() time.Time                           { return time.Time{} }
func (*Process) Done() <-chan struct{}                        { return nil }
func (*Process) Exit() Exit                                   { return Exit{} }
func (*Process) Tail() []string                               { return nil }
func (*Process) Signal(os.Signal) error                       { return ErrUnsupported }
func (*Process) Kill()                                        {}

// FindBounds finds nothing that confines Duet.
func FindBounds() (Bounds, error) { return Bounds{}, ErrUnsupported }
