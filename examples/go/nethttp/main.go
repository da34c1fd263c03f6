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
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/duet-bench/duet/examples/go/core"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "nethttp:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, env func(string) string) error {
	l, err := net.Listen("tcp", core.Addr(env))
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	fmt.Fprintln(os.Stderr, "nethttp: listening on", l.Addr())
	return serve(ctx, l)
}

// serve answers on l until ctx ends, then gives requests in flight core.Drain to finish.
func serve(ctx context.Context, l net.Listener) error {
	app, err := planted(newApp(core.NewLinks(core.LinkLimit)))
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: app, ReadHeaderTimeout: 10 * time.Second}
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
