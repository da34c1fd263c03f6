package noise

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// machine makes rounds of two identical services whose ln ratios have the noise that a setting is given, and whose
// slices follow each other with correlation rho.
type machine struct {
	rng    *rand.Rand
	rounds int
	cpu    func(Setting) float64
	p50    func(Setting) float64
	rho    float64
}

func newMachine(seed uint64, cpu, p50 float64) machine {
	same := func(noise float64) func(Setting) float64 { return func(Setting) float64 { return noise } }
	return machine{rng: rand.New(rand.NewPCG(seed, 1)), rounds: 11, cpu: same(cpu), p50: same(p50)}
}

func (m machine) measure() []Round {
	var all []Round
	for range m.rounds {
		for _, pinned := range []bool{false, true} {
			for _, slice := range Slices() {
				s := Setting{Slice: slice, Pinned: pinned}
				all = append(all, Round{
					Setting: s, CPU: m.apart(1e-4, m.cpu(s)), P50: m.apart(3e-4, m.p50(s)),
					Slices: [2][]float64{m.slices(int(400 * ms / slice)), m.slices(int(400 * ms / slice))},
				})
			}
		}
	}
	return all
}

func (m machine) apart(figure, noise float64) [2]float64 {
	return [2]float64{figure, figure * math.Exp(noise*m.rng.NormFloat64())}
}

func (m machine) slices(n int) []float64 {
	figures, x := make([]float64, n), m.rng.NormFloat64()
	for i := range figures {
		figures[i] = 1e-4 * math.Exp(0.1*x)
		x = m.rho*x + math.Sqrt(1-m.rho*m.rho)*m.rng.NormFloat64()
	}
	return figures
}

