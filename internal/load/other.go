//go:build !linux || (!amd64 && !arm64)

package load

import (
	"context"
	"time"
)

// Client measures nothing here: see ErrUnsupported.
type Client struct{}

// NewClient closes the connections, which it owns, and refuses.
func NewClient(o Options) (*Client, error) {
	for _, conn := range o.Conns {
		_ = conn.Close()
	}
	return nil, ErrUnsupported
}

// Open refuses.
func (*Client) Open(context.Context, []time.Duration, *Recorder) (Slice, error) {
	return Slice{}, ErrUnsupported
}

// Closed refuses.
func (*Client) Closed(context.Context, time.Duration, *Recorder) (Slice, error) {
	return Slice{}, ErrUnsupported
}

// Count refuses.
func (*Client) Count(context.Context, int, *Recorder) (Slice, error) {
	return Slice{}, ErrUnsupported
}

// Close does nothing.
func (*Client) Close() error { return nil }

// Pin refuses.
func Pin(int) (unpin func(), err error) { return nil, ErrUnsupported }
