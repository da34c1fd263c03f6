// Command chi serves the contract of examples/contract with chi.
//
// It listens on $ADDR, or on loopback at $PORT (default 8080), until SIGTERM or SIGINT.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/duet-bench/duet/examples/go/core"
)

func main() { core.Main("chi", serve) }

// serve is chi's own way of a graceful shutdown: that of net/http.
func serve(ctx context.Context, l net.Listener, app *core.App) error {
	srv := &http.Server{Handler: newRouter(app), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), core.Drain)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shutting down: %w", err)
	}
	return srv.Close()
}
