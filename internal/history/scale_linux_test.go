package history_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/history"
	"github.com/duet-bench/duet/internal/history/made"
)

// large is nights of eight services, seven workloads and twelve metrics, with a dozen planted changes a year.
func large(nights int) []history.Entry {
	o := made.Options{Seed: 1, Nights: nights, Moves: []int{nights / 2}, Machines: []int{nights * 2 / 3},
		Services: []string{"go", "go-gin", "go-fiber", "go-echo", "go-chi", "rust", "rust-actix", "rust-rocket"}}
	for i := range nights / 30 {
		o.Steps = append(o.Steps, made.Step{Night: 15 + 30*i, Service: o.Services[i%8], Workload: made.Workloads()[i%7], Factor: 1 + 0.03*float64(1-2*(i%2))})
	}
	return made.Nights(o)
}

// cpu is the processor time that this process has used: unlike a clock it does not count the neighbours.
func cpu() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkYears reads, joins and searches one, two and three years: processor time and bytes are to grow as the nights do.
//
//	go test ./internal/history/ -run '^$' -bench Years -benchtime 1x
func BenchmarkYears(b *testing.B) {
	for years := 1; years <= 3; years++ {
		b.Run(fmt.Sprintf("%dy", years), func(b *testing.B) {
			store := history.OpenFolder(filepath.Join(b.TempDir(), "history"))
			if err := store.Import(b.Context(), large(365*years)); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				phase := func(name string, from time.Duration) { b.ReportMetric((cpu() - from).Seconds(), name+"-cpu-s") }
				begin := cpu()
				l, err := store.Load(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				phase("load", begin)
				begin = cpu()
				joined := history.Join(l.Entries)
				phase("join", begin)
				runtime.GC()
				var memory runtime.MemStats
				runtime.ReadMemStats(&memory)
				begin = cpu()
				found := len(history.Changes(joined, history.ChangesOptions{}))
				phase("changes", begin)
				b.ReportMetric(float64(memory.HeapAlloc)/1e6, "live-MB")
				b.ReportMetric(float64(len(l.Entries)), "entries")
				b.ReportMetric(float64(len(joined)), "series")
				b.ReportMetric(float64(found), "changes")
				runtime.KeepAlive(l)
			}
		})
	}
}

// The maker makes the same nights from one seed, and they are what the codec takes.
func TestMadeNights(t *testing.T) {
	t.Parallel()
	a, b := large(40), large(40)
	same(t, "one seed, twice", a, b)
	keys := map[history.Key]bool{}
	for _, r := range a[0].Rows {
		keys[history.Key{Service: r.Service, Workload: r.Workload, Metric: r.Metric}] = true
	}
	if len(keys) != 8*7*12 {
		t.Errorf("got %d rows a night, want %d", len(keys), 8*7*12)
	}
	if other := made.Nights(made.Options{Seed: 2, Nights: 2}); slices.ContainsFunc(other, func(e history.Entry) bool { return e.ID == a[0].ID }) {
		t.Error("another seed has the same commits")
	}
}
