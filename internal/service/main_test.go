//go:build linux

package service

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/duet-bench/duet/internal/sandbox"
)

// TestMain is the test, the helper, or, by its first argument, a service.
func TestMain(m *testing.M) {
	sandbox.Helper()
	if len(os.Args) > 2 && os.Args[1] == "role" {
		roles[os.Args[2]](os.Args[3:])
		syscall.Exit(0) // os.Exit takes a second with the race detector
	}
	if err := sandbox.Guard(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var roles = map[string]func(args []string){
	"serve":   func(args []string) { serve(listen(args), http.StatusOK) },
	"failing": func(args []string) { serve(listen(args), http.StatusInternalServerError) },
	"lost":    func(args []string) { serve(listen(args), http.StatusNotFound) },
	"exit0":   func([]string) { fmt.Println("done") },
	"exit1": func([]string) {
		fmt.Println("panic: no database\n\ngoroutine 1:\nmain.go:1\n::error::x")
		syscall.Exit(1)
	},
	"sleep": func([]string) { fmt.Println("started"); select {} },
	"mute": func(args []string) {
		l := listen(args)
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	},
	"slam": func(args []string) { // closes at once
		l := listen(args)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	},
	"endless-head": func(args []string) {
		eachConn(args, func(conn net.Conn) {
			for {
				if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-A: "+string(make([]byte, 1<<16))); err != nil {
					return
				}
			}
		})
	},
	"ssh": func(args []string) {
		eachConn(args, func(conn net.Conn) { io.WriteString(conn, "SSH-2.0-OpenSSH_9.2\r\n"); conn.Close() })
	},
	"tls": func(args []string) {
		l := tls.NewListener(listen(args), &tls.Config{Certificates: []tls.Certificate{certificate()}})
		serve(l, http.StatusOK)
	},
	"raw-tls": func(args []string) { // without net/http's friendly answer in plain text
		eachConn(args, func(conn net.Conn) {
			tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate()}}).Handshake()
			conn.Close()
		})
	},
	"h2": func(args []string) {
		var h2 http.Protocols
		h2.SetUnencryptedHTTP2(true)
		server := &http.Server{Handler: handler(http.StatusOK), Protocols: &h2}
		server.Serve(listen(args))
	},
	"h2-eager": func(args []string) { // gRPC in Go sends its settings first
		eachConn(args, func(conn net.Conn) {
			conn.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0})
			io.Copy(io.Discard, conn)
			conn.Close()
		})
	},
	// family leaves a daemon that ignores SIGTERM, holds stdout and the port, and serves.
	"family": func(args []string) {
		signal.Ignore(syscall.SIGTERM)
		child := exec.Command(os.Args[0], append([]string{"role", "serve"}, args...)...)
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Start(); err != nil {
			fmt.Println(err)
			return
		}
		select {}
	},
}

// listen takes the address from the first argument or from ADDR.
func listen(args []string) net.Listener {
	address := os.Getenv("ADDR")
	if len(args) > 0 {
		address = args[0]
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Println(err)
		syscall.Exit(1)
	}
	return l
}

func eachConn(args []string, f func(net.Conn)) {
	l := listen(args)
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go f(conn)
	}
}

func serve(l net.Listener, status int) { http.Serve(l, handler(status)) }

func handler(status int) http.Handler {
	var kept [][]byte
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
	})
	mux.HandleFunc("/allocate", func(http.ResponseWriter, *http.Request) {
		block := make([]byte, 32<<20)
		for i := range block {
			block[i] = byte(i)
		}
		kept = append(kept, block)
	})
	mux.HandleFunc("/spend", func(http.ResponseWriter, *http.Request) { spend(50 * time.Millisecond) })
	mux.HandleFunc("/spend-in-child", func(http.ResponseWriter, *http.Request) {
		exec.Command("sh", "-c", "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done").Run()
	})
	mux.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) {
		fmt.Println("about to crash")
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	})
	return mux
}

// spend uses CPU time, however long that takes.
func spend(d time.Duration) {
	for begun, _ := sandbox.CPUClock(os.Getpid()); ; {
		if now, err := sandbox.CPUClock(os.Getpid()); err != nil || now-begun > d {
			return
		}
	}
}

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// folder is a temporary one that every uid can pass; t.TempDir is not.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "duet-service")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	return dir
}

// program is a copy of the test binary where every uid can run it.
func program(t *testing.T) string {
	t.Helper()
	to := filepath.Join(folder(t), "program")
	in, err := os.Open("/proc/self/exe")
	check(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	check(t, err)
	_, err = io.Copy(out, in)
	check(t, errors.Join(err, out.Close()))
	return to
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 s until %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// unusedPort is one that nobody listens on now.
func unusedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	check(t, err)
	number, err := strconv.Atoi(port)
	check(t, err)
	return number
}
