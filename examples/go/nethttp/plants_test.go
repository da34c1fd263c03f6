//go:build plants

package main

import (
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/duet-bench/duet/examples/go/core"
)

// What the self-test plants; the Rust service has the same list.
var plantable = []string{
	"", "work:1", "work:2", "work:3", "work:5", "work:10", "alloc:1", "latency:50", "latency:100", "latency:200",
	"memory:5", "memory:20", "stall:2", "burst:40", "garbage:50",
}

func parsed(t *testing.T, text string) *plant {
	t.Helper()
	p, err := parsePlant(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlantedAppAnswersAsEver(t *testing.T) {
	for _, text := range plantable {
		t.Setenv("DUET_PLANT", text)
		app, err := planted(newApp(core.InMemory(core.NewLinks(10))))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := ask(app, "GET", "/health", ""); got.Code != http.StatusOK || got.Body.String() != `{"status":"ok"}` {
			t.Errorf("%q: got %d %s", text, got.Code, got.Body)
		}
		if got := ask(app, "GET", "/000000", ""); got.Code != http.StatusNotFound {
			t.Errorf("%q: got %d for a link that is missing", text, got.Code)
		}
	}
}

func TestUnknownPlantsAreFatal(t *testing.T) {
	for _, text := range []string{"work", "work:", "work:0", "work:-1", "work:x", "weeds:1", ":1", " "} {
		t.Setenv("DUET_PLANT", text)
		if _, err := planted(http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "DUET_PLANT") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestWorkIsItsShare(t *testing.T) {
	for _, percent := range []uint64{1, 2, 3, 5, 10} {
		for r := range routes {
			var a act
			a.set("work", percent, costs(r))
			got := 100 * float64(a.turns*turn) / float64(costs(r).instructions)
			if want := float64(percent); got < 0.95*want || 1.05*want < got {
				t.Errorf("route %d: got %.3f %% for work:%d", r, got, percent)
			}
		}
	}
}

func TestAllocationsAreExact(t *testing.T) {
	for _, tt := range []struct {
		plant string
		share float64
	}{{"alloc:1", 0.01}, {"garbage:50", 0.5}, {"", 0}} {
		p := parsed(t, tt.plant)
		for r := range routes {
			const requests = 1000
			got := testing.AllocsPerRun(1, func() {
				for range requests {
					p.acts[r].do()
				}
			})
			want := tt.share * float64(costs(r).allocations) / 100 * requests
			// Upwards there is what the runtime allocates meanwhile.
			if got < 0.97*want || 1.01*want+10 < got {
				t.Errorf("%q on route %d: got %v allocations in %d requests, want %v", tt.plant, r, got, requests, want)
			}
		}
	}
}

func TestWaitsAreAtLeastAsLong(t *testing.T) {
	spent := func(text string, requests int) time.Duration {
		p := parsed(t, text)
		start := time.Now()
		for range requests {
			p.acts[routeHealth].do()
		}
		return time.Since(start)
	}
	if got := spent("latency:200", 10); got < 2*time.Millisecond {
		t.Errorf("10 requests took %v, want 200 µs each", got)
	}
	if got := spent("stall:2", 2*stallEvery); got < 4*time.Millisecond {
		t.Errorf("%d requests took %v, want two stalls of 2 ms", 2*stallEvery, got)
	}
}

func TestMemoryAndBurst(t *testing.T) {
	if got, want := parsed(t, "memory:20").memory, peakRSS/5; got != want {
		t.Errorf("got %d bytes, want %d", got, want)
	}
	if got := parsed(t, "burst:40").burst; got != 40*time.Millisecond {
		t.Errorf("got a burst of %v", got)
	}
	runtime.LockOSThread() // whose clock is read
	defer runtime.UnlockOSThread()
	before := threadCPU()
	_ = spin(10_000_000)
	if after := threadCPU(); after <= before {
		t.Errorf("the thread's clock went from %v to %v over work", before, after)
	}
}

func TestRoutes(t *testing.T) {
	for path, want := range map[string]route{
		"/health": routeHealth, "/pipeline": routePipeline, "/links": routeLinks, "/links/abc": routeLinks, "/abc": routeLinks,
	} {
		if got := routeOf(path); got != want {
			t.Errorf("%s: got route %d, want %d", path, got, want)
		}
	}
}
