//go:build !lean

package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/http"
	"runtime"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
)

// Computed is the answer to POST /compute: 16 hex digits a part, and all of them mixed.
type Computed struct {
	Parts []string `json:"parts"`
	Total string   `json:"total"`
}

// computation is what POST /compute asks for.
type computation struct {
	seed       uint64
	parts      int
	iterations int
}

const (
	seedLimit      = math.MaxUint32
	partLimit      = 64
	iterationLimit = 1_000_000
	turnLimit      = 20_000_000 // parts × iterations
)

// Compute does the work of a request that is nothing but CPU time: its parts, as many at once as there are usable cores.
func Compute(body []byte) (*Computed, *Error) {
	c, err := parseComputation(body)
	if err != nil {
		return nil, err
	}
	parts := make([]uint64, c.parts)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range parts {
		group.Go(func() error {
			parts[i] = part(c.seed, uint64(i), c.iterations)
			return nil
		})
	}
	_ = group.Wait() // no part can fail
	answer := &Computed{Parts: make([]string, len(parts))}
	var total uint64
	for i, acc := range parts {
		answer.Parts[i] = fmt.Sprintf("%016x", acc)
		total ^= bits.RotateLeft64(acc, i%64)
	}
	answer.Total = fmt.Sprintf("%016x", total)
	return answer, nil
}

// part draws numbers from SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014)
// and folds them into one.
func part(seed, i uint64, iterations int) uint64 {
	const golden = 0x9E3779B97F4A7C15
	state := seed*golden + i
	acc := uint64(0)
	for range iterations {
		state += golden
		z := state
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
		acc = bits.RotateLeft64(acc, 5) ^ z
	}
	return acc
}

// parseComputation reads {"seed", "parts", "iterations"}; each has to be there.
func parseComputation(body []byte) (computation, *Error) {
	if !utf8.Valid(body) {
		return computation{}, badJSON()
	}
	var doc struct {
		Seed       json.RawMessage `json:"seed"`
		Parts      json.RawMessage `json:"parts"`
		Iterations json.RawMessage `json:"iterations"`
	}
	err := json.Unmarshal(body, &doc)
	var wrongType *json.UnmarshalTypeError
	if err != nil && !errors.As(err, &wrongType) { // no object: nothing is there
		return computation{}, badJSON()
	}
	seed, ok := wholeNumber(string(doc.Seed), 0, seedLimit)
	if !ok {
		return computation{}, invalidCompute("seed", "expected a whole number from 0 to 4294967295")
	}
	parts, ok := wholeNumber(string(doc.Parts), 1, partLimit)
	if !ok {
		return computation{}, invalidCompute("parts", "expected a whole number from 1 to 64")
	}
	iterations, ok := wholeNumber(string(doc.Iterations), 1, iterationLimit)
	if !ok {
		return computation{}, invalidCompute("iterations", "expected a whole number from 1 to 1000000")
	}
	if parts*iterations > turnLimit {
		return computation{}, invalidCompute("iterations", "expected parts × iterations of at most 20000000")
	}
	return computation{seed: uint64(seed), parts: int(parts), iterations: int(iterations)}, nil
}

func invalidCompute(field, message string) *Error {
	return &Error{Status: http.StatusUnprocessableEntity, Code: "invalid_compute", Message: message, Field: field}
}
