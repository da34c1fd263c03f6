package profdiff

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/google/pprof/profile"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
)

// Bounds of a profile: it was written by a process that runs foreign code.
const (
	maxProfileBytes = 256 << 20 // inflated; the bundled services' have 1 MiB at most
	maxSamples      = 1 << 20
	maxDepth        = 512 // frames of a stack that are looked at, from the leaf; Go's own limit is 128
)

// ErrEmptyProfile is a profile in which nothing was sampled.
var ErrEmptyProfile = errors.New("it has no samples")

// ParseProfile reads pprof's protocol buffer, gzipped or not, within bounds.
func ParseProfile(text []byte) (p *profile.Profile, err error) {
	defer func() {
		if caught := recover(); caught != nil { // the parser is not made for hostile bytes
			p, err = nil, fmt.Errorf("parsing a profile: %v", caught)
		}
	}()
	if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
		inflater, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("inflating a profile: %w", err)
		}
		if text, err = io.ReadAll(io.LimitReader(inflater, maxProfileBytes+1)); err != nil {
			return nil, fmt.Errorf("inflating a profile: %w", err)
		}
	}
	if len(text) > maxProfileBytes {
		return nil, fmt.Errorf("a profile has more than %d bytes", maxProfileBytes)
	}
	if p, err = profile.ParseUncompressed(text); err == nil {
		err = p.CheckValid()
	}
	if err != nil {
		return nil, fmt.Errorf("parsing a profile: %w", err)
	}
	if len(p.Sample) > maxSamples {
		return nil, fmt.Errorf("a profile has %d samples: at most %d are read", len(p.Sample), maxSamples)
	}
	return p, nil
}

// NameInlined gives own functions of a Rust program their paths, where the least of debug information
// ("line-tables-only") calls inlined ones by their last names alone: fnv, or {async_fn#0}.
func NameInlined(p *profile.Profile, src Source) {
	made := map[profile.Function]*profile.Function{} // by what differs, without a number
	var last uint64
	for _, f := range p.Function {
		last = max(last, f.ID)
	}
	for _, location := range p.Location {
		for i, line := range location.Line {
			f := line.Function
			if f == nil || crateOf(f.Name) != "" {
				continue
			}
			file, own := src.file(f.Filename, plan.Rust)
			if !own {
				continue
			}
			name, _ := src.written(file, int(min(max(line.Line, 0), 1<<30)))
			if name == "" {
				continue
			}
			key := profile.Function{Name: name, Filename: f.Filename}
			if made[key] == nil && last < math.MaxUint64 {
				last++
				named := key
				named.ID, named.SystemName = last, name
				made[key] = &named
				p.Function = append(p.Function, &named)
			}
			location.Line[i].Function = cmp.Or(made[key], f)
		}
	}
}

// MergeProfiles adds profiles up, so that they can be looked at as one.
func MergeProfiles(all []*profile.Profile) (*profile.Profile, error) {
	if len(all) == 1 {
		return all[0], nil
	}
	merged, err := profile.Merge(all)
	if err != nil {
		return nil, fmt.Errorf("merging profiles: %w", err)
	}
	return merged, nil
}

// GzipProfile is a profile as `go tool pprof` opens it.
func GzipProfile(p *profile.Profile) ([]byte, error) {
	var text bytes.Buffer
	if err := p.Write(&text); err != nil {
		return nil, fmt.Errorf("writing a profile: %w", err)
	}
	return text.Bytes(), nil
}

// figures are a sample's: how often, and the second figure of kinds that have one.
type figures [2]int64

func (f *figures) add(other figures) { f[0], f[1] = f[0]+other[0], f[1]+other[1] }

func (f figures) any() bool { return f[0] != 0 || f[1] != 0 }

// valueNames are the sample types that hold a kind's figures, the first that a profile has.
var valueNames = map[result.ProfileKind][2][]string{
	result.ProfileCPU:       {{"samples", "sample", "cpu"}, nil},
	result.ProfileAllocs:    {{"alloc_objects", "objects"}, {"alloc_space", "space"}},
	result.ProfileHeap:      {{"inuse_objects", "objects"}, {"inuse_space", "space"}},
	result.ProfileMutex:     {{"contentions"}, {"delay"}},
	result.ProfileBlock:     {{"contentions"}, {"delay"}},
	result.ProfileGoroutine: {{"goroutine", "goroutines"}, nil},
}

// stacksReader reads the samples of one profile.
type stacksReader struct {
	p      *profile.Profile
	lang   plan.Lang
	owner  Owner
	values [2]int // of figures, in a sample's values; -1: none
	match  matcher
	frames map[*profile.Location][]frame
}

// frame is one function on a stack, inlined ones too.
type frame struct {
	name string // as it is shown: of own code without closures and type arguments
	file string // in the repository; of own code alone
	line int    // that was running
	own  bool
}

func newReader(p *profile.Profile, kind result.ProfileKind, lang plan.Lang, owner Owner) (*stacksReader, error) {
	r := &stacksReader{p: p, lang: lang, owner: owner, values: [2]int{-1, -1}, match: matcherFor(lang), frames: map[*profile.Location][]frame{}}
	for i, names := range valueNames[kind] {
		for _, name := range names {
			at := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == name })
			if at >= 0 {
				r.values[i] = at
				break
			}
		}
	}
	if r.values[0] < 0 {
		return nil, fmt.Errorf("a profile of kind %s has no %s among its sample types", kind, strings.Join(valueNames[kind][0], " or "))
	}
	return r, nil
}

