//go:build !lean

package core

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slowly places orders, each in a second.
func slowly(placed *atomic.Int64) func(NewOrder) (PlacedOrder, *Error) {
	return func(o NewOrder) (PlacedOrder, *Error) {
		time.Sleep(time.Second)
		return PlacedOrder{ID: placed.Add(1), UserID: o.UserID}, nil
	}
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, room, asked = 2, 3, 9
		var placed, refused atomic.Int64
		q := newQueue(workers, room, slowly(&placed))
		synctest.Wait() // the workers wait for orders
		start := time.Now()
		for range asked {
			go func() {
				if _, err := q.submit(t.Context(), NewOrder{}); code(err) == "busy" {
					refused.Add(1)
				}
			}()
			synctest.Wait()
		}
		if got := refused.Load(); got != asked-workers-room {
			t.Errorf("got %d of %d orders refused, with %d workers and room for %d", got, asked, workers, room)
		}
		q.close()
		if got := placed.Load(); got != workers+room {
			t.Errorf("placed %d, want %d", got, workers+room)
		}
		if took := time.Since(start); took != 3*time.Second { // 2, 2 and 1
			t.Errorf("took %v", took)
		}
	})
}

func TestBusyIsToComeBack(t *testing.T) {
	if err := busy(); err.Status != 503 || err.Header["Retry-After"] != "1" {
		t.Errorf("got %+v", err)
	}
}

func TestAnswersAreOnesOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(4, 100, func(o NewOrder) (PlacedOrder, *Error) {
			if o.UserID%10 == 0 {
				return PlacedOrder{}, unknownUser()
			}
			return PlacedOrder{UserID: o.UserID}, nil
		})
		for i := range int64(100) {
			go func() {
				got, err := q.submit(t.Context(), NewOrder{UserID: i})
				if want := i%10 == 0; (err != nil) != want || err == nil && got.UserID != i {
					t.Errorf("user %d: got %+v, %v", i, got, err)
				}
			}()
		}
		synctest.Wait()
		q.close()
	})
}

// An order is finished whether or not its client waits, and what waits at shutdown is finished, too.
func TestOrdersOutliveClientsAndShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var placed atomic.Int64
		q := newQueue(1, 10, slowly(&placed))
		ctx, leave := context.WithCancel(t.Context())
		for range 3 {
			go func() {
				if _, err := q.submit(ctx, NewOrder{}); err == nil {
					t.Error("answered a client that is gone")
				}
			}()
		}
		synctest.Wait()
		leave()
		q.close()
		if got := placed.Load(); got != 3 {
			t.Errorf("placed %d of 3", got)
		}
		if _, err := q.submit(t.Context(), NewOrder{}); code(err) != "busy" {
			t.Errorf("a closed queue: got %v", err)
		}
		q.close() // twice does nothing
	})
}
