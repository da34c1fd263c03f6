package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/duet-bench/duet/internal/sandbox"
)

// Service is a running service. Its methods are for one goroutine, except Dial, HTTP and Alive.
type Service struct {
	spec    Spec
	port    int
	host    string // what it listens on: "127.0.0.1:8080" or "[::1]:8080"
	process *sandbox.Process
	cold    time.Duration
	client  *http.Client
	known   map[int]bool // processes of its tree, as last seen
}

const (
	// pollEvery is the time between two tries before a service is ready. It bounds how much too long a cold
	// start can be read.
	pollEvery = time.Millisecond
	// tryFor is how long one try may hang before another connection is made.
	tryFor = 2 * time.Second
	// greetEvery is how often something odd on the port is greeted in TLS and HTTP/2.
	greetEvery = 500 * time.Millisecond
	// portTries is how often another port is chosen when somebody takes it first.
	portTries = 3
	// fileSizeLimit is how many bytes a service may write into one file: a disk should not be filled by a log.
	fileSizeLimit = 4 << 30
	// stopGrace is how long a service may take over SIGTERM.
	stopGrace = 500 * time.Millisecond
)

// Start starts a service and returns when it has given its first good answer. On error nothing of it is left.
func Start(ctx context.Context, spec Spec) (*Service, error) {
	if spec.Service.Ready.Timeout <= 0 {
		spec.Service.Ready.Timeout = readyWithin
	}
	if spec.Service.Ready.Path == "" {
		spec.Service.Ready.Path = "/health"
	}
	spec.Service.Ready.Timeout = spec.Wrap.ready(spec.Service.Ready.Timeout)
	for tries := 1; ; tries++ {
		s, err := start(ctx, spec)
		if err == nil {
			return s, nil
		}
		if spec.Service.Port != 0 || tries == portTries || !portWasTaken(err) {
			return nil, err
		}
	}
}

// portWasTaken says whether somebody was quicker with a port that Duet chose.
func portWasTaken(err error) bool {
	var taken *PortError
	if errors.As(err, &taken) {
		return true
	}
	var ended *EndedError
	if !errors.As(err, &ended) {
		return false
	}
	for _, line := range ended.Exit.Tail {
		if line = strings.ToLower(line); strings.Contains(line, "address already in use") || strings.Contains(line, "addrinuse") {
			return true
		}
	}
	return false
}

func start(ctx context.Context, spec Spec) (*Service, error) {
	s := &Service{spec: spec, port: spec.Service.Port}
	if err := s.choosePort(); err != nil {
		return nil, err
	}
	var err error
	if s.process, err = spec.Box.Start(ctx, s.command()); err != nil {
		return nil, fmt.Errorf("%s: %w", spec.Variant, err)
	}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, spec.Box.KillAll(context.WithoutCancel(ctx)))
	}
	if err := s.walk(); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	s.client = newClient(s.dialAny)
	return s, nil
}

func (s *Service) command() sandbox.Command {
	spec := s.spec
	argv := append(slices.Clone(spec.Wrap.Argv), spec.Binary)
	for _, arg := range spec.Service.Run {
		argv = append(argv, strings.ReplaceAll(arg, "{port}", strconv.Itoa(s.port)))
	}
	env := maps.Clone(spec.Env)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, spec.Service.Env)
	maps.Copy(env, spec.Wrap.Env)
	if spec.Service.Port == 0 {
		env["PORT"] = strconv.Itoa(s.port)
		env["ADDR"] = "127.0.0.1:" + strconv.Itoa(s.port)
	}
	c := sandbox.Command{Argv: argv, Dir: spec.WorkDir, Env: env, Log: spec.Log, CPUs: spec.CPUs, Binds: spec.Binds, FileSize: fileSizeLimit}
	if c.Dir == "" {
		c.Dir = filepath.Dir(spec.Binary)
	}
	if c.Log == "" {
		c.Log = filepath.Join(spec.Box.Logs(), "service.log")
	}
	if spec.NetNS != nil {
		c.NetNS = spec.NetNS.Path()
	}
	return c
}

// The ports Duet chooses from lie below the range that the kernel gives to outgoing connections
// (32768 to 60999), so that no client takes one between the choice and the service's bind.
const (
	firstPort = 20000
	lastPort  = 31999
)

// choosePort finds a port nobody listens on, or finds that the fixed one is taken.
func (s *Service) choosePort() error {
	var taken []listener
	err := s.spec.NetNS.do(func() (err error) {
		taken, err = listeners("/proc/thread-self/net")
		return err
	})
	if err != nil {
		return fmt.Errorf("looking for listeners: %w", err)
	}
	if s.port != 0 {
		if l, found := find(taken, s.port); found {
			return &PortError{Variant: s.spec.Variant, Port: s.port, Owner: owner(l.inode), Fixed: true}
		}
		return nil
	}
	const tries = 100
	for range tries {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if _, found := find(taken, port); found {
			continue
		}
		err := s.spec.NetNS.do(func() error { // by its number alone: all addresses, both families
			l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
			if err != nil {
				return err
			}
			return l.Close()
		})
		if err == nil {
			s.port = port
			return nil
		}
	}
	return fmt.Errorf("choosing a port for %s: %d tries from %d to %d found none free", s.spec.Variant, tries, firstPort, lastPort)
}

