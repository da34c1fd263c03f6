package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/sandbox"
)

// Endpoint is the profiler of a service that publishes profiles itself, below one path of its own port: Go's
// net/http/pprof, or a handler over Rust's pprof crate. Of what the measured binary has inside, nothing differs.
type Endpoint struct {
	path   string
	window time.Duration
	kinds  []result.ProfileKind

	base   map[result.ProfileKind]*profile.Profile // at the begin, of those that only grow
	sample chan taken                              // the CPU profile, on its way; nil: none is
	cpu    time.Duration                           // of the service, when the window began
}

// taken is what came of the request for a CPU profile.
type taken struct {
	profile *profile.Profile
	err     error
}

// NewEndpoint is a profiler over path ("/debug/pprof") of the kinds that the service has there: path/profile for CPU,
// path/heap, path/allocs, path/mutex, path/block, path/goroutine. A CPU profile is asked for by its length, before it
// is known how long the window gets: window is rounded up to whole seconds, and End waits for what is left of it.
func NewEndpoint(path string, window time.Duration, kinds ...result.ProfileKind) *Endpoint {
	return &Endpoint{path: "/" + strings.Trim(path, "/"), window: window, kinds: kinds}
}

// Tool is what samples.
func (e *Endpoint) Tool() string { return result.ToolEndpoint }

// Wrap changes nothing: the service is started as it is.
func (e *Endpoint) Wrap(*sandbox.Box, map[string]string) Wrap { return Wrap{} }

// Attach asks for each profile once, of one second where it takes time.
func (e *Endpoint) Attach(ctx context.Context, s *Service) error {
	for _, kind := range e.kinds {
		if _, err := e.ask(ctx, s, kind, time.Second); err != nil {
			return fmt.Errorf("%w: correct the path of the endpoint in duet.yml, or let the service publish it where Duet starts it", err)
		}
	}
	return nil
}

// Begin opens a window: the request for the CPU profile runs while the load does.
func (e *Endpoint) Begin(ctx context.Context, s *Service) (err error) {
	if e.sample != nil {
		return errors.New("beginning to profile: the window before is open")
	}
	e.base = map[result.ProfileKind]*profile.Profile{}
	for _, kind := range e.kinds {
		if growing(kind) {
			if e.base[kind], err = e.ask(ctx, s, kind, 0); err != nil {
				return err
			}
		}
	}
	if e.cpu, err = s.CPU(); err != nil {
		return err
	}
	if slices.Contains(e.kinds, result.ProfileCPU) {
		sample := make(chan taken, 1)
		e.sample = sample
		go func() {
			p, err := e.ask(ctx, s, result.ProfileCPU, e.window)
			sample <- taken{p, err}
		}()
	}
	return nil
}

// growing are the kinds that count from the start of the process.
func growing(kind result.ProfileKind) bool {
	return kind == result.ProfileAllocs || kind == result.ProfileMutex || kind == result.ProfileBlock
}

// End closes it.
func (e *Endpoint) End(ctx context.Context, s *Service) ([]Collected, error) {
	var all []Collected
	sample := e.sample
	e.sample = nil
	for _, kind := range e.kinds {
		c := Collected{Kind: kind}
		var p *profile.Profile
		var err error
		switch {
		case kind == result.ProfileCPU && sample != nil:
			p, err = e.awaited(ctx, sample)
		case kind == result.ProfileCPU:
			err = errors.New("ending a profile: no window is open")
		default:
			p, err = e.ask(ctx, s, kind, 0)
		}
		if err == nil {
			p, c.Notes, err = e.refine(kind, p, s)
		}
		if err == nil {
			c.PProf, err = packProfile(p)
		}
		if err != nil {
			if dead := s.Alive(); dead != nil {
				err = dead
			}
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func (e *Endpoint) awaited(ctx context.Context, sample <-chan taken) (*profile.Profile, error) {
	select {
	case got := <-sample:
		return got.profile, got.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// refine makes a window's profile of what the service handed over.
func (e *Endpoint) refine(kind result.ProfileKind, p *profile.Profile, s *Service) (_ *profile.Profile, notes []string, err error) {
	if growing(kind) {
		if p, err = subtract(p, e.base[kind]); err != nil {
			return nil, nil, err
		}
	}
	switch kind {
	case result.ProfileCPU:
		var spent time.Duration
		if spent, err = s.CPU(); err == nil {
			notes, err = checkSampled(p, spent-e.cpu)
		}
	case result.ProfileAllocs:
		notes = append(notes, "sampled, not counted")
		if hasType(p, "alloc_space") { // Go's has what is in use as well
			err = keepTypes(p, "alloc_objects", "alloc_space")
		}
	case result.ProfileHeap:
		notes = append(notes, "sampled, not counted")
		if hasType(p, "inuse_space") {
			err = keepTypes(p, "inuse_objects", "inuse_space")
		}
	}
	return p, notes, err
}

func hasType(p *profile.Profile, name string) bool {
	return slices.ContainsFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == name })
}

// ask gets one profile; one of CPU takes as long as it is.
func (e *Endpoint) ask(ctx context.Context, s *Service, kind result.ProfileKind, length time.Duration) (*profile.Profile, error) {
	target := e.path + "/" + string(kind)
	if kind == result.ProfileCPU {
		seconds := max(1, (length+time.Second-1)/time.Second)
		target = fmt.Sprintf("%s/profile?seconds=%d", e.path, seconds)
		length = seconds * time.Second
	}
	raw, err := fetch(ctx, s, target, length+clientTimeout)
	var p *profile.Profile
	if err == nil {
		p, err = parseProfile(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", target, err)
	}
	return p, nil
}

// fetch reads one answer of the service within a time.
func fetch(ctx context.Context, s *Service, target string, within time.Duration) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Host()+target, nil)
	if err != nil {
		return nil, err
	}
	client := *s.HTTP()
	client.Timeout = within
	response, err := client.Do(request)
	if err != nil {
		if named := (*url.Error)(nil); errors.As(err, &named) { // the address is said by who asked
			err = named.Err
		}
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, profileLimit+1))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d: %s", response.StatusCode, Quote(body))
	case len(body) > profileLimit:
		return nil, fmt.Errorf("an answer of more than %d MiB", profileLimit>>20)
	}
	return body, nil
}
