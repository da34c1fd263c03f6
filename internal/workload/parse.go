package workload

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/duet-bench/duet/internal/strictyaml"
)

// Bounds of a workload file.
const (
	maxConnections = 4096
	maxPerSecond   = 1_000_000
	maxWarmUp      = 100_000
	maxRequests    = 50
	maxSetup       = 50
	maxRepeat      = 10_000
	maxWeight      = 1000
	maxHeaders     = 50
	maxTemplate    = 16 << 10 // bytes of one template
	maxText        = 200      // bytes of a name, a check or a sentence
)

// Defaults of a workload file: light enough for a small service, enough connections to overlap.
const (
	defaultConnections = 8
	defaultShare       = 0.4
	defaultWarmUp      = 200
	defaultMaxErrors   = 0.01
)

var (
	nameSyntax    = regexp.MustCompile(NamePattern)
	captureSyntax = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	headerSyntax  = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")
	sourceSyntax  = regexp.MustCompile(`^(header:[A-Za-z0-9-]{1,100}|\$(\.[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]{1,4}\]|\['[^'\\]{1,100}'\])*)$`)
	perSecond     = regexp.MustCompile(`^([1-9][0-9]{0,6})/s$`)
)

// Methods are the HTTP methods a request may have.
func Methods() []string {
	return []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
}

// reservedHeaders are the driver's: a workload that set them could end one request inside another.
func reservedHeaders() []string {
	return []string{"connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"}
}

// reservedOpening are the driver's in the request that opens a WebSocket.
func reservedOpening() []string {
	return append(reservedHeaders(), "sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-protocol", "sec-websocket-version")
}

// Parse reads a workload file. Every error names file, line and column; file is used for nothing else.
func Parse(file string, document []byte) (Workload, error) {
	root, err := strictyaml.Parse(file, document)
	if err != nil {
		return Workload{}, err
	}
	w := Workload{
		Version: 1, Connections: defaultConnections,
		Rate: Rate{Share: defaultShare}, Arrivals: ArrivalsConstant, WarmUp: defaultWarmUp, MaxErrors: defaultMaxErrors,
	}
	own := keysOfProtocol{file: root}
	keep := func(to **strictyaml.Node) strictyaml.Read {
		return func(n strictyaml.Node) error {
			*to = &n
			return nil
		}
	}
	err = root.Map(
		strictyaml.Field{Key: "name", Required: true, Read: strictyaml.Text(&w.Name, strictyaml.Matching(nameSyntax, NameExpected))},
		strictyaml.Field{Key: "version", Read: strictyaml.Int(&w.Version, 1, 10_000)},
		strictyaml.Field{Key: "about", Read: strictyaml.Text(&w.About, strictyaml.AtMost(maxText), oneLine)},
		strictyaml.Field{Key: "protocol", Read: strictyaml.Choice(&w.Protocol, ProtocolHTTP, ProtocolWebSocket)},
		strictyaml.Field{Key: "path", Read: keep(&own.path)},
		strictyaml.Field{Key: "headers", Read: keep(&own.headers)},
		strictyaml.Field{Key: "cores", Read: strictyaml.Choice(&w.Cores, CoresOne, CoresAll)},
		strictyaml.Field{Key: "needs", Read: strictyaml.Choice(&w.Needs, NeedsPostgres)},
		strictyaml.Field{Key: "connections", Read: strictyaml.Int(&w.Connections, 1, maxConnections)},
		strictyaml.Field{Key: "rate", Read: readRate(&w.Rate)},
		strictyaml.Field{Key: "arrivals", Read: strictyaml.Choice(&w.Arrivals, ArrivalsConstant, ArrivalsPoisson)},
		strictyaml.Field{Key: "warm_up", Read: strictyaml.Int(&w.WarmUp, 0, maxWarmUp)},
		strictyaml.Field{Key: "max_errors", Read: strictyaml.Share(&w.MaxErrors, 0, 100)},
		strictyaml.Field{Key: "setup", Read: ReadSetup(&w.Setup)},
		strictyaml.Field{Key: "requests", Required: true, Read: keep(&own.requests)},
	)
	if err == nil {
		err = own.read(&w)
	}
	if err != nil {
		return Workload{}, err
	}
	if w.Cores == "" {
		w.Cores = CoresOne
		if w.Needs == NeedsPostgres { // the database has to run somewhere too
			w.Cores = CoresAll
		}
	}
	return w, nil
}

// keysOfProtocol are the values that mean one thing or another by protocol, wherever in the file that stands.
type keysOfProtocol struct {
	file                    strictyaml.Node
	path, headers, requests *strictyaml.Node // nil: not given
}

