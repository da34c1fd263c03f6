package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/duet-bench/duet/internal/load"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/service"
	"github.com/duet-bench/duet/internal/workload"
)

// stopWithin bounds the end of one service, whatever became of the run's context.
const stopWithin = 10 * time.Second

// connect opens a workload's connections and hands them to a load generator. It spins only where it has a
// core that no service is held to.
func connect(ctx context.Context, s *service.Service, w workload.Workload, q questions, spin bool) (*load.Client, error) {
	conns := make([]net.Conn, 0, w.Connections)
	for range w.Connections {
		conn, err := s.Dial(ctx)
		if err != nil {
			for _, open := range conns {
				open.Close()
			}
			return nil, fmt.Errorf("opening connection %d of %d: %w", len(conns)+1, w.Connections, err)
		}
		conns = append(conns, conn)
	}
	return load.NewClient(load.Options{
		Conns: conns, Redial: func() (net.Conn, error) { return s.Dial(ctx) },
		Opening: q.opening, Messages: q.messages, Host: s.Host(), Timeout: requestTimeout, Spin: spin,
	})
}

// stopService ends a service, all it left behind and its database, also after the run was cancelled. What could not be ended would
// be measured with every later trial.
func (s *session) stopService(v plan.Variant, running *service.Service) {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if err := errors.Join(running.Stop(ctx), s.takeDatabase(v)); err != nil {
		s.fatal = errors.Join(s.fatal, err)
	}
}
