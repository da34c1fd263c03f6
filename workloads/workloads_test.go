package workloads

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/duet-bench/duet/internal/workload"
)

func parse(t *testing.T, file string) workload.Workload {
	t.Helper()
	text, err := Files.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := workload.Parse(file, text)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func files(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(Files, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestEveryWorkloadIsWellFormed(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(files(t)); got < 3 {
		t.Errorf("got %d workloads", got)
	}
	for _, file := range files(t) {
		w := parse(t, file)
		if w.Name+".yaml" != file {
			t.Errorf("%s is called %q: expected the file's name", file, w.Name)
		}
		if w.About == "" || w.Version < 1 {
			t.Errorf("%s: about and version are required here", file)
		}
		if err := workload.CheckCaptures(w, nil); err != nil {
			t.Error(err)
		}
		for _, r := range w.Requests {
			if r.Name == "" {
				t.Errorf("%s: %s %s has no name", file, r.Method, r.Path)
			}
		}
		if !strings.Contains(string(readme), fmt.Sprintf("| `%s` %d |", w.Name, w.Version)) {
			t.Errorf("README.md does not describe %s version %d", w.Name, w.Version)
		}
	}
}

// TestEveryMessageIsWhatItClaims makes the streams: bodies that call themselves JSON are JSON, and the shares are
// those of the file.
func TestEveryMessageIsWhatItClaims(t *testing.T) {
	captures := workload.Captures{"code": {"UnCtb0", "V5NDuD", "VNXYDQ"}, "id": {"1", "2", "3"}}
	for _, file := range files(t) {
		w := parse(t, file)
		messages, err := workload.Stream(w, 1, captures, 200)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range w.Setup {
			more, err := workload.SetupMessages(r, 1, captures)
			if err != nil {
				t.Fatal(err)
			}
			messages = append(messages, more...)
		}
		for _, m := range messages {
			if m.Type != workload.TypeBinary && len(m.Body) > 0 && !json.Valid(m.Body) {
				t.Fatalf("%s, %s: the body is not JSON: %s", w.Name, m.Name, m.Body)
			}
		}
	}
}

func TestShares(t *testing.T) {
	check := func(file, request string, want float64) {
		t.Helper()
		w, sum, weight := parse(t, file), 0, 0
		for _, r := range w.Requests {
			sum += r.Weight
			if r.Name == request {
				weight = r.Weight
			}
		}
		if got := float64(weight) / float64(sum); got != want {
			t.Errorf("%s: got a share of %v for %s, want %v", file, got, request, want)
		}
	}
	check("url-shortener.yaml", "create", 0.05) // README: 5 % writes
	check("json-pipeline.yaml", "refused", 0.05)
	check("db-query.yaml", "page", 0.2)
	check("db-query.yaml", "missing", 0.03)
	check("order-pipeline.yaml", "order", 0.5)
	check("order-pipeline.yaml", "refused", 0.05)
	check("websocket.yaml", "page", 0.1) // README
	check("websocket.yaml", "blob", 0.05)
}

// What needs a database is not held to one core, and orders have 1 to 5 items, each number of them.
func TestDatabaseWorkloads(t *testing.T) {
	for _, file := range []string{"db-query.yaml", "order-pipeline.yaml"} {
		if w := parse(t, file); w.Needs != workload.NeedsPostgres || w.Cores != workload.CoresAll {
			t.Errorf("%s: needs %q, cores %q", file, w.Needs, w.Cores)
		}
	}
	messages, err := workload.Stream(parse(t, "order-pipeline.yaml"), 1, workload.Captures{"id": {"1"}}, 400)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]int{}
	for _, m := range messages {
		if m.Name == "order" {
			seen[strings.Count(string(m.Body), "product_id")]++
		}
	}
	if len(seen) != 5 || seen[1] == 0 || seen[5] == 0 {
		t.Errorf("items of an order: %v, want 1 to 5", seen)
	}
}

// TestMessageSizes holds the README to what the WebSocket workload sends.
func TestMessageSizes(t *testing.T) {
	w := parse(t, "websocket.yaml")
	opening, err := workload.Opening(w, 1, nil)
	if err != nil || opening.Path != "/ws" {
		t.Errorf("opening: got %+v, %v", opening, err)
	}
	messages, err := workload.Stream(w, 1, nil, 400)
	if err != nil {
		t.Fatal(err)
	}
	bounds := map[string][2]int{"line": {70, 120}, "page": {3700, 4500}, "blob": {512, 512}}
	for _, m := range messages {
		if n := len(m.Body); n < bounds[m.Name][0] || n > bounds[m.Name][1] {
			t.Errorf("%s: a message of %d bytes, want %v", m.Name, n, bounds[m.Name])
		}
	}
}