func (k keysOfProtocol) read(w *Workload) error {
	if w.Protocol == ProtocolHTTP {
		w.Protocol = "" // one spelling of the default
	}
	if w.Protocol == "" {
		for _, n := range []*strictyaml.Node{k.path, k.headers} {
			if n != nil {
				return n.Errorf("%s: only a workload with protocol: websocket has it; an HTTP request has its own", n.Name)
			}
		}
		return readRequests(&w.Requests, readHTTP)(*k.requests)
	}
	if k.path == nil {
		return k.file.Errorf(`missing key "path": where a WebSocket is opened`)
	}
	w.Place = k.path.Place()
	if err := readTemplate(&w.Path, startsWithSlash, oneLine)(*k.path); err != nil {
		return err
	}
	if k.headers != nil {
		if err := readHeaders(&w.Headers, reservedOpening)(*k.headers); err != nil {
			return err
		}
	}
	return readRequests(&w.Requests, readMessage)(*k.requests)
}

// NamePattern is what a workload's name looks like.
const NamePattern = `^[a-z0-9][a-z0-9-]{0,39}$`

// NameExpected describes a workload's name, for errors.
const NameExpected = "1 to 40 of a-z, 0-9 and -, starting with a letter or digit"

// NameOK says whether a workload may be called so.
func NameOK(name string) bool { return nameSyntax.MatchString(name) }

func oneLine(s string) string {
	if strings.ContainsAny(s, "\n\t") {
		return "one line"
	}
	return ""
}

func readRate(to *Rate) strictyaml.Read {
	return func(n strictyaml.Node) error {
		var spelled string
		if err := strictyaml.Text(&spelled)(n); err != nil {
			return n.Errorf(`rate: expected a share of the capacity such as "40%%" or requests a second such as 2000/s`)
		}
		if m := perSecond.FindStringSubmatch(spelled); m != nil {
			rate, err := strconv.Atoi(m[1])
			if err != nil || rate > maxPerSecond {
				return n.Errorf("rate %s: expected 1/s to %d/s", spelled, maxPerSecond)
			}
			*to = Rate{PerSecond: float64(rate)}
			return nil
		}
		if !strings.HasSuffix(spelled, "%") {
			return n.Errorf(`rate %q: expected a share of the capacity such as "40%%" or requests a second such as 2000/s`, spelled)
		}
		*to = Rate{}
		return strictyaml.Share(&to.Share, 1, 100)(n)
	}
}

// ReadSetup reads a list of setup requests; duet.yml has one too.
func ReadSetup(to *[]Request) strictyaml.Read {
	return func(n strictyaml.Node) error {
		known := []string{}
		return strictyaml.List(0, maxSetup, func(item strictyaml.Node) error {
			r := Request{Repeat: 1}
			err := readHTTP(item, &r,
				strictyaml.Field{Key: "repeat", Read: strictyaml.Int(&r.Repeat, 1, maxRepeat)},
				strictyaml.Field{Key: "capture", Read: readCapture(&r.Capture)},
			)
			if err != nil {
				return err
			}
			for name := range r.Capture {
				if slices.Contains(known, name) {
					return item.Errorf("capture %q: an earlier request captures it already", name)
				}
				known = append(known, name)
			}
			*to = append(*to, r)
			return nil
		})(n)
	}
}

// readRequests reads the mix; one reads what a request of the protocol has.
func readRequests(to *[]Request, one func(strictyaml.Node, *Request, ...strictyaml.Field) error) strictyaml.Read {
	return func(n strictyaml.Node) error {
		names := map[string]bool{}
		return strictyaml.List(1, maxRequests, func(item strictyaml.Node) error {
			r := Request{Weight: 1}
			err := one(item, &r,
				strictyaml.Field{Key: "weight", Read: strictyaml.Int(&r.Weight, 1, maxWeight)},
				strictyaml.Field{Key: "capture", Refused: "only a setup request captures; the measured stream is fixed before the first answer"},
			)
			if err != nil {
				return err
			}
			if r.Name != "" && names[r.Name] {
				return item.Errorf("name %q: another request is called so", r.Name)
			}
			names[r.Name] = true
			*to = append(*to, r)
			return nil
		})(n)
	}
}

// readHTTP reads what all HTTP requests have; own are the keys of its kind.
func readHTTP(n strictyaml.Node, r *Request, own ...strictyaml.Field) error {
	r.Method, r.Expect.Status, r.Place = "GET", 200, n.Place()
	fields := append([]strictyaml.Field{
		{Key: "name", Read: strictyaml.Text(&r.Name, strictyaml.Matching(nameSyntax, NameExpected))},
		{Key: "method", Read: strictyaml.Choice(&r.Method, Methods()...)},
		{Key: "path", Required: true, Read: readTemplate(&r.Path, startsWithSlash, oneLine)},
		{Key: "headers", Read: readHeaders(&r.Headers, reservedHeaders)},
		{Key: "body", Read: readTemplate(&r.Body)},
		{Key: "expect", Read: readExpect(&r.Expect)},
		{Key: "type", Refused: "only a workload with protocol: websocket has messages of a type"},
	}, own...)
	return n.Map(fields...)
}

