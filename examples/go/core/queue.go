//go:build !lean

package core

import (
	"context"
	"sync"
)

// queue is the bounded pipeline that orders go through: a channel of jobs, and workers that place them. A request
// waits for its own job and for nothing else; a job is finished whether or not somebody still waits for it.
type queue struct {
	jobs    chan job
	workers sync.WaitGroup

	mu     sync.RWMutex // held for writing by close alone, so that nobody sends to a closed channel
	closed bool
}

type job struct {
	order NewOrder
	done  chan placing // has room for the one answer: a worker never waits for a client that left
}

// placing is what became of an order.
type placing struct {
	order PlacedOrder
	err   *Error
}

// newQueue starts workers that call place, and lets room orders wait for them.
func newQueue(workers, room int, place func(NewOrder) (PlacedOrder, *Error)) *queue {
	q := &queue{jobs: make(chan job, room)}
	for range workers {
		q.workers.Go(func() {
			for j := range q.jobs {
				order, err := place(j.order)
				j.done <- placing{order: order, err: err}
			}
		})
	}
	return q
}

// submit sends an order through the queue and returns what became of it.
func (q *queue) submit(ctx context.Context, order NewOrder) (PlacedOrder, *Error) {
	j := job{order: order, done: make(chan placing, 1)}
	if !q.offer(j) {
		return PlacedOrder{}, busy()
	}
	select {
	case p := <-j.done:
		return p.order, p.err
	case <-ctx.Done():
		return PlacedOrder{}, BadBody() // for nobody: the client is gone
	}
}

// offer puts j into the queue if there is room.
func (q *queue) offer(j job) bool {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.closed {
		return false
	}
	select {
	case q.jobs <- j:
		return true
	default:
		return false
	}
}

// close takes no more orders and returns when those in the queue are placed.
func (q *queue) close() {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.jobs)
	}
	q.mu.Unlock()
	q.workers.Wait()
}
