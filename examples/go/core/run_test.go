package core

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func settingsOf(pairs ...string) func(string) string {
	env := map[string]string{"ADDR": "127.0.0.1:0"}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return env[name] }
}

func TestSettings(t *testing.T) {
	got, err := ReadSettings(settingsOf())
	want := Settings{Addr: "127.0.0.1:0", Links: "memory", PoolSize: 8, OrderWorkers: 4, OrderQueue: 64}
	if err != nil || got != want {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	got, err = ReadSettings(settingsOf("DATABASE_URL", "postgres://x", "LINKS", "postgres", "POOL_SIZE", "64", "ORDER_WORKERS", "1", "ORDER_QUEUE", "10000"))
	want = Settings{Addr: "127.0.0.1:0", DatabaseURL: "postgres://x", Links: "postgres", PoolSize: 64, OrderWorkers: 1, OrderQueue: 10_000}
	if err != nil || got != want {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	for _, tt := range []struct{ name, value string }{
		{"LINKS", "disk"}, {"LINKS", "postgres"}, {"POOL_SIZE", "0"}, {"POOL_SIZE", "65"}, {"POOL_SIZE", "x"},
		{"ORDER_WORKERS", "65"}, {"ORDER_WORKERS", "-1"}, {"ORDER_QUEUE", "10001"}, {"ORDER_QUEUE", "1.5"},
	} {
		if _, err := ReadSettings(settingsOf(tt.name, tt.value)); err == nil || !strings.Contains(err.Error(), tt.name) || !strings.Contains(err.Error(), tt.value) {
			t.Errorf("%s=%s: got %v", tt.name, tt.value, err)
		}
	}
}

func TestRunSaysWhatItCannotDo(t *testing.T) {
	never := func(context.Context, net.Listener, *App) error { return errors.New("served") }
	for _, tt := range []struct {
		env  func(string) string
		want string
	}{
		{settingsOf("ADDR", "nowhere:x"), "listening: "},
		{settingsOf("LINKS", "disk"), "reading LINKS: "},
		{settingsOf("DATABASE_URL", "postgres://duet:hunter2@[/db"), "reading DATABASE_URL: "},
		{settingsOf(), "served"},
	} {
		err := Run(t.Context(), "test", tt.env, new(strings.Builder), never)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

func TestRunSaysWhereItListens(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var stderr strings.Builder
	err := Run(ctx, "test", settingsOf(), &stderr, func(_ context.Context, l net.Listener, app *App) error {
		if got, want := stderr.String(), "test: listening on "+l.Addr().String()+"\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if _, err := app.Follow(ctx, "000000"); code(err) != "not_found" {
			t.Errorf("got %+v", err)
		}
		stop()
		return l.Close()
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDrainEndsAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		drain, cancel := draining(ctx)
		defer cancel()
		time.Sleep(time.Hour)
		if drain.Err() != nil {
			t.Error("drained before shutdown")
		}
		stop()
		start := time.Now()
		<-drain.Done()
		if took := time.Since(start); took != Drain {
			t.Errorf("drained for %v", took)
		}
	})
}

func TestCloseWaitsForSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		app := InMemory(NewLinks(1))
		app.stopping = ctx
		ended := false
		go app.Socket(func(stopping context.Context) {
			<-stopping.Done()
			time.Sleep(time.Second)
			ended = true
		})
		synctest.Wait()
		stop()
		app.Close(t.Context())
		if !ended {
			t.Error("closed before the socket ended")
		}
		go app.Socket(func(context.Context) { time.Sleep(time.Hour) })
		synctest.Wait()
		drain, cancel := context.WithTimeout(t.Context(), Drain)
		defer cancel()
		app.Close(drain)
		if drain.Err() == nil {
			t.Error("closed before the drain was over")
		}
		time.Sleep(time.Hour) // the socket ends
	})
}
