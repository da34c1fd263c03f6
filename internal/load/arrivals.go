package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Process is how arrivals follow each other.
type Process string

// The arrival processes.
const (
	Constant Process = "constant" // evenly spaced
	Poisson  Process = "poisson"  // independent of each other: exponential gaps
)

// maxArrivals bounds the starts of one slice: far above what one thread can send, far below memory.
const maxArrivals = 1 << 22

// Arrivals is the schedule of an open-loop stage: when each request is intended to start.
// It is cut into slices; the same Arrivals give the same starts for slice k on every machine and for
// every variant, whatever happened in other slices.
type Arrivals struct {
	Process   Process // default Constant
	PerSecond float64 // offered rate
	Seed      uint64  // of Poisson
}

// Starts appends the intended starts of slice k of the stage (k from 0), in order, each from 0 to below
// length after the slice's first moment.
//
// Constant arrivals run through the slices as if they were one stretch of time: n slices hold
// n × length × PerSecond starts to within one, even if a slice has room for less than one. Poisson
// arrivals have no memory, so that each slice is drawn on its own, from the seed and k.
func (a Arrivals) Starts(dst []time.Duration, k int, length time.Duration) ([]time.Duration, error) {
	if !(a.PerSecond > 0) || math.IsInf(a.PerSecond, 0) {
		return dst, fmt.Errorf("scheduling arrivals: rate %v a second: expected a positive number", a.PerSecond)
	}
	if k < 0 || length <= 0 {
		return dst, fmt.Errorf("scheduling arrivals: slice %d of %v: expected a slice from 0 and a positive length", k, length)
	}
	if n := a.PerSecond * length.Seconds(); n > maxArrivals/2 {
		return dst, fmt.Errorf("scheduling arrivals: %.0f requests in one slice of %v: expected at most %d", n, length, maxArrivals/2)
	}
	switch a.Process {
	case Constant, "":
		return a.constant(dst, k, length), nil
	case Poisson:
		return a.poisson(dst, k, length), nil
	}
	return dst, fmt.Errorf("scheduling arrivals: unexpected process %q: expected %s or %s", a.Process, Constant, Poisson)
}

func (a Arrivals) constant(dst []time.Duration, k int, length time.Duration) []time.Duration {
	// Request i is due at i/rate. Both ends come from the same formula, so that neighbouring slices
	// neither share a request nor lose one, however the product is rounded.
	const rounding = 1e-9 // of a request: 21.000000000000004 is 21
	from, to := float64(k)*length.Seconds(), float64(k+1)*length.Seconds()
	first, end := math.Ceil(from*a.PerSecond-rounding), math.Ceil(to*a.PerSecond-rounding)
	for i := first; i < end; i++ {
		start := time.Duration(math.Round((i/a.PerSecond - from) * float64(time.Second)))
		dst = append(dst, min(max(start, 0), length-1))
	}
	return dst
}

func (a Arrivals) poisson(dst []time.Duration, k int, length time.Duration) []time.Duration {
	random := rand.New(rand.NewPCG(a.Seed, uint64(k)))
	at := 0.0 // seconds
	for range maxArrivals {
		at += random.ExpFloat64() / a.PerSecond
		if at >= length.Seconds() {
			break
		}
		dst = append(dst, min(time.Duration(at*float64(time.Second)), length-1))
	}
	return dst
}
