// Command nethttp serves the contract of examples/contract with the standard library's net/http.
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

func main() { core.Main("nethttp", serve) }

// serve answers on l until ctx ends, then gives requests in flight core.Drain to finish.
func serve(ctx context.Context, l net.Listener, app *core.App) error {
	handler, err := planted(newApp(app))
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
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
