// Package core is what every Go example service shares: the rules of the contract, free of any framework.
//
// A service is a thin adapter: it reads a body, calls core, and writes what core returned. Errors are
// *Error values which already know their status and their JSON shape. The Rust crate duet-core states the
// same rules; examples/contract holds both to them.
package core

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Fairness: everything that could favour one language stands here, and in [profile.release] of
// examples/rust/Cargo.toml for Rust.
//
//	GOGC, GOMEMLIMIT   the runtime's defaults: 100, none       Rust: the system allocator
//	GOMAXPROCS         the runtime's default: usable cores     Rust: as many tokio workers
//	build              go build -trimpath, symbols kept        Rust: --release, one codegen unit, line tables kept
//	JSON               encoding/json, owned strings            Rust: serde_json, owned strings
//	TCP_NODELAY        on (Go's default)                       Rust: set on accept
//	access log         none                                    Rust: none
//	idle               connections are kept                    Rust: kept
//	database           pgx's pool, statements cached,          Rust: deadpool, statements cached,
//	                   POOL_SIZE connections from the start    the same number
//	orders             ORDER_WORKERS goroutines                Rust: as many tokio tasks
//	compute            as many goroutines as GOMAXPROCS        Rust: rayon, a thread a usable core
//
// Gin, Echo and chi stand on net/http, Fiber on fasthttp. All encode JSON with encoding/json, each through its framework.
// The limits below are part of the contract and equal in both languages.
const (
	BodyLimit   = 1 << 20         // bytes a request body may have
	RecordLimit = 1000            // records a batch may have
	LinkLimit   = 1_000_000       // links one process keeps
	SocketLimit = 1 << 16         // bytes a WebSocket message may have
	Drain       = 5 * time.Second // for requests in flight and waiting orders at shutdown
	connectTime = 10 * time.Second
)

// Where links live.
const (
	linksInMemory   = "memory"
	linksInPostgres = "postgres"
)

// Settings are what the environment decides.
type Settings struct {
	Addr         string
	DatabaseURL  string // empty: no database, and its routes say so
	Links        string // linksInMemory or linksInPostgres
	PoolSize     int    // database connections, all opened at start
	OrderWorkers int
	OrderQueue   int // orders that may wait for a worker
}

// ReadSettings reads the environment; an empty variable counts as none.
func ReadSettings(env func(string) string) (Settings, error) {
	s := Settings{Addr: Addr(env), DatabaseURL: env("DATABASE_URL"), Links: linksInMemory}
	if links := env("LINKS"); links != "" {
		s.Links = links
	}
	if s.Links != linksInMemory && s.Links != linksInPostgres {
		return Settings{}, fmt.Errorf("reading LINKS: unexpected %q: expected memory or postgres", s.Links)
	}
	if s.Links == linksInPostgres && s.DatabaseURL == "" {
		return Settings{}, errors.New("reading LINKS: postgres needs a database: set DATABASE_URL")
	}
	for _, n := range []struct {
		name             string
		into             *int
		otherwise, limit int
	}{
		{name: "POOL_SIZE", into: &s.PoolSize, otherwise: 8, limit: 64},
		{name: "ORDER_WORKERS", into: &s.OrderWorkers, otherwise: 4, limit: 64},
		{name: "ORDER_QUEUE", into: &s.OrderQueue, otherwise: 64, limit: 10_000},
	} {
		*n.into = n.otherwise
		text := env(n.name)
		if text == "" {
			continue
		}
		value, err := strconv.Atoi(text)
		if err != nil || value < 1 || n.limit < value {
			return Settings{}, fmt.Errorf("reading %s: unexpected %q: expected a whole number from 1 to %d", n.name, text, n.limit)
		}
		*n.into = value
	}
	return s, nil
}

// Addr is where to listen: $ADDR as it is, else loopback on $PORT, else loopback on 8080.
func Addr(env func(string) string) string {
	if addr := env("ADDR"); addr != "" {
		return addr
	}
	if port := env("PORT"); port != "" {
		return "127.0.0.1:" + port
	}
	return "127.0.0.1:8080"
}
