package selftest

import (
	"testing"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

func TestThreshold(t *testing.T) {
	for _, test := range []struct {
		base, head float64
		better     result.Better
		want       alarm
	}{
		{1, 2, result.Lower, worse},
		{1, 1.99, result.Lower, nothing},
		{2, 1, result.Lower, nothing}, // it never praises
		{2, 1, result.Higher, worse},
		{1, 2, result.Higher, nothing},
	} {
		if got := threshold(series{base: []float64{test.base}, head: []float64{test.head}}, test.better); got != test.want {
			t.Errorf("threshold(%g → %g, %v) = %v, want %v", test.base, test.head, test.better, got, test.want)
		}
	}
}

// The U-test is not paired: drift over the rounds hides what each pair shows.
func TestUTest(t *testing.T) {
	var clear, drifting series
	for i := range 15 {
		jitter := 0.001 * float64(i%5)
		clear.base, clear.head = append(clear.base, 1+jitter), append(clear.head, 1.03+jitter)
		drift := 1 + 0.05*float64(i)
		drifting.base, drifting.head = append(drifting.base, drift), append(drifting.head, 1.03*drift)
	}
	clear.d, drifting.d = clear.base, drifting.base // their values do not matter here
	if got := uTest(clear, result.Lower); got != worse {
		t.Errorf("+3 %% on steady rounds: %v, want worse", got)
	}
	if got := uTest(clear, result.Higher); got != better {
		t.Errorf("+3 %% where higher is better: %v, want better", got)
	}
	if got := uTest(drifting, result.Lower); got != nothing {
		t.Errorf("+3 %% under drift: %v, want nothing", got)
	}
}

// stretch are rounds whose base and head have all their latencies at the given seconds.
func stretch(t *testing.T, n int, base, head float64) []both[*banked] {
	t.Helper()
	var all []both[*banked]
	for range n {
		var r both[*banked]
		for side, seconds := range []float64{base, head} {
			trial := made(result.Trial{Workload: Heavy}, map[string]float64{"p50": seconds, "p90": 2 * seconds, "p99": 3 * seconds})
			folded, err := bank(trial)
			if err != nil {
				t.Fatal(err)
			}
			r[side] = folded
		}
		all = append(all, r)
	}
	return all
}

func TestSequential(t *testing.T) {
	for _, test := range []struct {
		name   string
		rounds []both[*banked]
		want   []alarm
	}{
		{"steady", stretch(t, 20, 1e-3, 1e-3), []alarm{nothing}},
		{"+4 % is inside the band", stretch(t, 20, 1e-3, 1.04e-3), []alarm{nothing}},
		{"+8 %", stretch(t, 20, 1e-3, 1.08e-3), []alarm{worse}},
		{"-8 %", stretch(t, 20, 1e-3, 0.92e-3), []alarm{better}},
		{"a machine that slows down between the stretches", append(stretch(t, 10, 1e-3, 1e-3), stretch(t, 10, 1.1e-3, 1.1e-3)...), []alarm{worse}},
		{"four stretches of a minute", stretch(t, 240, 1e-3, 1e-3), []alarm{nothing, nothing, nothing}},
		{"nothing", nil, nil},
	} {
		got := sequential(test.rounds)
		if len(got) != len(test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
			continue
		}
		for i := range got {
			if got[i] != test.want[i] {
				t.Errorf("%s: %v, want %v", test.name, got, test.want)
			}
		}
	}
}

func TestWelch(t *testing.T) {
	if got := welch(stretch(t, 10, 1e-3, 1e-3)); got != nothing {
		t.Errorf("the same latencies: %v, want nothing", got)
	}
	if got := welch(stretch(t, 10, 1e-3, 1.1e-3)); got != worse {
		t.Errorf("+10 %%: %v, want worse", got)
	}
	if got := welch(stretch(t, 10, 1.1e-3, 1e-3)); got != better {
		t.Errorf("-9 %%: %v, want better", got)
	}
	if got := welch(nil); got != nothing {
		t.Errorf("no round: %v, want nothing", got)
	}
}

func TestPeersCountTheRightSignAlone(t *testing.T) {
	d := dealt{timing: map[slot][]both[*banked]{{plan.Go, Heavy}: stretch(t, 22, 1.1e-3, 1e-3)}}
	m, _ := result.MetricByName("p50")
	for rule, hit := range atRow(d, slot{plan.Go, Heavy}, m) {
		if hit {
			t.Errorf("%s finds a regression in an improvement", rule)
		}
	}
	if h := anywhere(d); !h[Welch] || !h[UTest] {
		t.Errorf("as base against itself: %v, want false alarms of both tests", h)
	}
}
