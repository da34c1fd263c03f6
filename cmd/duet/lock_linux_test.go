package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Two jobs on one self-hosted host measure one after the other, and the second says that it waits.
func TestOneMeasuringJobAHost(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var log strings.Builder
	w := world{getenv: func(name string) string {
		return map[string]string{"RUNNER_ENVIRONMENT": "self-hosted"}[name]
	}, stderr: &log}
	first, err := lockHost(t.Context(), w)
	if err != nil || log.Len() > 0 {
		t.Fatalf("the first: %v\n%s", err, &log)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		unlock, err := lockHost(ctx, w)
		if err == nil {
			unlock()
		}
		got <- err
	}()
	time.Sleep(2 * lockPause)
	select {
	case err := <-got:
		t.Fatalf("the second did not wait: %v", err)
	default:
	}
	first()
	if err := <-got; err != nil || strings.Count(log.String(), "another job measures on this host") != 1 {
		t.Errorf("the second: %v\n%s", err, &log)
	}
	if _, err := lockHost(t.Context(), w); err != nil { // held until the end
		t.Fatal(err)
	}
	cancel()
	if _, err := lockHost(ctx, w); err == nil {
		t.Error("a job that was cancelled got the lock")
	}
	hosted := world{getenv: func(string) string { return "" }, stderr: &log}
	if _, err := lockHost(t.Context(), hosted); err != nil {
		t.Errorf("a hosted runner: %v", err)
	}
}

// A link that somebody else put there is not followed.
func TestLockIsNoLink(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	target := filepath.Join(dir, "target")
	if err := os.Symlink(target, filepath.Join(dir, lockName)); err != nil {
		t.Fatal(err)
	}
	_, err := lockHost(t.Context(), world{getenv: func(string) string { return "self-hosted" }})
	if _, missing := os.Stat(target); err == nil || missing == nil {
		t.Errorf("the link was followed: %v, %v", err, missing)
	}
}
