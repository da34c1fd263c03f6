package dashboard_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/duet-bench/duet/internal/dashboard"
	"github.com/duet-bench/duet/internal/history/made"
)

// manyNights is what the largest site in sight is made of: eight services, seven workloads, twelve metrics, a change every month.
func manyNights(n int) dashboard.Input {
	o := made.Options{Seed: 5, Start: time.Date(2023, 11, 26, 3, 0, 0, 0, time.UTC), Nights: n,
		Services: []string{"go", "gin", "fiber", "echo", "rust", "rust-axum", "rust-actix", "rust-rocket"}, Machines: []int{n / 2}, Missing: []int{7, 8}}
	for k := 20; k < n; k += 30 {
		o.Steps = append(o.Steps, made.Step{Night: k, Service: o.Services[k/30%8], Workload: made.Workloads()[k/30%7], Metric: made.Metrics()[k/30%12], Factor: 1.2})
	}
	return madeInput(o)
}

// firstView is what a browser asks for before anything is clicked.
var firstView = []string{"index.html", "assets/icon.svg", "assets/uplot.min.css", "assets/uplot.min.js", "assets/dashboard.css", "assets/dashboard.js", "data/index.js"}

// Three years come as less than 5 MB, uncompressed, and no page asks for more than one file more.
func TestThreeYears(t *testing.T) {
	in := manyNights(3 * 365)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	site := files(t, in)
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	first, total, largest := 0, 0, ""
	for _, name := range firstView {
		if site[name] == nil {
			t.Errorf("no %s", name)
		}
		first += len(site[name])
	}
	for name, text := range site {
		total += len(text)
		if strings.HasPrefix(name, "data/") && name != "data/index.js" && (largest == "" || len(text) > len(site[largest])) {
			largest = name
		}
	}
	t.Logf("%d nights, %d series: made in %v with %d MB allocated; %d files, %d kB; first view %d kB; the largest other file %s, %d kB", len(in.Entries), len(in.Series),
		took.Round(time.Millisecond), (after.TotalAlloc-before.TotalAlloc)>>20, len(site), total/1000, first/1000, largest, len(site[largest])/1000)
	if first > 5_000_000 || len(site[largest]) > 2_000_000 {
		t.Errorf("the first view has %d bytes, %s %d: want at most 5 MB and 2 MB", first, largest, len(site[largest]))
	}

	origin := serve(t, site)
	b := openBrowser(t)
	b.size(1280, 900)
	start = time.Now()
	b.run(chromedp.Navigate(origin))
	b.until("document.querySelector('table.grid')")
	wall := time.Since(start)
	loaded := b.eval("performance.now()")
	b.mu.Lock()
	received, requests := b.bytes, len(b.requested)
	b.mu.Unlock()
	t.Logf("first view in Chromium: %d requests, %.0f kB received, drawn %.0f ms after navigation began (%v with the driver)", requests, received/1000, loaded, wall.Round(time.Millisecond))
	if received > 5_000_000 {
		t.Errorf("the first view received %.0f bytes, want at most 5 MB", received)
	}
	if requests != len(firstView) && requests != len(firstView)-1 { // the icon may come later
		t.Errorf("the first view made %d requests, want %d, or one less: %q", requests, len(firstView), b.requested)
	}
	for _, hash := range []string{"#/metric/db-query/p50", "#/workload/db-query", "#/changes", "#/builds"} {
		start := b.eval("performance.now()").(float64)
		b.goTo(hash)
		b.until("document.querySelector('main h1')")
		t.Logf("%s: %.0f ms", hash, b.eval("performance.now()").(float64)-start)
	}
	b.check(origin)
}

// A site grows with its nights, and its index by a line a night.
func TestGrowth(t *testing.T) {
	t.Parallel()
	size := func(nights int) (index, all int) {
		site := files(t, madeInput(made.Options{Seed: 1, Nights: nights, Workloads: []string{"a", "b"}}))
		for _, text := range site {
			all += len(text)
		}
		for _, name := range firstView {
			all -= len(site[name])
		}
		return len(site["data/index.js"]), all
	}
	index1, all1 := size(200)
	index2, all2 := size(400)
	index4, all4 := size(800)
	said := fmt.Sprintf("200, 400, 800 nights: index %d, %d, %d bytes; the rest %d, %d, %d", index1, index2, index4, all1, all2, all4)
	t.Log(said)
	if got := float64(all4-all2) / float64(all2-all1); got > 2.2 {
		t.Errorf("four times the nights take more than four times the room: %s", said)
	}
	if perNight := float64(index4-index2) / 400; perNight > 250 {
		t.Errorf("a night adds %.0f bytes to the index, want at most 250", perNight)
	}
}
