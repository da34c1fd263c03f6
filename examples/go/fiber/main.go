// Command fiber serves the contract of examples/contract with Fiber.
//
// It listens on $ADDR, or on loopback at $PORT (default 8080), until SIGTERM or SIGINT.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/gofiber/fiber/v3"

	"github.com/duet-bench/duet/examples/go/core"
)

func main() { core.Main("fiber", serve) }

// serve answers on l until ctx ends, then gives requests in flight core.Drain to finish. (Fiber's own GracefulContext
// returns as soon as nobody listens, with requests still in flight.)
func serve(ctx context.Context, l net.Listener, app *core.App) error {
	f := newFiber(app)
	done := make(chan error, 1)
	go func() { done <- f.Listener(l, fiber.ListenConfig{DisableStartupMessage: true}) }()
	select {
	case err := <-done:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	if err := f.ShutdownWithTimeout(core.Drain); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shutting down: %w", err)
	}
	return nil
}
