package selftest

import (
	"context"
	"runtime"
	"sync"
)

// inOrder makes n values side by side and uses them one after the other, in order: what is made of them does not
// depend on how many cores there are. It ends early when the context does.
func inOrder[T any](ctx context.Context, n int, produce func(i int) T, use func(i int, made T)) error {
	workers := max(1, runtime.GOMAXPROCS(0))
	for from := 0; from < n; from += workers {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		batch := make([]T, min(workers, n-from))
		var wait sync.WaitGroup
		for k := range batch {
			wait.Go(func() { batch[k] = produce(from + k) })
		}
		wait.Wait()
		for k := range batch {
			use(from+k, batch[k])
		}
	}
	return nil
}
