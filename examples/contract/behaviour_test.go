package contract

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// answer is as much of a service's answer as these tests look at.
type answer struct {
	status     int
	code       string // of a refusal
	retryAfter string
}

func ask(ctx context.Context, method, url, body string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	var doc struct {
		Error struct{ Code string }
	}
	text, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	return answer{status: resp.StatusCode, code: doc.Error.Code, retryAfter: resp.Header.Get("Retry-After")}, err
}

const anOrder = `{"user_id": 1, "items": [{"product_id": 1, "quantity": 1}]}`

// queues fills a service's order queue while the database makes its one worker wait. What does not fit is refused; what
// was taken is placed, though one client has left and the service was told to stop.
func (s *service) queues(t *testing.T, database *postgres) {
	name, url := database.database(t)
	const room = 5
	p := start(t, s.binary, "DATABASE_URL="+url, "ORDER_WORKERS=1", "ORDER_QUEUE="+strconv.Itoa(room))
	release := database.block(t, name)

	// One client leaves once its order waits for the lock.
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := ask(ctx, http.MethodPost, p.base+"/orders", anOrder)
		left <- err
	}()
	database.waitFor(t, "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = '"+name+"')", "1")
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want no answer yet", err)
	}

	var group sync.WaitGroup
	answers := make(chan answer, 100)
	for range room + 3 {
		group.Go(func() {
			a, err := ask(t.Context(), http.MethodPost, p.base+"/orders", anOrder)
			if err != nil {
				t.Errorf("waiting for an order: %v", err)
			}
			answers <- a
		})
	}
	for range 3 { // the others wait, so these are the refused ones
		if a := <-answers; a.status != http.StatusServiceUnavailable || a.code != "busy" || a.retryAfter != "1" {
			t.Errorf("got %+v, want 503, busy, and to come back after 1", a)
		}
	}
	p.stop(t)
	release()
	group.Wait()
	for range room {
		if a := <-answers; a.status != http.StatusCreated {
			t.Errorf("got %+v, want 201", a)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	p.ended(t)
	if got := database.sql(t, name, "SELECT count(*) FROM orders WHERE id BETWEEN 5001 AND 6000"); got != strconv.Itoa(room+1) {
		t.Errorf("got %s orders, want %d", got, room+1)
	}
	if got := database.sql(t, name, "SELECT count(*) FROM order_items WHERE order_id BETWEEN 5001 AND 6000"); got != strconv.Itoa(room+1) {
		t.Errorf("got %s items, want %d", got, room+1)
	}
}

// failsWith takes the database away, and gives it back: a service says so, and recovers.
func (s *service) failsWith(t *testing.T, database *postgres) {
	name, url := database.database(t)
	p := start(t, s.binary, "DATABASE_URL="+url, "LINKS=postgres", "POOL_SIZE=3")
	if got := database.sql(t, "postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = '"+name+"'"); got != "3" {
		t.Errorf("got %s connections once started, want POOL_SIZE=3", got)
	}
	database.sql(t, "postgres", "ALTER DATABASE "+name+" ALLOW_CONNECTIONS false; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
	for _, r := range []struct{ method, path, body string }{
		{http.MethodGet, "/users", ""},
		{http.MethodGet, "/users/1", ""},
		{http.MethodGet, "/users/1/orders", ""},
		{http.MethodGet, "/orders/1", ""},
		{http.MethodPost, "/orders", anOrder},
		{http.MethodPost, "/links", `{"url": "http://x"}`},
		{http.MethodGet, "/abc123", ""},
		{http.MethodGet, "/links/abc123", ""},
	} {
		a, err := ask(t.Context(), r.method, p.base+r.path, r.body)
		if err != nil || a.status != http.StatusServiceUnavailable || a.code != "database" {
			t.Errorf("%s %s: got %+v, %v, want 503, database", r.method, r.path, a, err)
		}
	}
	if a, err := ask(t.Context(), http.MethodGet, p.base+"/health", ""); err != nil || a.status != http.StatusOK {
		t.Errorf("health: got %+v, %v", a, err)
	}
	database.sql(t, "postgres", "ALTER DATABASE "+name+" ALLOW_CONNECTIONS true")
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		a, err := ask(t.Context(), http.MethodPost, p.base+"/orders", anOrder)
		if err == nil && a.status == http.StatusCreated {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("got %+v, %v: it did not recover", a, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	p.stop(t)
	p.ended(t)
}

// refusesSettings wants exit status 1 and a line that names what is wrong. A database that is not there takes a service
// 10 s, so these run at the same time as the other services'.
func (s *service) refusesSettings(t *testing.T) {
	nowhere := "DATABASE_URL=postgres://duet:hunter2@/db?host=" + t.TempDir()
	for _, tt := range []struct {
		settings []string
		names    string
	}{
		{[]string{"LINKS=disk"}, "LINKS"},
		{[]string{"LINKS=postgres"}, "DATABASE_URL"},
		{[]string{"POOL_SIZE=0"}, "POOL_SIZE"},
		{[]string{"POOL_SIZE=65"}, "POOL_SIZE"},
		{[]string{"ORDER_WORKERS=65"}, "ORDER_WORKERS"},
		{[]string{"ORDER_WORKERS=some"}, "ORDER_WORKERS"},
		{[]string{"ORDER_QUEUE=10001"}, "ORDER_QUEUE"},
		{[]string{"DATABASE_URL=postgres://duet:hunter2@[/db"}, "DATABASE_URL"},
		{[]string{nowhere}, "database"},
	} {
		t.Run(s.name+"/"+tt.settings[0], func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c := exec.CommandContext(ctx, s.binary)
			c.Env = append(append(os.Environ(), "ADDR=127.0.0.1:0"), tt.settings...)
			var stderr strings.Builder
			c.Stderr = &stderr
			began := time.Now()
			err := c.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("got %v, want exit status 1", err)
			}
			if got := stderr.String(); !strings.Contains(got, tt.names) || strings.Contains(got, "hunter2") || strings.Contains(got, "listening") {
				t.Errorf("got %q, want %s named and no password", got, tt.names)
			}
			if took := time.Since(began); tt.settings[0] == nowhere && took < 9*time.Second {
				t.Errorf("gave up after %v, want 10 s", took)
			}
		})
	}
}
