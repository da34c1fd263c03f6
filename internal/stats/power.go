package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Detectable is the smallest effect (log units) that n rounds with this noise find beyond margin with the given
// power, by a one-sided t test at alpha: margin + λ · noise ÷ √n, λ being the noncentrality at which the t test
// has that power. ok is false where no such number exists.
func Detectable(n int, noise, margin, alpha, power float64) (effect float64, ok bool) {
	if !(noise >= 0) || math.IsInf(noise, 0) || !(margin >= 0) || math.IsInf(margin, 0) {
		return 0, false
	}
	lambda, ok := noncentrality(n, alpha, power)
	if !ok {
		return 0, false
	}
	return margin + lambda*noise/math.Sqrt(float64(n)), true
}

// RoundsToFind is the fewest rounds that find an effect beyond margin with the given power; ok is false when
// the effect is not beyond the margin or more than limit rounds would be needed.
func RoundsToFind(effect, noise, margin, alpha, power float64, limit int) (n int, ok bool) {
	return fewest(math.Abs(effect)-margin, noise, alpha, power, limit)
}

// RoundsToBound is a number of rounds after which an effect inside the margin is shown to be so (both
// one-sided tests at alpha) with at least the given power; ok is false when it is not inside or more than limit
// rounds would be needed. Each side gets half of the allowed misses, so it is never too few.
func RoundsToBound(effect, noise, margin, alpha, power float64, limit int) (n int, ok bool) {
	return fewest(margin-math.Abs(effect), noise, alpha, (1+power)/2, limit)
}

// fewest is the least n with room · √n ÷ noise ≥ λ(n); λ falls with n, so it is found by halving.
func fewest(room, noise, alpha, power float64, limit int) (int, bool) {
	if !(room > 0) || !(noise >= 0) || math.IsInf(room, 0) || math.IsInf(noise, 0) {
		return 0, false
	}
	enough := func(n int) bool {
		lambda, ok := noncentrality(n, alpha, power)
		return ok && room*math.Sqrt(float64(n)) >= lambda*noise
	}
	if limit < MinSamples || !enough(limit) {
		return 0, false
	}
	low, high := MinSamples-1, limit // low: not enough; high: enough
	for high-low > 1 {
		if mid := (low + high) / 2; enough(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return high, true
}

// maxNoncentrality bounds the search: the noncentral t loses accuracy where exp(−λ²/2) underflows, at 38. Only
// three or four samples at a tiny alpha would need more; they detect nothing worth a number.
const maxNoncentrality = 30

// noncentrality is the λ at which a one-sided t test at alpha with n samples has the given power.
func noncentrality(n int, alpha, power float64) (lambda float64, ok bool) {
	if n < MinSamples || !(alpha > 0 && alpha < 0.5) || !(power > alpha && power < 1) {
		return 0, false
	}
	df := float64(n - 1)
	critical := student(df).Quantile(1 - alpha)
	missed := func(mu float64) float64 { return distuv.NoncentralT{Nu: df, Mu: mu}.CDF(critical) }
	low, high := 0.0, float64(maxNoncentrality)
	if missed(high) > 1-power {
		return 0, false
	}
	for high-low > 1e-9*high {
		if mid := (low + high) / 2; missed(mid) > 1-power {
			low = mid
		} else {
			high = mid
		}
	}
	return (low + high) / 2, true
}

// NormalQuantile is the value that a standard normal variable stays below with probability p.
func NormalQuantile(p float64) float64 { return distuv.UnitNormal.Quantile(p) }

// Wilson is the confidence interval of a share seen as k of n (Wilson 1927); ok is false unless 0 ≤ k ≤ n, n > 0.
func Wilson(k, n int, level float64) (low, high float64, ok bool) {
	if n <= 0 || k < 0 || k > n || !(level > 0 && level < 1) {
		return 0, 1, false
	}
	z := distuv.UnitNormal.Quantile((1 + level) / 2)
	share, size := float64(k)/float64(n), float64(n)
	center := (share + z*z/(2*size)) / (1 + z*z/size)
	reach := z / (1 + z*z/size) * math.Sqrt(share*(1-share)/size+z*z/(4*size*size))
	return max(0, center-reach), min(1, center+reach), true
}
