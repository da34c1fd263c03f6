//go:build linux

package postgres

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/duet-bench/duet/internal/sandbox"
)

// TestMain is the test, the helper, or, by its first argument, a program for a box.
func TestMain(m *testing.M) {
	sandbox.Helper()
	if len(os.Args) == 4 && os.Args[1] == "ask" {
		fmt.Println(askAs(os.Args[2], os.Args[3]))
		syscall.Exit(0) // os.Exit takes a second with the race detector
	}
	if err := sandbox.Guard(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// askAs is what a client that has the URL of a database gets for a question.
func askAs(url, question string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgconn.Connect(ctx, url)
	if err != nil {
		return "refused: " + err.Error()
	}
	defer conn.Close(ctx)
	results, err := conn.Exec(ctx, question).ReadAll()
	if err != nil {
		return "error: " + err.Error()
	}
	text := ""
	for _, result := range results {
		for _, row := range result.Rows {
			for _, value := range row {
				text += string(value) + " "
			}
		}
	}
	return text
}

// contextFor is a context that ends after so long, at once with 0.
func contextFor(t *testing.T, after time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	if after == 0 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return ctx, cancel
	}
	return context.WithTimeout(t.Context(), after)
}