// each hands over every sample that counts: its figures and its stack, from the leaf. The stack is good until the next.
func (r *stacksReader) each(do func(v figures, stack []frame)) {
	var stack []frame
	for _, s := range r.p.Sample {
		var v figures
		for i, at := range r.values {
			if at >= 0 && at < len(s.Value) {
				v[i] = max(s.Value[at], 0)
			}
		}
		if !v.any() {
			continue
		}
		stack = stack[:0]
		for _, location := range s.Location {
			stack = append(stack, r.framesOf(location)...)
			if len(stack) > maxDepth {
				break
			}
		}
		do(v, stack)
	}
}

// framesOf are a location's functions, the innermost first.
func (r *stacksReader) framesOf(location *profile.Location) []frame {
	known, ok := r.frames[location]
	if ok {
		return known
	}
	for _, line := range location.Line {
		if line.Function != nil && line.Function.Name != "" {
			known = append(known, r.frameOf(line))
		}
	}
	if len(known) == 0 {
		known = []frame{{name: unnamed(location)}}
	}
	r.frames[location] = known
	return known
}

func (r *stacksReader) frameOf(line profile.Line) frame {
	name := normalise(line.Function.Name)
	file, own := r.owner.owns(name, line.Function.Filename, r.lang)
	if !own || r.match.bucket(name) != result.BucketService {
		return frame{name: name}
	}
	return frame{name: ownName(name, r.lang), file: file, line: int(min(max(line.Line, 0), 1<<30)), own: true}
}

// Owner tells the service's own code, and where it is in the repository.
type Owner interface {
	owns(name, debug string, lang plan.Lang) (file string, own bool)
}

func (s Source) owns(name, debug string, lang plan.Lang) (file string, own bool) {
	file, own = s.file(debug, lang)
	return file, own || s.named(name, lang) && !s.foreign(debug, lang)
}

// Known are the functions that a run.json calls the service's own, with their files: what is left of a Source where the
// tree is not.
type Known map[string]string

func (k Known) owns(name, _ string, lang plan.Lang) (file string, own bool) {
	file, own = k[ownName(name, lang)]
	return file, own
}

// unnamed is what is shown of code without symbols: the file that it is in.
func unnamed(location *profile.Location) string {
	if location.Mapping == nil || location.Mapping.File == "" {
		return "code without symbols"
	}
	return path.Base(location.Mapping.File) + " (no symbols)"
}

// folded is under which name a frame that is not the service's own goes where functions are listed.
func (r *stacksReader) folded(f frame) string {
	if f.own {
		return f.name
	}
	switch r.match.bucket(f.name) {
	case result.BucketAllocator:
		return "allocator"
	case result.BucketCollector:
		return "garbage collector"
	case result.BucketScheduler:
		return "scheduler and idling"
	}
	if strings.HasSuffix(f.name, "(no symbols)") || f.name == "code without symbols" {
		return f.name
	}
	return outside(Function{Name: f.name}, r.lang)
}

// Sampled is one function's share of a profile, as result.SampledFunction has it, with names.
type Sampled struct {
	Name                      string
	File                      string
	Line                      int
	Own                       bool
	Nearest, Self, Cumulative figures
}

// SampledOf says whose the samples of a profile are: to each function of the service's own what was sampled with it as
// the nearest own one to the leaf, so that memmove, malloc and a decoder go to whoever called them. Samples without any own
// code count for their leaf's package, the allocator, the collector or the scheduler. The sum over all samples comes with it.
func SampledOf(p *profile.Profile, kind result.ProfileKind, lang plan.Lang, owner Owner) (all []Sampled, sum [2]int64, err error) {
	r, err := newReader(p, kind, lang, owner)
	if err != nil {
		return nil, sum, err
	}
	var total figures
	byName := map[string]*Sampled{}
	at := func(f frame) *Sampled {
		name := r.folded(f)
		s := byName[name]
		if s == nil {
			s = &Sampled{Name: name, Own: f.own}
			byName[name] = s
		}
		if s.File == "" || f.line > 0 && f.line < s.Line {
			s.File, s.Line = f.file, f.line
		}
		return s
	}
	seen := map[string]bool{}
	r.each(func(v figures, stack []frame) {
		total.add(v)
		if len(stack) == 0 {
			stack = []frame{{name: "code without symbols"}}
		}
		at(stack[0]).Self.add(v)
		nearest := stack[0]
		if i := slices.IndexFunc(stack, func(f frame) bool { return f.own }); i >= 0 {
			nearest = stack[i]
		}
		at(nearest).Nearest.add(v)
		clear(seen)
		for _, f := range stack {
			if s := at(f); !seen[s.Name] {
				seen[s.Name] = true
				s.Cumulative.add(v)
			}
		}
	})
	if !total.any() {
		return nil, sum, ErrEmptyProfile
	}
	for _, s := range byName {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Sampled) int {
		return cmp.Or(cmp.Compare(b.Nearest[0], a.Nearest[0]), cmp.Compare(b.Cumulative[0], a.Cumulative[0]), cmp.Compare(a.Name, b.Name))
	})
	return all[:min(len(all), maxCharges)], total, nil
}
