// Package service runs one service under test: start it, wait until it answers, hand out connections, read
// its memory and its CPU clock, and stop everything it left behind.
//
// A service is a program that stays in the foreground and speaks plain HTTP/1.1 on one loopback port, which
// is chosen for it or fixed by it. What answers on that port must be the service itself: a stranger there is
// an error, never a figure.
package service

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/sandbox"
)

// The refusals by protocol: Duet's load generator speaks HTTP/1.1 over plain TCP.
var (
	ErrTLS   = errors.New("speaks TLS; Duet measures plain HTTP/1.1: give it a flag or a variable that turns TLS off, and set it in run or env")
	ErrHTTP2 = errors.New("speaks HTTP/2 only (gRPC does); Duet measures plain HTTP/1.1: let it answer HTTP/1.1 as well, or leave it out")
)

// Spec is what is started.
type Spec struct {
	Variant plan.Variant
	Service plan.Service // Run, Env, Ready and Port count
	Box     *sandbox.Box
	Binary  string
	WorkDir string            // empty: the binary's folder, where the copied files lie
	NetNS   *Namespace        // nil: Duet's own network
	CPUs    []int             // cores it is held to; empty: any
	Env     map[string]string // pass_env; the service's own Env wins over it
	Log     string            // bounded; empty: service.log in the box
	Binds   []sandbox.Bind
	Wrap    Wrap // of the pass; zero: the timing pass
}

// readyWithin is how long a service may take to answer where duet.yml does not say.
const readyWithin = 10 * time.Second

// EndedError is a service that ended although nobody stopped it.
type EndedError struct {
	Variant plan.Variant
	When    string // "before it was ready", "while it was measured"
	Exit    sandbox.Exit
}

func (e *EndedError) Error() string {
	text := fmt.Sprintf("%s ended %s: %s after %s", e.Variant, e.When, e.Exit, e.Exit.Wall.Round(time.Millisecond))
	if e.When == whenStarting && e.Exit.OK() {
		text += " (it has to stay in the foreground)"
	}
	if line := telling(e.Exit.Tail); line != "" {
		text += ": " + line
	}
	return text
}

const (
	whenStarting  = "before it was ready"
	whenMeasuring = "while it was measured"
)

// PortError is a port that somebody else listens on.
type PortError struct {
	Variant plan.Variant
	Port    int
	Owner   string // "postgres (pid 12)"; empty: not known
	Fixed   bool
}

func (e *PortError) Error() string {
	owner := e.Owner
	if owner == "" {
		owner = "another process"
	}
	text := fmt.Sprintf("port %d of %s is taken by %s", e.Port, e.Variant, owner)
	if e.Fixed {
		text += ": stop that, or let Duet choose the port ({port} in run, or PORT or ADDR in the environment)"
	}
	return text
}

// ReadyError is a service that lives but did not answer well in time.
type ReadyError struct {
	Variant plan.Variant
	Within  time.Duration
	Path    string
	Port    int
	Last    string // what the last try got
	Tail    []string
}

func (e *ReadyError) Error() string {
	return fmt.Sprintf("%s was not ready within %s: GET %s on port %d: %s", e.Variant, e.Within, e.Path, e.Port, e.Last)
}

// TailOf is the last lines of output of the service that an error of Start is about, sanitised.
func TailOf(err error) []string {
	var ended *EndedError
	var ready *ReadyError
	switch {
	case errors.As(err, &ended):
		return ended.Exit.Tail
	case errors.As(err, &ready):
		return ready.Tail
	}
	return nil
}

// Quote makes the start of an answer's body fit for an error message.
func Quote(body []byte) string {
	const most = 200 // bytes
	cut := body[:min(len(body), most)]
	text := fmt.Sprintf("%q", sandbox.Sanitize(string(cut)))
	if len(cut) < len(body) {
		text += fmt.Sprintf(" and %d bytes more", len(body)-len(cut))
	}
	return text
}

// Limits of what is read from a service outside the load generator.
const (
	headerLimit   = 64 << 10
	clientTimeout = 30 * time.Second
)

func newClient(dial dialFunc) *http.Client {
	return &http.Client{
		Timeout:       clientTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dial,
			DisableCompression:     true,
			MaxResponseHeaderBytes: headerLimit,
			MaxIdleConnsPerHost:    4,
		},
	}
}
