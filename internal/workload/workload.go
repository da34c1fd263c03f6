// Package workload turns a workload file and a seed into a stream of requests.
//
// It is pure: the same file, seed and captures give the same bytes on every machine, so that every
// variant is asked the same questions in the same order. It knows nothing of connections or clocks.
package workload

// Workload is a fixed, named stream of requests: what is asked, in which mix, and how hard.
type Workload struct {
	Name    string `json:"name"`
	Version int    `json:"version"`         // raised whenever the requests change: series do not cross it
	About   string `json:"about,omitempty"` // one sentence: what it stresses
	// Protocol is ProtocolHTTP (default) or ProtocolWebSocket; Path and Headers are the latter's alone: templates of
	// the request that opens a connection.
	Protocol    string            `json:"protocol,omitempty"`
	Path        string            `json:"path,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Cores       string            `json:"cores,omitempty"` // CoresOne (default) or CoresAll
	Needs       string            `json:"needs,omitempty"` // NeedsPostgres, or nothing
	Connections int               `json:"connections"`     // keep-alive connections a variant, 1 to 4096
	Rate        Rate              `json:"rate"`
	Arrivals    string            `json:"arrivals,omitempty"` // ArrivalsConstant (default) or ArrivalsPoisson
	WarmUp      int               `json:"warm_up"`            // requests before measuring, discarded
	Setup       []Request         `json:"setup,omitempty"`
	Requests    []Request         `json:"requests"`
	// MaxErrors is the largest share of bad answers a valid trial may have, 0 to 1.
	MaxErrors float64 `json:"max_errors"`
	// Place is where Path stands, "FILE:LINE", for errors; empty once the plan has travelled.
	Place string `json:"-"`
}

// What a workload speaks.
const (
	ProtocolHTTP      = "http"      // HTTP/1.1, each request answered by one response
	ProtocolWebSocket = "websocket" // each request is one message, answered by one message
)

// The types of a WebSocket message.
const (
	TypeText   = "text"
	TypeBinary = "binary"
)

// The two ways of giving a workload its cores.
const (
	CoresOne = "1"   // the service is pinned to a core of its own
	CoresAll = "all" // unpinned: for parallel work and for services with a database
)

// NeedsPostgres is a workload that no service can answer without a database: where none can be had it is not measured.
const NeedsPostgres = "postgres"

// How the requests of the open-loop stage follow each other.
const (
	ArrivalsConstant = "constant" // evenly spaced
	ArrivalsPoisson  = "poisson"  // independent of each other: exponential gaps, with bursts and lulls
)

// Rate is the offered rate of the open-loop stage: exactly one of the fields is set.
type Rate struct {
	Share     float64 `json:"share,omitempty"`      // of the slowest base variant's capacity, 0 to 1
	PerSecond float64 `json:"per_second,omitempty"` // requests a second
}

// Request is one kind of request: a template, its share of the mix, and what a good answer looks like.
// Path, header values and body are Go text/templates over the functions of Stream. A WebSocket workload's requests
// have no method, path or headers: their body is the message.
type Request struct {
	Name    string            `json:"name,omitempty"`
	Weight  int               `json:"weight,omitempty"` // share of the mix, relative to the other requests'; not used in setup
	Repeat  int               `json:"repeat,omitempty"` // setup only: send it so many times; captures then hold as many values
	Type    string            `json:"type,omitempty"`   // of a WebSocket message: TypeText or TypeBinary; empty: an HTTP request
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	Expect  Expect            `json:"expect"`
	Capture map[string]string `json:"capture,omitempty"` // setup only: name → JSONPath into the answer ("$.code") or "header:NAME"
	// Place is where the request stands, "FILE:LINE", for errors; empty once the plan has travelled.
	Place string `json:"-"`
}

// Expect is what makes an answer good.
type Expect struct {
	Status   int    `json:"status"`             // default 200; of HTTP alone
	Contains string `json:"contains,omitempty"` // bytes the body must hold
	Echo     bool   `json:"echo,omitempty"`     // the answer must be what was sent, type and bytes; of WebSocket alone
}

// Captures are values taken from answers, by name; a template's {{capture "name"}} draws one, seeded.
type Captures map[string][]string

// Message is one concrete request, ready to be written to a connection.
type Message struct {
	Name    string // the Request it came from
	Type    string // of a WebSocket message: it has a Body and no Method, Path or Headers; empty: an HTTP request
	Method  string
	Path    string
	Headers []Header // sorted by name; no Host, no Content-Length: the driver adds both
	Body    []byte
	Expect  Expect
	Place   string // of the Request, "FILE:LINE"; empty once the plan has travelled
}

// String is the request in a word or two: "GET /health", "text message".
func (m Message) String() string {
	if m.Type != "" {
		return m.Type + " message"
	}
	return m.Method + " " + m.Path
}

// Header is one request header.
type Header struct{ Name, Value string }
