package core

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Serve answers on l from app until ctx ends, then gives requests in flight Drain to finish. It is all that a framework
// does in its own way.
type Serve func(ctx context.Context, l net.Listener, app *App) error

// Main is the main function of the service called name.
func Main(name string, serve Serve) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := Run(ctx, name, os.Getenv, os.Stderr, serve); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Run serves until ctx ends. It says where it listens when it can answer everything, and not before.
func Run(ctx context.Context, name string, env func(string) string, stderr io.Writer, serve Serve) error {
	settings, err := ReadSettings(env)
	if err != nil {
		return err
	}
	app, err := Open(ctx, settings)
	if err != nil {
		return err
	}
	drain, cancel := draining(ctx)
	defer cancel()
	l, err := net.Listen("tcp", settings.Addr)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	fmt.Fprintf(stderr, "%s: listening on %s\n", name, l.Addr())
	if err := serve(ctx, l, app); err != nil {
		return err
	}
	app.Close(drain)
	return nil
}

// draining is a context that ends Drain after ctx has.
func draining(ctx context.Context) (drain context.Context, cancel context.CancelFunc) {
	drain, cancel = context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(Drain, cancel) })
	return drain, cancel
}
