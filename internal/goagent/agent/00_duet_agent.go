// Package main is the agent: this one file is compiled into a Go service that is to be profiled, beside the service's own
// files, which stay as they are. It does nothing unless DUET_AGENT is set; then it listens on a Unix socket of that name
// and the process's id, and hands out what runtime/pprof and runtime/metrics know.
//
// It shares a package with foreign code. So every name in it is its own, imports included (an import may not be called
// like something the service declares), it uses no builtin that a service may have replaced, nothing that go 1.16 lacks,
// prints nothing, and never imports net/http/pprof, which would publish handlers on the service's own port.
package main

import (
	duetbufio "bufio"
	duetbytes "bytes"
	dueterrors "errors"
	duetio "io"
	duetmath "math"
	duetnet "net"
	duetos "os"
	duetfilepath "path/filepath"
	duetruntime "runtime"
	duetmetrics "runtime/metrics"
	duetpprof "runtime/pprof"
	duetstrconv "strconv"
	duetstrings "strings"
	duetsync "sync"
)

// duetAgentMark is how a binary is known to have the agent inside, and how its first answer begins.
const duetAgentMark = "duet-agent/1 "

// The agent starts while the package's variables are made, before any init function of the service.
var _ = duetAgentStart()

// duetAgent is the state of one process's agent.
type duetAgent struct {
	mu  duetsync.Mutex
	cpu *duetbytes.Buffer // of the CPU profile that is being taken; nil: none
}

func duetAgentStart() bool {
	path := duetos.Getenv("DUET_AGENT")
	if path == "" {
		return false
	}
	listener := duetAgentListen(path + "." + duetstrconv.Itoa(duetos.Getpid()))
	if listener == nil { // whoever looks for the socket will say so: a service's output is not ours to write to
		return false
	}
	agent := &duetAgent{}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go agent.duetAgentServe(conn)
		}
	}()
	return true
}

// duetAgentListen makes the socket. A socket of this name that nobody listens on is this very process's, from before it
// executed itself anew; nothing else is ever removed.
func duetAgentListen(path string) duetnet.Listener {
	address := path
	if len(path) > 100 { // a socket's address holds 107 bytes
		folder, err := duetos.Open(duetfilepath.Dir(path))
		if err != nil {
			return nil
		}
		defer folder.Close()
		address = "/proc/self/fd/" + duetstrconv.Itoa(int(folder.Fd())) + "/" + duetfilepath.Base(path)
	}
	listener, err := duetnet.Listen("unix", address)
	if err != nil {
		info, missing := duetos.Lstat(path)
		if missing != nil || info.Mode()&duetos.ModeSocket == 0 {
			return nil
		}
		if conn, refused := duetnet.Dial("unix", address); refused == nil {
			_ = conn.Close()
			return nil
		}
		if duetos.Remove(path) != nil {
			return nil
		}
		if listener, err = duetnet.Listen("unix", address); err != nil {
			return nil
		}
	}
	if duetos.Chmod(path, 0600) != nil {
		_ = listener.Close()
		return nil
	}
	return listener
}

// duetAgentServe answers one connection: a line asks, "ok N" or "error N" and N bytes answer.
func (a *duetAgent) duetAgentServe(conn duetio.ReadWriteCloser) {
	defer conn.Close()
	reader := duetbufio.NewReaderSize(conn, 256)
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return
		}
		status := "ok "
		body, err := a.duetAgentAnswer(duetstrings.Fields(string(line)))
		if err != nil {
			status, body = "error ", []byte(err.Error())
		}
		head := status + duetstrconv.Itoa(len(body)) + "\n"
		if _, err := duetio.WriteString(conn, head); err != nil {
			return
		}
		if _, err := conn.Write(body); err != nil {
			return
		}
	}
}

