package workload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxCaptured bounds one captured value, in bytes.
const maxCaptured = 8 << 10

// Check says what is wrong with an answer, nil when it is good.
func (e Expect) Check(status int, body []byte) error {
	want := e.Status
	if want == 0 {
		want = http.StatusOK
	}
	if status != want {
		return fmt.Errorf("status %d: expected %d", status, want)
	}
	return e.holds(body)
}

// CheckReply says what is wrong with the message that came back over a WebSocket, nil when it is good.
func (m Message) CheckReply(kind string, body []byte) error {
	switch {
	case m.Expect.Echo && kind != m.Type:
		return fmt.Errorf("a %s message: expected the %s message back", kind, m.Type)
	case m.Expect.Echo && !bytes.Equal(body, m.Body):
		return fmt.Errorf("%d other bytes: expected the message of %d bytes back", len(body), len(m.Body))
	}
	return m.Expect.holds(body)
}

func (e Expect) holds(body []byte) error {
	if e.Contains != "" && !bytes.Contains(body, []byte(e.Contains)) {
		return fmt.Errorf("body without %q", e.Contains)
	}
	return nil
}

// Extract takes a setup request's captures out of its answer, which must be good: a capture of an error page would
// make every later request a bad one.
func Extract(r Request, status int, header http.Header, body []byte) (map[string]string, error) {
	if err := r.Expect.Check(status, body); err != nil {
		return nil, requestError(r, err.Error())
	}
	names := make([]string, 0, len(r.Capture))
	for name := range r.Capture {
		names = append(names, name)
	}
	slices.Sort(names)
	values := map[string]string{}
	for _, name := range names {
		value, err := extract(r.Capture[name], header, body)
		if err == nil && len(value) > maxCaptured {
			err = fmt.Errorf("%d bytes: expected at most %d", len(value), maxCaptured)
		}
		if err != nil {
			return nil, requestError(r, fmt.Sprintf("capture %s: %s: %s", name, r.Capture[name], err))
		}
		values[name] = value
	}
	return values, nil
}

func extract(source string, header http.Header, body []byte) (string, error) {
	if name, ok := strings.CutPrefix(source, "header:"); ok {
		if value := header.Get(name); value != "" {
			return value, nil
		}
		return "", fmt.Errorf("the answer has no such header")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return "", fmt.Errorf("the answer is not JSON: %w", err)
	}
	for _, step := range steps(source) {
		next, ok := descend(value, step)
		if !ok {
			return "", fmt.Errorf("the answer has no %s", step)
		}
		value = next
	}
	switch value := value.(type) {
	case string:
		return value, nil
	case json.Number:
		return value.String(), nil
	case bool:
		return strconv.FormatBool(value), nil
	}
	return "", fmt.Errorf("expected a string, a number or a truth value")
}

// steps splits "$.a[0]['b c']" into "a", "[0]" and "b c"; sourceSyntax has been checked.
func steps(source string) []string {
	var all []string
	rest := strings.TrimPrefix(source, "$")
	for rest != "" {
		var step string
		switch {
		case strings.HasPrefix(rest, "['"):
			step, rest, _ = strings.Cut(rest[2:], "']")
		case rest[0] == '[':
			step, rest, _ = strings.Cut(rest, "]")
			step += "]"
		default:
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			step, rest = rest[1:end], rest[end:]
		}
		all = append(all, step)
	}
	return all
}

func descend(value any, step string) (any, bool) {
	switch value := value.(type) {
	case map[string]any:
		next, ok := value[step]
		return next, ok
	case []any:
		if !strings.HasPrefix(step, "[") {
			return nil, false
		}
		i, err := strconv.Atoi(strings.Trim(step, "[]"))
		if err != nil || i >= len(value) {
			return nil, false
		}
		return value[i], true
	}
	return nil, false
}
