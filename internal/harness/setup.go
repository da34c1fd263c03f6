package harness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/duet-bench/duet/internal/load"
	"github.com/duet-bench/duet/internal/parity"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/service"
	"github.com/duet-bench/duet/internal/workload"
)

// answerLimit is how many bytes of an answer are read for setup and parity; a longer one is an error.
const answerLimit = 16 << 20

// target is what can be asked: a service that Duet started, or one that runs already.
type target interface {
	HTTP() *http.Client
	Host() string
	Dial(context.Context) (net.Conn, error)
}

// questions are the requests of a stream, and the one that opens a WebSocket for them; nil: they are HTTP requests.
type questions struct {
	opening  *workload.Message
	messages []workload.Message
}

// askedOf makes a workload's first n questions.
func askedOf(w workload.Workload, seed uint64, captures workload.Captures, n int) (questions, error) {
	var q questions
	if w.Protocol == workload.ProtocolWebSocket {
		opening, err := workload.Opening(w, seed, captures)
		if err != nil {
			return q, err
		}
		q.opening = &opening
	}
	var err error
	q.messages, err = workload.Stream(w, seed, captures, n)
	return q, err
}

// asker asks one request after the other outside any measuring, over one WebSocket where there is one. Close it.
type asker struct {
	to      target
	opening *workload.Message
	timeout time.Duration
	socket  *load.WebSocket // nil: not open yet, or broken
}

func (a *asker) ask(ctx context.Context, m workload.Message) (parity.Answer, error) {
	if a.opening == nil {
		return ask(ctx, a.to, m)
	}
	if a.socket == nil {
		conn, err := a.to.Dial(ctx)
		if err != nil {
			return parity.Answer{}, err
		}
		if a.socket, err = load.OpenWebSocket(ctx, conn, *a.opening, a.to.Host(), a.timeout); err != nil {
			return parity.Answer{}, err
		}
	}
	reply, err := a.socket.Ask(ctx, m)
	if err != nil {
		a.close()
		return parity.Answer{}, err
	}
	return parity.Answer{Type: reply.Type, Host: a.to.Host(), Body: reply.Body}, nil
}

func (a *asker) close() {
	if a.socket != nil {
		_ = a.socket.Close() // what it had to say was said
		a.socket = nil
	}
}

// ask sends one HTTP request outside any measuring and reads the whole answer.
func ask(ctx context.Context, s target, m workload.Message) (parity.Answer, error) {
	request, err := http.NewRequestWithContext(ctx, m.Method, "http://"+s.Host()+m.Path, bytes.NewReader(m.Body))
	if err != nil {
		return parity.Answer{}, err
	}
	for _, h := range m.Headers {
		request.Header.Set(h.Name, h.Value)
	}
	response, err := s.HTTP().Do(request)
	if err != nil {
		return parity.Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit+1))
	if err != nil {
		return parity.Answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > answerLimit {
		return parity.Answer{}, fmt.Errorf("the answer is longer than %d bytes", answerLimit)
	}
	return parity.Answer{Host: s.Host(), Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

// exchange is one setup request and what came back.
type exchange struct {
	message workload.Message
	answer  parity.Answer
}

// setUp sends the plan's setup requests and the workload's own, in order, and gathers their captures.
func setUp(ctx context.Context, s target, p plan.Plan, w workload.Workload) (workload.Captures, []exchange, error) {
	captures := workload.Captures{}
	var done []exchange
	for _, request := range append(append([]workload.Request{}, p.Setup...), w.Setup...) {
		messages, err := workload.SetupMessages(request, p.Seed, captures)
		if err != nil {
			return nil, done, fmt.Errorf("setup of %s: %w", w.Name, err)
		}
		for i, m := range messages {
			answer, err := ask(ctx, s, m)
			if err != nil {
				return nil, done, fmt.Errorf("%ssetup %s: %w", placeOf(m), m, err)
			}
			done = append(done, exchange{m, answer})
			if err := m.Expect.Check(answer.Status, answer.Body); err != nil {
				return nil, done, fmt.Errorf("%ssetup %s (%d of %d): %w: %s", placeOf(m), m, i+1, len(messages), err, service.Quote(answer.Body))
			}
			values, err := workload.Extract(request, answer.Status, answer.Header, answer.Body)
			if err != nil {
				return nil, done, fmt.Errorf("setup %s: %w", m, err)
			}
			for name, value := range values {
				captures[name] = append(captures[name], value)
			}
		}
	}
	return captures, done, nil
}

// placeOf is where a message's request stands in its file, for the beginning of an error.
func placeOf(m workload.Message) string {
	if m.Place == "" {
		return ""
	}
	return m.Place + ": "
}
