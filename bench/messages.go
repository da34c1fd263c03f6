//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/duet-bench/duet/internal/load"
	"github.com/duet-bench/duet/internal/workload"
)

// Clients of the messages table. The libraries' have a goroutine a connection, as their users do.
const (
	clientEcho   = "echo" // the server
	clientDuet   = "duet-messages"
	clientGobwas = "gobwas"
	clientCoder  = "coder"

	nameGobwas = "gobwas/ws, GOMAXPROCS="
	nameCoder  = "coder/websocket, GOMAXPROCS="
)

// messageOf is what is echoed.
func messageOf() []byte { return bytes.Repeat([]byte("x"), 100) }

// messages is the cost table over WebSockets.
func (b *bench) messages(ctx context.Context) (*costs, error) {
	s, err := b.serveEcho(ctx)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	asking := func(client string, env ...string) func() (int64, spent, error) {
		return func() (int64, spent, error) {
			return b.own(ctx, env, asked{Client: client, Address: s.address(), Connections: b.connections, Duration: b.duration})
		}
	}
	contenders := []contender{{nameDuet, asking(clientDuet)}}
	for _, procs := range []string{"1", "2"} {
		contenders = append(contenders, contender{nameGobwas + procs, asking(clientGobwas, "GOMAXPROCS="+procs)},
			contender{nameCoder + procs, asking(clientCoder, "GOMAXPROCS="+procs)})
	}
	return b.costOf("message", contenders, []against{{Other: nameGobwas, AtMost: 1}, {Other: nameCoder, AtMost: 1}})
}

// serveEcho starts the server of WebSockets on its CPU.
func (b *bench) serveEcho(ctx context.Context) (*server, error) {
	unpin, err := load.Pin(b.serverCPU)
	if err != nil {
		return nil, err
	}
	defer unpin()
	command := exec.CommandContext(ctx, b.self, asked{Client: clientEcho}.args()...)
	command.Env = append(os.Environ(), "GOMAXPROCS=1")
	return startServer(command)
}

// startServer starts a server that prints its port first.
func startServer(command *exec.Cmd) (*server, error) {
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting server: %w", err)
	}
	s := &server{command: command}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		s.port, err = strconv.Atoi(strings.TrimSpace(line))
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("starting server: reading its port: %w", err)
	}
	return s, nil
}

// echo serves until it is killed.
func echo(stdout io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			_, err := ws.Upgrade(conn)
			for err == nil {
				var message []byte
				var opcode ws.OpCode
				if message, opcode, err = wsutil.ReadClientData(conn); err == nil {
					err = wsutil.WriteServerMessage(conn, opcode, message)
				}
			}
		}()
	}
}

func askDuetMessages(ctx context.Context, a asked) (told, error) {
	o := load.Options{
		Host: a.Address, Opening: &workload.Message{Method: "GET", Path: "/"},
		Messages: []workload.Message{{Type: workload.TypeText, Body: messageOf(), Expect: workload.Expect{Echo: true}}},
	}
	return askSlices(ctx, a, o)
}

// askLibrary keeps one goroutine a connection busy with a library's client.
func askLibrary(ctx context.Context, a asked) (told, error) {
	open := openGobwas
	if a.Client == clientCoder {
		open = openCoder
	}
	turns := make([]func() error, a.Connections)
	for i := range turns {
		turn, err := open(ctx, a.Address)
		if err != nil {
			return told{}, err
		}
		turns[i] = turn
	}
	begin, before := time.Now(), processCPU()
	until := begin.Add(a.Duration)
	counts, failures := make([]int64, a.Connections), make([]error, a.Connections)
	var wait sync.WaitGroup
	for i, turn := range turns {
		wait.Go(func() {
			for failures[i] == nil && time.Now().Before(until) {
				failures[i] = turn()
				counts[i]++
			}
		})
	}
	wait.Wait()
	t := told{Elapsed: time.Since(begin), Process: processCPU() - before}
	for _, n := range counts {
		t.Requests += n
	}
	return t, errors.Join(failures...)
}

// openGobwas opens a WebSocket and returns how to send a message and to take its echo.
func openGobwas(ctx context.Context, address string) (turn func() error, err error) {
	conn, _, _, err := ws.Dial(ctx, "ws://"+address+"/")
	message := messageOf()
	return func() error {
		if err := wsutil.WriteClientText(conn, message); err != nil {
			return err
		}
		answer, err := wsutil.ReadServerText(conn)
		return unlike(message, answer, err)
	}, err
}

func openCoder(ctx context.Context, address string) (turn func() error, err error) {
	conn, _, err := websocket.Dial(ctx, "ws://"+address+"/", nil)
	message := messageOf()
	return func() error {
		if err := conn.Write(ctx, websocket.MessageText, message); err != nil {
			return err
		}
		_, answer, err := conn.Read(ctx)
		return unlike(message, answer, err)
	}, err
}

func unlike(message, answer []byte, err error) error {
	if err == nil && !bytes.Equal(message, answer) {
		err = fmt.Errorf("%d other bytes", len(answer))
	}
	return err
}