// readMessage reads what a WebSocket workload's requests have.
func readMessage(n strictyaml.Node, r *Request, own ...strictyaml.Field) error {
	const opening = "a WebSocket message has none; path and headers of the request that opens the connection stand beside protocol"
	r.Type, r.Place = TypeText, n.Place()
	fields := append([]strictyaml.Field{
		{Key: "name", Read: strictyaml.Text(&r.Name, strictyaml.Matching(nameSyntax, NameExpected))},
		{Key: "type", Read: strictyaml.Choice(&r.Type, TypeText, TypeBinary)},
		{Key: "body", Required: true, Read: readTemplate(&r.Body)},
		{Key: "expect", Read: readMessageExpect(&r.Expect)},
		{Key: "method", Refused: opening}, {Key: "path", Refused: opening}, {Key: "headers", Refused: opening},
	}, own...)
	return n.Map(fields...)
}

func startsWithSlash(s string) string {
	if strings.HasPrefix(s, "/") {
		return ""
	}
	return "a path starting with /"
}

func readTemplate(to *string, checks ...strictyaml.Check) strictyaml.Read {
	return func(n strictyaml.Node) error {
		if err := strictyaml.Text(to, append(checks, strictyaml.AtMost(maxTemplate))...)(n); err != nil {
			return err
		}
		c, err := compile(*to)
		if err == nil {
			err = c.try()
		}
		if err != nil {
			return n.TextErrorf(err.line, "%s: %s", n.Name, err.text)
		}
		return nil
	}
}

// readHeaders reads templates by header name, but not of the reserved ones.
func readHeaders(to *map[string]string, reserved func() []string) strictyaml.Read {
	*to = nil
	return strictyaml.Each(maxHeaders, func(name string, n strictyaml.Node) error {
		if !headerSyntax.MatchString(name) {
			return n.Errorf("header %q: expected a header's name", name)
		}
		if slices.Contains(reserved(), strings.ToLower(name)) {
			return n.Errorf("header %q: the load generator sets it", name)
		}
		for other := range *to {
			if strings.EqualFold(other, name) {
				return n.Errorf("header %q: given as %q too", name, other)
			}
		}
		var value string
		if err := readTemplate(&value, oneLine)(n); err != nil {
			return err
		}
		if *to == nil {
			*to = map[string]string{}
		}
		(*to)[name] = value
		return nil
	})
}

func readExpect(to *Expect) strictyaml.Read {
	return func(n strictyaml.Node) error {
		return n.Map(
			strictyaml.Field{Key: "status", Read: strictyaml.Int(&to.Status, 200, 599)},
			strictyaml.Field{Key: "contains", Read: strictyaml.Text(&to.Contains, strictyaml.AtMost(maxText))},
			strictyaml.Field{Key: "echo", Refused: "only a workload with protocol: websocket expects its messages back"},
		)
	}
}

func readMessageExpect(to *Expect) strictyaml.Read {
	return func(n strictyaml.Node) error {
		return n.Map(
			strictyaml.Field{Key: "contains", Read: strictyaml.Text(&to.Contains, strictyaml.AtMost(maxText))},
			strictyaml.Field{Key: "echo", Read: strictyaml.Bool(&to.Echo)},
			strictyaml.Field{Key: "status", Refused: "a WebSocket message has none; opening the connection must be answered by 101"},
		)
	}
}

func readCapture(to *map[string]string) strictyaml.Read {
	return strictyaml.Each(maxHeaders, func(name string, n strictyaml.Node) error {
		if !captureSyntax.MatchString(name) {
			return n.Errorf("capture %q: expected a name of a-z, 0-9 and _, starting with a letter", name)
		}
		var source string
		err := strictyaml.Text(&source, strictyaml.Matching(sourceSyntax, `a path such as "$.data[0].id" or "header:location"`))(n)
		if err != nil {
			return err
		}
		if *to == nil {
			*to = map[string]string{}
		}
		(*to)[name] = source
		return nil
	})
}

// CheckCaptures refuses a template that asks for a capture which no request before it makes: w's own setup, after
// the requests of duet.yml's setup.
func CheckCaptures(w Workload, before []Request) error {
	known := map[string]bool{}
	names := func() []string {
		list := []string{}
		for name := range known {
			list = append(list, name)
		}
		slices.Sort(list)
		return list
	}
	check := func(r Request) error {
		for _, source := range append([]string{r.Path, r.Body}, headerTemplates(r)...) {
			compiled, bad := compile(source)
			if bad != nil {
				return bad.in(r)
			}
			for _, name := range compiled.captures {
				if !known[name] {
					return requestError(r, fmt.Sprintf("capture %q: no setup request before it captures that: expected one of %q", name, names()))
				}
			}
		}
		return nil
	}
	for _, r := range slices.Concat(before, w.Setup) {
		if err := check(r); err != nil {
			return err
		}
		for name := range r.Capture {
			known[name] = true
		}
	}
	for _, r := range append(openingOf(w), w.Requests...) {
		if err := check(r); err != nil {
			return err
		}
	}
	return nil
}
