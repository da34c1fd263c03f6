// Package core is what every Go example service shares: the rules of the contract, free of any framework.
//
// A service is a thin adapter: it reads a body, calls core, and writes what core returned. Errors are
// *Error values which already know their status and their JSON shape. The Rust crate duet-core states the
// same rules; examples/contract holds both to them.
package core

import "time"

// Fairness: everything that could favour one language stands here, and in [profile.release] of
// examples/rust/Cargo.toml for Rust.
//
//	GOGC, GOMEMLIMIT   the runtime's defaults: 100, none       Rust: the system allocator
//	GOMAXPROCS         the runtime's default: usable cores     Rust: as many tokio workers
//	build              go build -trimpath, symbols kept        Rust: --release, one codegen unit, line tables kept
//	JSON               encoding/json, owned strings            Rust: serde_json, owned strings
//	TCP_NODELAY        on (Go's default)                       Rust: set on accept
//	access log         none                                    Rust: none
//
// The limits below are part of the contract and equal in both languages.
const (
	BodyLimit   = 1 << 20         // bytes a request body may have
	RecordLimit = 1000            // records a batch may have
	LinkLimit   = 1_000_000       // links one process keeps
	Drain       = 5 * time.Second // for requests in flight at shutdown
)

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
