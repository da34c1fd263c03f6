// Command echo serves the contract of examples/contract with Echo.
//
// It listens on $ADDR, or on loopback at $PORT (default 8080), until SIGTERM or SIGINT.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/labstack/echo/v5"

	"github.com/duet-bench/duet/examples/go/core"
)

func main() { core.Main("echo", serve) }

// serve leaves the graceful shutdown to Echo.
func serve(ctx context.Context, l net.Listener, app *core.App) error {
	var shutdown error
	start := echo.StartConfig{
		Listener: l, HideBanner: true, HidePort: true,
		GracefulTimeout: core.Drain, OnShutdownError: func(err error) { shutdown = err },
	}
	if err := start.Start(ctx, newEcho(app)); err != nil {
		return fmt.Errorf("serving: %w", err)
	}
	if shutdown != nil && !errors.Is(shutdown, context.DeadlineExceeded) {
		return fmt.Errorf("shutting down: %w", shutdown)
	}
	return nil
}
