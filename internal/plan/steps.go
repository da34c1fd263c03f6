package plan

import "time"

// Steps is the maximal order: every build works, every row stays open to the last look and is suspect then, and every
// Rust service is in doubt.
func Steps(p Plan) []Step {
	pr := Progress{
		Built: map[Variant]bool{}, Calibrated: map[string]bool{}, Rounds: map[string]map[Phase]int{},
		Counted: map[Phase]int{}, Profiled: map[string]bool{},
	}
	var all []Step
	for {
		step := Next(p, pr)
		all = append(all, step)
		switch step.Kind {
		case StepDone:
			return all
		case StepBuild:
			pr.Built[step.Variant] = true
		case StepParity:
			pr.ParityDone = true
		case StepCalibrate:
			pr.Calibrated[step.Workload] = true
		case StepDoubt:
			pr.Asked, pr.Doubts = true, p.allDoubts()
		case StepCross:
			pr.BuiltAgain = true
		case StepCount:
			pr.Counted[step.Phase] = step.Round
			if step.Settle {
				pr.Rows = p.undecided(pr)
			}
		case StepProfile:
			pr.Profiled[step.Workload] = true
		case StepRound:
			if pr.Rounds[step.Workload] == nil {
				pr.Rounds[step.Workload] = map[Phase]int{}
			}
			pr.Rounds[step.Workload][step.Phase] = step.Round
			if step.Settle {
				pr.Rows = p.undecided(pr)
			}
		}
	}
}

// undecided has one row a service, workload and pass: open before the last look, suspect from then on.
func (p Plan) undecided(pr Progress) []Row {
	state := func(done int, looks []int) RowState {
		if len(looks) == 0 || done < looks[len(looks)-1] {
			return RowOpen
		}
		return RowSuspect
	}
	var rows []Row
	for _, w := range p.Workloads {
		for _, name := range p.ServiceNames() {
			rows = append(rows,
				Row{Service: name, Workload: w.Name, Pass: Timing, State: state(pr.Rounds[w.Name][Screen], p.Rounds.Looks), Needs: p.Rounds.ConfirmMost},
				Row{Service: name, Workload: w.Name, Pass: Instructions, State: state(pr.Counted[Screen], p.Rounds.CountLooks)})
		}
	}
	return rows
}

// allDoubts has every Rust service, in all workloads.
func (p Plan) allDoubts() []Doubt {
	var names []string
	for _, w := range p.Workloads {
		names = append(names, w.Name)
	}
	var all []Doubt
	for _, name := range p.ServiceNames() {
		if p.Services[Variant{name, Head}].Lang == Rust {
			all = append(all, Doubt{Service: name, Workloads: names})
		}
	}
	return all
}

// Estimate is how long a plan takes at most. Builds are guesses: only a build can tell.
type Estimate struct {
	Build   time.Duration // all variants, clean and incremental
	Count   time.Duration // the instructions pass, within its cap
	Measure time.Duration // parity, calibration and screening to the last look
	Confirm time.Duration // if every service had a suspect in every workload
	Cross   time.Duration // building again, and its callgrind rounds, if every Rust service were in doubt
	Profile time.Duration // the sampling passes
}

// Total is the sum of the parts.
func (e Estimate) Total() time.Duration {
	return e.Build + e.Count + e.Measure + e.Confirm + e.Cross + e.Profile
}

// What the parts around the measuring windows take, as the bundled pair takes them.
const (
	goBuild     = 20 * time.Second
	rustBuild   = 60 * time.Second
	trialAround = 400 * time.Millisecond // start, setup, warm-up and stop of one variant
	parityTime  = time.Second            // of one variant and workload
	calibration = 2 * time.Second        // of one variant and workload
	profiling   = 4 * time.Second        // of one variant and workload, windows apart: two starts, exact allocations
	countStart  = 4 * time.Second        // of one process under callgrind
	countWindow = 4 * time.Second        // of one workload in it, warm-up included
	atATime     = 2                      // processes under callgrind
)

// Estimates is how long a plan takes at most.
func Estimates(p Plan) Estimate {
	var e Estimate
	counting := map[Phase]time.Duration{}
	for _, step := range Steps(p) {
		switch step.Kind {
		case StepBuild:
			if p.Services[step.Variant].Lang == Rust {
				e.Build += rustBuild
			} else {
				e.Build += goBuild
			}
		case StepCross:
			e.Cross += min(rustBuild*time.Duration(len(step.Start)), p.Rounds.CrossCap)
		case StepParity:
			e.Measure += parityTime * time.Duration(len(p.Services)*len(p.Workloads))
		case StepCalibrate:
			e.Measure += calibration * time.Duration(len(p.Services))
		case StepCount:
			process := countStart + countWindow*time.Duration(len(step.Windows))
			counting[step.Phase] += process * time.Duration((len(step.Start)+atATime-1)/atATime)
		case StepProfile:
			e.Profile += profiling*time.Duration(len(step.Start)) + p.Profile/time.Duration(len(p.Workloads))
		case StepRound:
			round := (p.Window.Trial + trialAround) * time.Duration(len(step.Start))
			if step.Phase == Confirm {
				e.Confirm += round
			} else {
				e.Measure += round
			}
		}
	}
	for phase, took := range counting {
		took = min(took, p.Rounds.CountCap)
		if phase == Cross {
			e.Cross += took
		} else {
			e.Count += took
		}
	}
	return e
}
