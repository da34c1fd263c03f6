package harness

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	_ "net/http/pprof" // the role "burns" serves profiles of itself
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/duet-bench/duet/internal/sandbox"
)

// TestMain is the test, the helper, or, by its first argument, a service.
func TestMain(m *testing.M) {
	sandbox.Helper()
	if len(os.Args) > 2 && os.Args[1] == "role" {
		serve(roles[os.Args[2]])
		syscall.Exit(0) // os.Exit takes a second with the race detector
	}
	if Supported() {
		if err := sandbox.Guard(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// roles are services that answer / in their own way; all answer /health.
var roles = map[string]http.HandlerFunc{
	"sound": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") },
	"burns": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, burn()) },
	"lacks": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such route", http.StatusNotFound) },
	"flaky": func(w http.ResponseWriter, _ *http.Request) {
		if answered.Add(1)%10 == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, "ok")
	},
	"dies": func(http.ResponseWriter, *http.Request) {
		fmt.Fprintln(os.Stderr, "panic: out of ideas\n::error::x")
		syscall.Exit(9)
	},
	// remembers answers badly where an earlier process left something in HOME or TMPDIR.
	"remembers": func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() {
			for _, dir := range []string{os.Getenv("HOME"), os.Getenv("TMPDIR")} {
				file := filepath.Join(dir, "state")
				if _, err := os.Stat(file); err == nil {
					stale.Store(true)
				}
				if err := os.WriteFile(file, []byte("of this process"), 0o600); err != nil {
					stale.Store(true)
				}
			}
		})
		if stale.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, "ok")
	},
	// stores counts the rows of its database and adds one; at /spend the database has something to do.
	"stores": func(w http.ResponseWriter, r *http.Request) {
		question := "SELECT count(*) FROM log; INSERT INTO log DEFAULT VALUES"
		if r.URL.Path == "/spend" {
			question = "SELECT count(*) FROM generate_series(1, 2000000)"
		}
		counted, err := askDatabaseOf(question)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, "rows %s", counted)
	},
	// echoes sends messages back; chatty does too, but makes them longer; mute hangs up instead.
	"echoes": socketed(func(conn net.Conn, opcode ws.OpCode, payload []byte) error {
		return wsutil.WriteServerMessage(conn, opcode, payload)
	}),
	"chatty": socketed(func(conn net.Conn, opcode ws.OpCode, payload []byte) error {
		return wsutil.WriteServerMessage(conn, opcode, append(payload, '!'))
	}),
	"mute": socketed(func(net.Conn, ws.OpCode, []byte) error { return io.EOF }),
	// busy works all the time, whether it is asked or not.
	"busy": func(w http.ResponseWriter, _ *http.Request) {
		if answered.Add(1) == 1 {
			go func() {
				for end := time.Now().Add(time.Minute); time.Now().Before(end); {
				}
			}()
		}
		fmt.Fprint(w, "ok")
	},
}

// burn works for about a millisecond.
func burn() (sum uint64) {
	for i := range uint64(1_000_000) {
		sum = sum*31 + i
	}
	return sum
}

// socketed serves WebSockets.
func socketed(reply func(conn net.Conn, opcode ws.OpCode, payload []byte) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			return
		}
		defer conn.Close()
		for err == nil {
			var payload []byte
			var opcode ws.OpCode
			if payload, opcode, err = wsutil.ReadClientData(conn); err == nil {
				err = reply(conn, opcode, payload)
			}
		}
	}
}

var (
	answered atomic.Int64
	once     sync.Once
	stale    atomic.Bool
)

// asking is the one connection of the role "stores".
var asking struct {
	sync.Mutex
	conn *pgconn.PgConn
}

func askDatabaseOf(question string) (first string, err error) {
	asking.Lock()
	defer asking.Unlock()
	ctx := context.Background()
	if asking.conn == nil {
		if asking.conn, err = pgconn.Connect(ctx, os.Getenv("DATABASE_URL")); err != nil {
			return "", err
		}
	}
	results, err := asking.conn.Exec(ctx, question).ReadAll()
	if err != nil {
		return "", err
	}
	return string(results[0].Rows[0][0]), nil
}

func serve(root http.HandlerFunc) {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "up") })
	mux.Handle("/debug/pprof/", http.DefaultServeMux)
	mux.HandleFunc("/", root)
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Getenv("ADDR"), mux))
}