func judge(t *testing.T, m machine) Answer {
	t.Helper()
	a, err := Judge(m.measure(), Disturbance{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestKinds(t *testing.T) {
	for _, c := range []struct {
		cpu, p50 float64
		kind     Kind
		looks    []int
		found    []bool // CPU +3 %, p50 +5 %
	}{
		{0.003, 0.004, Quiet, []int{7, 11, 15}, []bool{true, true}},
		{0.05, 0.08, Busy, []int{7, 11, 15}, []bool{false, false}},
		{0.05, 0.004, Busy, []int{7, 11, 15}, []bool{false, true}},
	} {
		a := judge(t, newMachine(1, c.cpu, c.p50))
		if a.Kind != c.kind || !slices.Equal(a.Looks, c.looks) {
			t.Errorf("CPU noise %g: got %s, looks %v, want %s, %v", c.cpu, a.Kind, a.Looks, c.kind, c.looks)
		}
		for i, aim := range a.Aims {
			if (aim.Rounds > 0) != c.found[i] || aim.Rounds > MaxRounds {
				t.Errorf("CPU noise %g, p50 noise %g: %s needs %d rounds, want found %t", c.cpu, c.p50, aim.Metric, aim.Rounds, c.found[i])
			}
		}
	}
}

// TestMoreNoiseMoreRounds: the middle ground asks for looks of its own, in the bounds of duet.yml.
func TestMoreNoiseMoreRounds(t *testing.T) {
	m := newMachine(2, 0.02, 0.02)
	m.rounds = 200 // so that the noise is known well
	a := judge(t, m)
	need := max(a.Aims[0].Rounds, a.Aims[1].Rounds)
	if a.Kind != Busy || need <= 15 || !slices.Equal(a.Looks, []int{7, (7 + need) / 2, need}) {
		t.Errorf("got %s, %+v, looks %v", a.Kind, a.Aims, a.Looks)
	}
	for i := 1; i < len(a.Looks); i++ {
		if a.Looks[i] <= a.Looks[i-1] || a.Looks[i] > MaxRounds {
			t.Errorf("looks %v do not ascend to %d", a.Looks, MaxRounds)
		}
	}
}

func TestChoice(t *testing.T) {
	for _, c := range []struct {
		what   string
		better Setting
		factor float64
		want   Setting
	}{
		{"fine slices are far better", Setting{5 * ms, true}, 0.3, Setting{5 * ms, true}},
		{"without pinning is far better", Setting{50 * ms, false}, 0.3, Setting{50 * ms, false}},
		{"hardly any difference", Setting{100 * ms, true}, 0.95, usual()},
		{"the usual is better", usual(), 0.3, usual()},
	} {
		m := newMachine(3, 0.02, 0.03)
		m.rounds = 200
		m.cpu = func(s Setting) float64 {
			if s == c.better {
				return 0.02 * c.factor
			}
			return 0.02
		}
		m.p50 = func(s Setting) float64 { return 1.5 * m.cpu(s) }
		if a := judge(t, m); a.Best != c.want {
			t.Errorf("%s: got %+v, want %+v", c.what, a.Best, c.want)
		}
	}
}

// TestUsualStays: on machines where all settings are alike, chance makes few choose another one.
func TestUsualStays(t *testing.T) {
	const machines = 1000
	left := 0
	for seed := range uint64(machines) {
		if judge(t, newMachine(seed, 0.02, 0.03)).Best != usual() {
			left++
		}
	}
	if left > machines/20 {
		t.Errorf("%d of %d left the usual setting, want about 1 in 40", left, machines)
	}
	t.Logf("%d of %d left the usual setting", left, machines)
}

// TestFewRounds: a setting that looks far better by three rounds is not chosen.
func TestFewRounds(t *testing.T) {
	m := newMachine(13, 0.02, 0.02)
	m.rounds = 3
	m.cpu = func(s Setting) float64 {
		if s == usual() {
			return 0.02
		}
		return 0.001
	}
	m.p50 = m.cpu
	a := judge(t, m)
	if a.Best != usual() || !strings.Contains(strings.Join(a.Words(), "\n"), "3 rounds are too few") {
		t.Errorf("got %+v", a)
	}
}

// TestOnePinning is a machine with one core: what was not tried cannot be recommended.
func TestOnePinning(t *testing.T) {
	rounds := slices.DeleteFunc(newMachine(4, 0.02, 0.02).measure(), func(r Round) bool { return r.Pinned })
	a, err := Judge(rounds, Disturbance{})
	if err != nil || a.Best.Pinned || len(a.Rows) != len(Slices()) || !strings.HasSuffix(a.Measure, "pin: false}") {
		t.Errorf("got %+v (%v)", a, err)
	}
}

func TestNoiseIsEstimated(t *testing.T) {
	m := newMachine(5, 0.02, 0.04)
	m.rounds = 2000
	for _, r := range judge(t, m).Rows {
		if math.Abs(*r.CPUNoise/0.02-1) > 0.1 || math.Abs(*r.P50Noise/0.04-1) > 0.1 {
			t.Errorf("%+v: got %g and %g, want 0.02 and 0.04", r.Setting, *r.CPUNoise, *r.P50Noise)
		}
	}
}

func TestAutocorrelation(t *testing.T) {
	for _, rho := range []float64{0, 0.37, 0.8, -0.5} {
		m := newMachine(6, 0.01, 0.01)
		m.rho, m.rounds = rho, 100
		for _, r := range judge(t, m).Rows {
			if enough := 400*ms/r.Slice >= lagSlices; enough != (r.Lag1 != nil) {
				t.Errorf("%+v: got %v, want known %t", r.Setting, r.Lag1, enough)
			}
			if r.Slice == 5*ms && math.Abs(*r.Lag1-rho) > 0.05 {
				t.Errorf("%+v: got %g, want about %g", r.Setting, *r.Lag1, rho)
			}
		}
	}
}

// TestInvariance: neither the order of rounds, nor which of the two services is called first, nor the unit changes the
// answer.
func TestInvariance(t *testing.T) {
	rounds := newMachine(7, 0.013, 0.02).measure()
	want, err := Judge(rounds, Disturbance{Stolen: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	changed := slices.Clone(rounds)
	rand.New(rand.NewPCG(8, 1)).Shuffle(len(changed), func(i, j int) { changed[i], changed[j] = changed[j], changed[i] })
	for i, r := range changed {
		changed[i].CPU, changed[i].P50 = [2]float64{8 * r.CPU[1], 8 * r.CPU[0]}, [2]float64{8 * r.P50[1], 8 * r.P50[0]}
	}
	got, err := Judge(changed, Disturbance{Stolen: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	if got.Measure != want.Measure || got.Kind != want.Kind || got.Best != want.Best {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for i := range want.Rows {
		if math.Abs(*got.Rows[i].CPUNoise-*want.Rows[i].CPUNoise) > 1e-12 {
			t.Errorf("row %d: got %g, want %g", i, *got.Rows[i].CPUNoise, *want.Rows[i].CPUNoise)
		}
	}
}

func TestBadRounds(t *testing.T) {
	bad := []float64{0, -1, math.NaN(), math.Inf(1)}
	var rounds []Round
	for range 5 {
		for _, f := range bad {
			rounds = append(rounds, Round{Setting: usual(), CPU: [2]float64{1e-4, f}, P50: [2]float64{f, 1e-3}, Slices: [2][]float64{bad, nil}})
		}
	}
	for _, some := range [][]Round{nil, rounds, newMachine(9, 0.01, 0.01).measure()[:20]} {
		if a, err := Judge(some, Disturbance{}); !errors.Is(err, ErrTooFew) {
			t.Errorf("%d rounds: got %+v, %v, want ErrTooFew", len(some), a, err)
		}
	}
	// Bad figures among good ones are left out.
	good := newMachine(10, 0.004, 0.004).measure()
	a, err := Judge(append(good, rounds...), Disturbance{})
	if err != nil || a.Kind != Quiet {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestWords(t *testing.T) {
	quiet := judge(t, newMachine(11, 0.004, 0.004))
	busy := judge(t, newMachine(11, 0.06, 0.09))
	for _, c := range []struct {
		answer Answer
		want   []string
	}{
		{quiet, []string{"quiet machine: ", "time can be judged here", "rounds to be found 95 times in 100"}},
		{busy, []string{"busy machine: ", "instructions are what can be judged", "out of reach, more than 50 rounds"}},
	} {
		text := strings.Join(c.answer.Words(), "\n")
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in:\n%s", want, text)
			}
		}
	}
	crowd := quiet
	crowd.Others = 0.4
	if text := strings.Join(crowd.Words(), "\n"); !strings.Contains(text, "used by other processes: 40.0 %\nother processes were at work") {
		t.Errorf("got:\n%s", text)
	}
	if want := "measure: {slice: 25ms, rounds: [7, 11, 15], pin: true}"; quiet.Measure != want {
		t.Errorf("got %s, want %s", quiet.Measure, want)
	}
	for _, line := range quiet.Table() {
		if len(line) != len(Header()) {
			t.Errorf("%q: want %d cells", line, len(Header()))
		}
	}
}

func TestAnswerSurvivesJSON(t *testing.T) {
	want := judge(t, newMachine(12, 0.01, 0.02))
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Answer
	if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v (%v)", got, want, err)
	}
}
