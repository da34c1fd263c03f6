package harness

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/service"
	"github.com/duet-bench/duet/internal/workload"
)

// Rehearsal is a workload tried on a service that runs already: what it asks, and what came back that was not good.
type Rehearsal struct {
	Setup    int                // setup requests, all well answered
	Messages []workload.Message // the stream, with what setup captured
	Asked    int                // of Messages
	Bad      []BadAnswers       // in the order in which they were first seen
}

// BadAnswers are those to one request of a workload.
type BadAnswers struct {
	Place string // FILE:LINE of the request
	Name  string
	Count int
	First string // an example
}

// BadCount is how many answers were bad.
func (r Rehearsal) BadCount() (sum int) {
	for _, b := range r.Bad {
		sum += b.Count
	}
	return sum
}

// Rehearse sets a workload up on a running service and asks its first n requests, one after the other. Setup that
// fails is an error, with the line of the request; a bad answer later is part of the Rehearsal. Only a service on this
// machine's loopback is asked: what a workload does to one is load, and may be meant to be harmful.
func Rehearse(ctx context.Context, at string, p plan.Plan, w workload.Workload, n int) (Rehearsal, error) {
	var r Rehearsal
	to, err := newRunning(at)
	if err != nil {
		return r, err
	}
	defer to.client.CloseIdleConnections()
	captures, done, err := setUp(ctx, to, p, w)
	if err != nil {
		return r, err
	}
	r.Setup = len(done)
	asked, err := askedOf(w, p.Seed, captures, n)
	if err != nil {
		return r, err
	}
	r.Messages = asked.messages
	asker := asker{to: to, opening: asked.opening, timeout: requestTimeout}
	defer asker.close()
	silent := 0
	for _, m := range asked.messages {
		why, answered := rehearse(ctx, &asker, m)
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		if r.Asked++; why != "" {
			r.note(m, why)
		}
		if silent++; answered {
			silent = 0
		}
		if silent == mostSilent {
			break
		}
	}
	return r, nil
}

// mostSilent is how many requests in a row may go without an answer before a rehearsal ends: each may take a time-out.
const mostSilent = 10

// rehearse asks one request and says what is wrong with its answer, "" when nothing is.
func rehearse(ctx context.Context, a *asker, m workload.Message) (why string, answered bool) {
	answer, err := a.ask(ctx, m)
	switch {
	case err != nil:
		return err.Error(), false
	case m.Type != "":
		err = m.CheckReply(answer.Type, answer.Body)
	default:
		err = m.Expect.Check(answer.Status, answer.Body)
	}
	if err != nil {
		return fmt.Sprintf("%v: %s", err, service.Quote(answer.Body)), true
	}
	return "", true
}

func (r *Rehearsal) note(m workload.Message, why string) {
	for i := range r.Bad {
		if b := &r.Bad[i]; b.Place == m.Place && b.Name == m.Name {
			b.Count++
			return
		}
	}
	r.Bad = append(r.Bad, BadAnswers{Place: m.Place, Name: m.Name, Count: 1, First: fmt.Sprintf("%s: %s", m, why)})
}

// running is a service that somebody else started, on this machine.
type running struct {
	host   string
	client *http.Client
}

func newRunning(at string) (*running, error) {
	const hint = "such as http://127.0.0.1:8080"
	u, err := url.Parse(at)
	if err != nil {
		return nil, plan.Usagef(hint, "the service's URL: %w", err)
	}
	if u.Scheme != "http" || u.Port() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, plan.Usagef(hint, "the service's URL %q: expected http://, a host and a port: Duet speaks plain HTTP/1.1, and paths are the workload's", at)
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, plan.Usagef(hint, "the service's URL %q: expected this machine (127.0.0.1, ::1 or localhost): Duet sends load nowhere else", at)
	}
	r := &running{host: u.Host}
	r.client = &http.Client{
		Timeout:       requestTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{ // without a proxy
			DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return r.Dial(ctx) },
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
		},
	}
	return r, nil
}

// maxHeader bounds the head of one answer, in bytes.
const maxHeader = 64 << 10

func (r *running) HTTP() *http.Client { return r.client }

func (r *running) Host() string { return r.host }

// Dial connects, and refuses what "localhost" may have been made to mean.
func (r *running) Dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", r.host)
	if err != nil {
		return nil, err
	}
	if to, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !to.IP.IsLoopback() {
		_ = conn.Close()
		return nil, fmt.Errorf("%s is not this machine: Duet sends load nowhere else", conn.RemoteAddr())
	}
	return conn, nil
}
