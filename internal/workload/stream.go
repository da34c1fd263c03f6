package workload

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxStream bounds how many messages are made at once.
const maxStream = 1_000_000

// Stream makes the first n messages of a workload. The same workload name, seed and captures give the same bytes
// everywhere, and Stream(…, n)[:k] equals Stream(…, k). Requests come in shuffled decks that hold each request in
// exactly its share, so that any two stretches of a stream ask for nearly the same work.
func Stream(w Workload, seed uint64, captures Captures, n int) ([]Message, error) {
	if n < 0 || n > maxStream {
		return nil, fmt.Errorf("stream of %d messages: expected 0 to %d", n, maxStream)
	}
	d := newDice(seed, "stream "+w.Name, captures)
	makers := make([]maker, len(w.Requests))
	for i, r := range w.Requests {
		if w.Protocol == ProtocolWebSocket {
			r.Type = cmp.Or(r.Type, TypeText)
		}
		var err error
		if makers[i], err = newMaker(r, d); err != nil {
			return nil, err
		}
	}
	order := deck(w.Requests)
	if len(order) == 0 {
		return nil, fmt.Errorf("workload %s has no requests", w.Name)
	}
	shuffler := newDice(seed, "mix "+w.Name, nil).rng
	messages := make([]Message, 0, n)
	for i := range n {
		if i%len(order) == 0 {
			shuffle(shuffler, order)
		}
		d.next()
		m, err := makers[order[i%len(order)]].message()
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	return messages, nil
}

// Opening makes the request that opens each connection of a WebSocket workload.
func Opening(w Workload, seed uint64, captures Captures) (Message, error) {
	d := newDice(seed, "opening "+w.Name, captures)
	m, err := newMaker(openingOf(w)[0], d)
	if err != nil {
		return Message{}, err
	}
	d.next()
	return m.message()
}

// openingOf is the request that opens a WebSocket workload's connections; an HTTP workload has none.
func openingOf(w Workload) []Request {
	if w.Protocol != ProtocolWebSocket {
		return nil
	}
	return []Request{{Name: "opening", Method: "GET", Path: w.Path, Headers: w.Headers, Expect: Expect{Status: 101}, Place: w.Place}}
}

// SetupMessages makes the messages of one setup request, Repeat of them. Captures hold what the requests before it
// left.
func SetupMessages(r Request, seed uint64, captures Captures) ([]Message, error) {
	d := newDice(seed, "setup "+r.Name+" "+r.Method+" "+r.Path, captures)
	m, err := newMaker(r, d)
	if err != nil {
		return nil, err
	}
	repeat := min(max(r.Repeat, 1), maxRepeat)
	messages := make([]Message, 0, repeat)
	for range repeat {
		d.next()
		message, err := m.message()
		if err != nil {
			return nil, err
		}
		messages = append(messages, message)
	}
	return messages, nil
}

// deck holds the index of each request as often as its weight says, over the weights' common divisor.
func deck(requests []Request) []int {
	divisor := 0
	for _, r := range requests {
		divisor = gcd(max(r.Weight, 1), divisor)
	}
	var cards []int
	for i, r := range requests {
		for range max(r.Weight, 1) / divisor {
			cards = append(cards, i)
		}
	}
	return cards
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func shuffle(rng *rand.Rand, cards []int) {
	rng.Shuffle(len(cards), func(i, j int) { cards[i], cards[j] = cards[j], cards[i] })
}

// maker makes messages of one request.
type maker struct {
	request    Request
	path, body compiled
	headers    []headerMaker
}

type headerMaker struct {
	name  string
	value compiled
}

// headerTemplates are a request's header values, in the order of their names.
func headerTemplates(r Request) []string {
	var values []string
	for _, name := range headerNames(r) {
		values = append(values, r.Headers[name])
	}
	return values
}

func headerNames(r Request) []string {
	names := make([]string, 0, len(r.Headers))
	for name := range r.Headers {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return names
}

func newMaker(r Request, d *dice) (maker, error) {
	m := maker{request: r}
	var bad *templateError
	if m.path, bad = compile(r.Path); bad != nil {
		return maker{}, requestError(r, "path: "+bad.text)
	}
	if m.body, bad = compile(r.Body); bad != nil {
		return maker{}, requestError(r, "body: "+bad.text)
	}
	m.path, m.body = m.path.bound(d), m.body.bound(d)
	for _, name := range headerNames(r) {
		value, bad := compile(r.Headers[name])
		if bad != nil {
			return maker{}, requestError(r, "header "+name+": "+bad.text)
		}
		m.headers = append(m.headers, headerMaker{name, value.bound(d)})
	}
	return m, nil
}

func (m maker) message() (Message, error) {
	r := m.request
	if r.Type != "" {
		return m.socketMessage()
	}
	path, bad := m.path.render()
	if bad != nil {
		return Message{}, requestError(r, "path: "+bad.text)
	}
	if !isTarget(path) {
		return Message{}, requestError(r, fmt.Sprintf("path %q: expected / and then printable ASCII without spaces or # (urlquery escapes)", path))
	}
	message := Message{Name: r.Name, Method: r.Method, Path: path, Expect: r.Expect, Place: r.Place}
	if message.Name == "" {
		message.Name = r.Method + " " + r.Path
	}
	if message.Method == "" {
		message.Method = "GET"
	}
	if message.Expect.Status == 0 {
		message.Expect.Status = 200
	}
	for _, h := range m.headers {
		value, bad := h.value.render()
		if bad != nil {
			return Message{}, requestError(r, "header "+h.name+": "+bad.text)
		}
		if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c > '~' }) {
			return Message{}, requestError(r, fmt.Sprintf("header %s: %q: expected printable ASCII", h.name, value))
		}
		message.Headers = append(message.Headers, Header{h.name, strings.TrimSpace(value)})
	}
	body, bad := m.body.render()
	if bad != nil {
		return Message{}, requestError(r, "body: "+bad.text)
	}
	if body != "" {
		message.Body = []byte(body)
	}
	return message, nil
}

// socketMessage makes one message of a WebSocket.
func (m maker) socketMessage() (Message, error) {
	r := m.request
	body, bad := m.body.render()
	if bad != nil {
		return Message{}, requestError(r, "body: "+bad.text)
	}
	if r.Type == TypeText && !utf8.ValidString(body) {
		return Message{}, requestError(r, "body: a text message is UTF-8, and a capture in it is not: expected type: binary")
	}
	return Message{Name: cmp.Or(r.Name, "message"), Type: r.Type, Body: []byte(body), Expect: r.Expect, Place: r.Place}, nil
}

// isTarget holds a request target to what cannot end a request line.
func isTarget(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c > '~' || c == '#' })
}