func (a *duetAgent) duetAgentAnswer(words []string) ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(words) == 0 {
		return nil, dueterrors.New("an empty line")
	}
	argument := ""
	if len(words) > 1 {
		argument = words[1]
	}
	switch words[0] {
	case "hello":
		return []byte(duetAgentMark + duetruntime.Version() + " " + duetstrconv.Itoa(duetruntime.MemProfileRate)), nil
	case "cpu-start":
		return nil, a.duetAgentStartCPU()
	case "cpu-stop":
		return a.duetAgentStopCPU()
	case "gc":
		duetruntime.GC()
		return nil, nil
	case "lookup":
		return duetAgentLookup(argument)
	case "mutex":
		rate, err := duetstrconv.Atoi(argument)
		if err != nil {
			return nil, err
		}
		return []byte(duetstrconv.Itoa(duetruntime.SetMutexProfileFraction(rate))), nil
	case "block":
		rate, err := duetstrconv.Atoi(argument)
		if err != nil {
			return nil, err
		}
		duetruntime.SetBlockProfileRate(rate)
		return nil, nil
	case "metrics":
		return duetAgentMetrics(), nil
	}
	return nil, dueterrors.New("a command that this agent does not know")
}

func (a *duetAgent) duetAgentStartCPU() error {
	if a.cpu != nil {
		return dueterrors.New("a CPU profile is being taken already")
	}
	buffer := &duetbytes.Buffer{}
	if err := duetpprof.StartCPUProfile(buffer); err != nil {
		return dueterrors.New("the service takes a CPU profile of itself, and there can be one at a time: " + err.Error())
	}
	a.cpu = buffer
	return nil
}

func (a *duetAgent) duetAgentStopCPU() ([]byte, error) {
	if a.cpu == nil {
		return nil, dueterrors.New("no CPU profile is being taken")
	}
	duetpprof.StopCPUProfile() // waits until all of it is written
	body := a.cpu.Bytes()
	a.cpu = nil
	return body, nil
}

func duetAgentLookup(name string) ([]byte, error) {
	profile := duetpprof.Lookup(name)
	if profile == nil {
		return nil, dueterrors.New("no profile is called " + name)
	}
	buffer := &duetbytes.Buffer{}
	if err := profile.WriteTo(buffer, 0); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

// duetAgentMetrics is all that this Go knows of the wanted metrics, as JSON: one list of numbers each; of a histogram,
// its counts and then the bounds of its buckets, one more than counts.
func duetAgentMetrics() []byte {
	samples := []duetmetrics.Sample{
		{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/gc/pauses:seconds"}, {Name: "/sched/latencies:seconds"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/idle:cpu-seconds"},
		{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/tiny/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"},
		{Name: "/sched/goroutines:goroutines"}, {Name: "/sched/gomaxprocs:threads"},
	}
	var stats duetruntime.MemStats
	duetruntime.ReadMemStats(&stats) // metrics leave out what a processor has not handed in yet: this makes all hand in
	duetmetrics.Read(samples)
	text := []byte("{")
	for _, sample := range samples {
		var numbers []float64
		switch sample.Value.Kind() {
		case duetmetrics.KindUint64:
			numbers = []float64{float64(sample.Value.Uint64())}
		case duetmetrics.KindFloat64:
			numbers = []float64{sample.Value.Float64()}
		case duetmetrics.KindFloat64Histogram:
			histogram := sample.Value.Float64Histogram()
			for _, count := range histogram.Counts {
				numbers = append(numbers, float64(count))
			}
			numbers = append(numbers, histogram.Buckets...)
		default: // this Go does not have it
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = duetstrconv.AppendQuote(text, sample.Name)
		text = append(text, ':', '[')
		for i, number := range numbers {
			if i > 0 {
				text = append(text, ',')
			}
			number = duetmath.Max(-duetmath.MaxFloat64, duetmath.Min(number, duetmath.MaxFloat64)) // JSON has no infinity
			text = duetstrconv.AppendFloat(text, number, 'g', -1, 64)
		}
		text = append(text, ']')
	}
	return append(text, '}')
}
