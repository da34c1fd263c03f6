package plan

// RoundOf is one timing round of variants, in the seeded, balanced order that every round has. Callers that decide an
// order of their own (the self-test) make their rounds with it, so that a bank's rounds are the rounds of a run.
func RoundOf(p Plan, workload string, phase Phase, round int, variants []Variant) Step {
	return p.round(workload, phase, round, variants)
}