// ready waits for the first good answer, and checks that it came from the service.
func (s *Service) ready(ctx context.Context) error {
	within := s.spec.Service.Ready.Timeout
	deadline := s.process.Spawned().Add(within)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	const silent = "nothing listens there"
	last, greeted := silent, time.Time{}
	for {
		select {
		case <-s.process.Done():
			return s.ended(whenStarting)
		default:
		}
		host, a := s.ask(ctx)
		if !a.at.IsZero() {
			s.cold = a.at.Sub(s.process.Spawned())
			s.host = s.prefer(ctx, host)
			return s.checkOwner()
		}
		if a.failed == nil && a.odd && time.Since(greeted) > greetEvery {
			a.failed = foreign(ctx, s.dialAny)
			greeted = time.Now()
		}
		if a.failed != nil {
			return errors.Join(s.stranger(), fmt.Errorf("%s %w", s.spec.Variant, a.failed))
		}
		if a.what != "" && (ctx.Err() == nil || last == silent) { // the deadline cuts a try short: that says little
			last = a.what
		}
		select {
		case <-ctx.Done():
			if !time.Now().Before(deadline) {
				err := &ReadyError{Variant: s.spec.Variant, Within: within, Path: s.spec.Service.Ready.Path, Port: s.port, Last: last, Tail: s.Tail()}
				return errors.Join(s.stranger(), err)
			}
			return context.Cause(ctx)
		case <-s.process.Done():
			return s.ended(whenStarting)
		case <-poll.C:
		}
	}
}

// ask tries both loopback addresses. Where nobody listens yet the answer says nothing.
func (s *Service) ask(ctx context.Context) (host string, a answer) {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	stopped := make(chan struct{})
	defer close(stopped)
	go func() { // a service that ends ends the try
		select {
		case <-s.process.Done():
			cancel()
		case <-stopped:
		}
	}()
	for _, address := range s.addresses() {
		conn, err := s.dialTo(ctx, address)
		if err == nil {
			return address, try(ctx, conn, address, s.spec.Service.Ready.Path)
		}
	}
	return "", answer{}
}

// prefer is the first address that connects. One that opened between two tries of a poll may have answered
// on the second: left to that chance, variants would be measured over different families.
func (s *Service) prefer(ctx context.Context, answered string) string {
	for _, address := range s.addresses() {
		if address == answered {
			break
		}
		if conn, err := s.dialTo(ctx, address); err == nil {
			conn.Close()
			return address
		}
	}
	return answered
}

func (s *Service) ended(when string) error {
	return &EndedError{Variant: s.spec.Variant, When: when, Exit: s.process.Exit()}
}

// addresses are where the service may listen: it alone knows, until one has answered.
func (s *Service) addresses() []string {
	if s.host != "" {
		return []string{s.host}
	}
	port := strconv.Itoa(s.port)
	return []string{"127.0.0.1:" + port, "[::1]:" + port}
}

// dialAny ignores the address it is asked for: a client of a service reaches that service and nothing else.
func (s *Service) dialAny(ctx context.Context, _, _ string) (conn net.Conn, err error) {
	for _, address := range s.addresses() {
		if conn, err = s.dialTo(ctx, address); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (s *Service) dialTo(ctx context.Context, address string) (conn net.Conn, err error) {
	err = s.spec.NetNS.do(func() (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
		return err
	})
	return conn, err
}

// Dial opens a connection to the service, inside its network namespace.
func (s *Service) Dial(ctx context.Context) (net.Conn, error) {
	conn, err := s.dialTo(ctx, s.host)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", s.spec.Variant, err)
	}
	return conn, nil
}

// HTTP is a client for requests outside any measuring: it reaches this service alone, keeps connections
// alive, follows no redirects and asks no proxy. Its answers' bodies are not bounded: read them with a limit.
func (s *Service) HTTP() *http.Client { return s.client }

// Host is the address it listens on, for a Host header: "127.0.0.1:8080".
func (s *Service) Host() string { return s.host }

// ColdStart is the time from execve to the head of the first good answer.
func (s *Service) ColdStart() time.Duration { return s.cold }

// Tail is the last 50 lines of the service's output, sanitised.
func (s *Service) Tail() []string { return s.process.Tail() }

// Alive is nil while the service runs, and an *EndedError afterwards.
func (s *Service) Alive() error {
	select {
	case <-s.process.Done():
		return s.ended(whenMeasuring)
	default:
		return nil
	}
}

// Stop asks the service to end, gives it half a second, and kills all it left behind, daemonised or not.
func (s *Service) Stop(ctx context.Context) error {
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	if s.spec.Wrap.Kill {
		s.process.Kill()
	} else if err := s.process.Signal(syscall.SIGTERM); err == nil {
		grace := time.NewTimer(stopGrace)
		defer grace.Stop()
		select {
		case <-s.process.Done():
		case <-grace.C:
		case <-ctx.Done():
		}
	} else if !errors.Is(err, os.ErrProcessDone) {
		s.process.Kill()
	}
	if err := s.spec.Box.KillAll(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("stopping %s: %w", s.spec.Variant, err)
	}
	return nil
}
