package harness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/duet-bench/duet/internal/parity"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/service"
	"github.com/duet-bench/duet/internal/workload"
)

// answerLimit is how many bytes of an answer are read for setup and parity; a longer one is an error.
const answerLimit = 16 << 20

// ask sends one message outside any measuring and reads the whole answer.
func ask(ctx context.Context, s *service.Service, m workload.Message) (parity.Answer, error) {
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
func setUp(ctx context.Context, s *service.Service, p plan.Plan, w workload.Workload) (workload.Captures, []exchange, error) {
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
				return nil, done, fmt.Errorf("setup %s %s: %w", m.Method, m.Path, err)
			}
			done = append(done, exchange{m, answer})
			if err := m.Expect.Check(answer.Status, answer.Body); err != nil {
				return nil, done, fmt.Errorf("setup %s %s (%d of %d): %w: %s", m.Method, m.Path, i+1, len(messages), err, service.Quote(answer.Body))
			}
			values, err := workload.Extract(request, answer.Status, answer.Header, answer.Body)
			if err != nil {
				return nil, done, fmt.Errorf("setup %s %s: %w", m.Method, m.Path, err)
			}
			for name, value := range values {
				captures[name] = append(captures[name], value)
			}
		}
	}
	return captures, done, nil
}
