package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/duet-bench/duet/internal/sandbox"
)

// killWithin bounds what the second signal still does: end what Duet started.
const killWithin = 2 * time.Second

// interruptible is a context that the first SIGINT or SIGTERM cancels: load stops, processes end, the run says
// "cancelled". The second one kills what is left and exits at once; the temporary folder is then swept by the
// next run.
func interruptible(stderr io.Writer) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Ignore(syscall.SIGPIPE) // "duet plan | head" ends with an error of its own, and cleans up
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
		case <-done:
			return
		}
		fmt.Fprintln(stderr, "duet: interrupted: ending what was started (again to end at once)")
		cancel(errInterrupted)
		select {
		case <-signals:
			sandbox.KillEverything(killWithin)
			os.Exit(int(exitInterrupted))
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}
