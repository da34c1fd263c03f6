package service

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/duet-bench/duet/internal/goagent"
)

// Bounds of a profile that a service hands over. A Go service of 200,000 lines writes 0.3 MiB of CPU profile and 2 MiB of
// exact allocation sites.
const (
	profileLimit  = 64 << 20 // bytes, as sent and unpacked
	messagesLimit = 1 << 20  // samples, places, functions and texts together
)

// parseProfile reads what foreign code says is a profile in pprof's format.
func parseProfile(raw []byte) (p *profile.Profile, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("reading a profile: %v", r)
		}
	}()
	if len(raw) >= 2 && raw[0] == 0x1f && raw[1] == 0x8b {
		unpacker, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("unpacking a profile: %w", err)
		}
		if raw, err = io.ReadAll(io.LimitReader(unpacker, profileLimit+1)); err != nil {
			return nil, fmt.Errorf("unpacking a profile: %w", err)
		}
	}
	if len(raw) > profileLimit {
		return nil, fmt.Errorf("a profile of more than %d MiB", profileLimit>>20)
	}
	if err := countMessages(raw); err != nil {
		return nil, err
	}
	if p, err = profile.ParseUncompressed(raw); err == nil {
		err = p.CheckValid()
	}
	if err != nil {
		return nil, fmt.Errorf("no profile in pprof's format (it begins %s): %w", Quote(raw[:min(len(raw), 20)]), err)
	}
	return p, nil
}

// countMessages refuses a profile of more parts than the decoder should make room for: an empty sample is two bytes of
// profile and a hundred of memory. What is no protocol buffer is for the decoder to refuse.
func countMessages(raw []byte) error {
	for messages := 0; len(raw) > 0; messages++ {
		if messages == messagesLimit {
			return fmt.Errorf("a profile of more than %d parts", messagesLimit)
		}
		key, n := binary.Uvarint(raw)
		if n <= 0 {
			return nil
		}
		raw = raw[n:]
		skip := uint64(0)
		switch key & 7 {
		case 0:
			if _, n = binary.Uvarint(raw); n <= 0 {
				return nil
			}
			skip = uint64(n)
		case 1:
			skip = 8
		case 2:
			length, n := binary.Uvarint(raw)
			if n <= 0 {
				return nil
			}
			raw, skip = raw[n:], length
		case 5:
			skip = 4
		default:
			return nil
		}
		if skip > uint64(len(raw)) {
			return nil
		}
		raw = raw[skip:]
	}
	return nil
}

// packProfile writes a profile, compressed.
func packProfile(p *profile.Profile) ([]byte, error) {
	var packed bytes.Buffer
	if err := p.Write(&packed); err != nil {
		return nil, fmt.Errorf("packing a profile: %w", err)
	}
	return packed.Bytes(), nil
}

// subtract is what a profile that only ever grows has gained since an earlier one of the same process.
func subtract(later, earlier *profile.Profile) (*profile.Profile, error) {
	// By hand: Profile.ScaleN goes through floating point and drops samples.
	for _, p := range []*profile.Profile{later, earlier} {
		for _, s := range p.Sample {
			s.Label, s.NumLabel, s.NumUnit = nil, nil, nil // Go's label of a block's size would keep equal stacks apart
		}
	}
	for _, s := range earlier.Sample {
		for i := range s.Value {
			s.Value[i] = -s.Value[i]
		}
	}
	gained, err := profile.Merge([]*profile.Profile{later, earlier})
	if err != nil {
		return nil, fmt.Errorf("taking the profile at the window's begin from the one at its end: %w", err)
	}
	gained.TimeNanos, gained.DurationNanos = later.TimeNanos, later.TimeNanos-earlier.TimeNanos
	keepSamples(gained, func(s *profile.Sample) bool {
		for _, v := range s.Value {
			if v < 0 { // two stacks of one sample were told apart at one end only
				return false
			}
		}
		return true
	})
	return gained, nil
}

// keepTypes makes the named sample types the only ones, in this order.
func keepTypes(p *profile.Profile, names ...string) error {
	var columns []int
	var types []*profile.ValueType
	for _, name := range names {
		for i, t := range p.SampleType {
			if t.Type == name {
				columns, types = append(columns, i), append(types, t)
				break
			}
		}
	}
	if len(types) != len(names) {
		return fmt.Errorf("the profile has no %s", strings.Join(names, " and "))
	}
	p.SampleType, p.DefaultSampleType = types, ""
	for _, s := range p.Sample {
		values := make([]int64, len(columns))
		for i, column := range columns {
			values[i] = s.Value[column]
		}
		s.Value = values
	}
	keepSamples(p, func(s *profile.Sample) bool {
		for _, v := range s.Value {
			if v != 0 {
				return true
			}
		}
		return false
	})
	return nil
}

// keepSamples leaves out the samples that keep refuses.
func keepSamples(p *profile.Profile, keep func(*profile.Sample) bool) {
	kept := p.Sample[:0]
	for _, s := range p.Sample {
		if keep(s) {
			kept = append(kept, s)
		}
	}
	p.Sample = kept
}

// withoutAgent leaves out what the profiler itself did: the agent's stacks, and the goroutine that writes a CPU profile
// while the agent takes one.
func withoutAgent(p *profile.Profile) {
	keepSamples(p, func(s *profile.Sample) bool {
		for _, l := range s.Location {
			for _, line := range l.Line {
				if line.Function == nil {
					continue
				}
				name, inMain := strings.CutPrefix(line.Function.Name, "main.")
				if inMain && strings.HasPrefix(strings.TrimPrefix(name, "(*"), goagent.Prefix) || line.Function.Name == "runtime/pprof.profileWriter" {
					return false
				}
			}
		}
		return true
	})
}

// total is the sum of one sample type's values.
func total(p *profile.Profile, name string) (sum int64) {
	for i, t := range p.SampleType {
		if t.Type != name {
			continue
		}
		for _, s := range p.Sample {
			sum += s.Value[i]
		}
	}
	return sum
}

var errNoSamples = errors.New("the CPU profile is empty although the service worked: another profiler is inside that takes SIGPROF for itself, or the service ended the profile")

// checkSampled holds the CPU time that a profile's samples stand for against what the clocks of the processes say.
func checkSampled(p *profile.Profile, spent time.Duration) (notes []string, err error) {
	const (
		telling = 500 * time.Millisecond // of CPU, must have been sampled
		judged  = 2 * time.Second        // of CPU is 200 samples: their number is within 15 % of what is right
		off     = 0.15
	)
	sampled := time.Duration(total(p, "cpu"))
	if sampled == 0 && spent >= telling {
		return nil, errNoSamples
	}
	if spent >= judged && math.Abs(sampled.Seconds()/spent.Seconds()-1) > off {
		notes = append(notes, fmt.Sprintf("its samples stand for %.1f s of the %.1f s of CPU time that the service used", sampled.Seconds(), spent.Seconds()))
	}
	var all, bare int64
	for _, sample := range p.Sample {
		all += sample.Value[0]
		if len(sample.Location) == 0 {
			bare += sample.Value[0]
		}
	}
	if 2*bare > all {
		notes = append(notes, fmt.Sprintf("%.0f %% of its samples have no stack: the service's profiler cannot walk them", 100*float64(bare)/float64(all)))
	}
	return notes, nil
}
