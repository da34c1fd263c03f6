package pair

// Direction is what a plant does to its row.
type Direction int

// The two directions: a plant that nobody should name, and one that makes its row worse.
const (
	Nothing Direction = 0
	Worse   Direction = +1
)

// Plant is one known change. Base is a process without any.
type Plant struct {
	Name  string
	Env   string // value of Variable
	Moved bool   // built with code moved about
	About string
	Row   string    // result.Metric that has to move; empty: none may
	Sign  Direction // of the row
}

// Plants are all plants, in the order of the self-test's table.
func Plants() []Plant {
	return []Plant{
		{Name: "work-1", Env: "work:1", About: "1 % more instructions on every request", Row: rowWork, Sign: Worse},
		{Name: "work-2", Env: "work:2", About: "2 % more instructions on every request", Row: rowWork, Sign: Worse},
		{Name: "work-3", Env: "work:3", About: "3 % more instructions on every request", Row: rowWork, Sign: Worse},
		{Name: "work-5", Env: "work:5", About: "5 % more instructions on every request", Row: rowWork, Sign: Worse},
		{Name: "work-10", Env: "work:10", About: "10 % more instructions on every request", Row: rowWork, Sign: Worse},
		{Name: "alloc-1", Env: "alloc:1", About: "one more allocation in 100", Row: rowAllocations, Sign: Worse},
		{Name: "latency-50", Env: "latency:50", About: "50 µs of waiting on every request", Row: "p50", Sign: Worse},
		{Name: "latency-100", Env: "latency:100", About: "100 µs of waiting on every request", Row: "p50", Sign: Worse},
		{Name: "latency-200", Env: "latency:200", About: "200 µs of waiting on every request", Row: "p50", Sign: Worse},
		{Name: "memory-5", Env: "memory:5", About: "5 % more resident memory, for life", Row: rowMemory, Sign: Worse},
		{Name: "memory-20", Env: "memory:20", About: "20 % more resident memory, for life", Row: rowMemory, Sign: Worse},
		{Name: "stall", Env: "stall:2", About: "every 50th request waits 2 ms", Row: "p99", Sign: Worse},
		{Name: "burst", Env: "burst:40", About: "40 ms of CPU in the background, once a second", Row: "cpu_per_request", Sign: Worse},
		{Name: "garbage", Env: "garbage:50", About: "half as many allocations and allocated bytes again", Row: rowAllocations, Sign: Worse},
		{Name: "moved", Moved: true, About: "code moved about, no other work", Sign: Nothing},
	}
}

// Rows that more than one plant moves.
const (
	rowWork        = "instructions_callgrind"
	rowAllocations = "allocations"
	rowMemory      = "peak_rss"
)
