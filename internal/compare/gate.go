package compare

import (
	"slices"

	"github.com/duet-bench/duet/internal/plan"
)

// gates from the loosest to the tightest.
func gates() []plan.Gate {
	return []plan.Gate{plan.GateNever, plan.GateRegression, plan.GateInconclusive}
}

// Gate reports whether the gate fails the job. What was not judged never does: a run that could not
// measure has an exit status of its own. A gate that nobody knows counts as the tightest.
func Gate(c Comparisons, gate plan.Gate) bool {
	regressed := c.Verdict == Regressed || c.ParityBroke
	switch gate {
	case "", plan.GateNever:
		return false
	case plan.GateRegression:
		return regressed
	}
	return regressed || c.Verdict == Inconclusive
}

// Tighten is base's gate or, where tighter, the flag's ("" asks for nothing). A looser flag is a usage error: a pull
// request cannot loosen its own judge.
func Tighten(base, flag plan.Gate) (plan.Gate, error) {
	if base == "" {
		base = plan.GateNever
	}
	if flag == "" {
		return base, nil
	}
	asked, least := slices.Index(gates(), flag), slices.Index(gates(), base)
	switch {
	case asked < 0:
		return "", plan.Usagef("", "unexpected gate %q: expected one of %q", flag, gates())
	case least < 0:
		return "", plan.Usagef("", "unexpected gate %q in policy: expected one of %q", base, gates())
	case asked < least:
		return "", plan.Usagef("change policy.gate on the base branch first", "gate %q is looser than base's %q: it may only be tightened", flag, base)
	}
	return flag, nil
}
