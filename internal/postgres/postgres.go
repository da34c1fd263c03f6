// Package postgres gives services a database: a throwaway PostgreSQL that ends with the run, or databases of its own
// making on a server that is there already.
//
// SQL files are loaded once into a template, and each trial gets a copy of it, so that nothing passes from trial to
// trial. The throwaway server runs in a box (internal/sandbox) under a uid of its own, answers on a private Unix socket
// and, where asked, on one loopback port, and lets nobody in without a random password. What is loaded belongs to an
// ordinary role, one for each template: COPY … TO PROGRAM and the like are not theirs. It writes to disk only when it
// likes (fsync, synchronous_commit and full_page_writes are off), vacuums nothing and checkpoints between trials alone:
// its own rhythm is not the services'.
package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Options is what a throwaway server is started from.
type Options struct {
	Programs Programs
	// Dir is made, and removed by Close with all that is in it. Other users must be able to pass the folders above it.
	Dir string
	// Services is how many may be alive at once on copies of one template, and Templates how many of those there will be.
	Services, Templates int
	TCP                 bool // services come over loopback instead of the socket
}

// connectionsEach is the largest pool that there is room for in a service.
const connectionsEach = 64

// Script is one SQL file.
type Script struct {
	Name string // for errors: "db/schema.sql"
	Text []byte
}

// Settings is what differs from a server's defaults, in words, for the report.
const Settings = "throwaway, fsync and autovacuum off"

// Template is a loaded database that is copied and never connected to.
type Template struct {
	server   *Server
	name     string
	role     string // whose the copies are; empty: the server's own user
	password string
}

// Database is one fresh copy of a template.
type Database struct {
	template *Template
	name     string
}

// EndedError is a throwaway server that ended although nobody stopped it.
type EndedError struct {
	How  string // "killed by SIGKILL after 3.2s"
	Tail []string
}

func (e *EndedError) Error() string {
	text := "PostgreSQL ended although nobody stopped it: " + e.How
	if n := len(e.Tail); n > 0 {
		text += ": " + e.Tail[n-1]
	}
	return text
}

// ErrRoot is the refusal of a user that PostgreSQL refuses.
var ErrRoot = errors.New("PostgreSQL does not run as root, and this root may not change to another uid: run duet as an ordinary user")

// Env is what a service is handed for its database.
func (d *Database) Env() map[string]string {
	s, role, password := d.template.server, d.template.role, d.template.password
	env := map[string]string{
		"PGHOST": s.host, "PGPORT": strconv.Itoa(int(s.port)), "PGDATABASE": d.name, "PGUSER": role, "PGPASSWORD": password,
	}
	switch {
	case s.existing != nil:
		u := *s.existing
		u.Path, u.RawPath = "/"+d.name, ""
		env["DATABASE_URL"], env["PGUSER"], env["PGPASSWORD"] = u.String(), s.user, s.password
	case s.tcp:
		u := url.URL{Scheme: "postgres", User: url.UserPassword(role, password), Host: s.host + ":" + env["PGPORT"], Path: "/" + d.name, RawQuery: "sslmode=disable"}
		env["DATABASE_URL"] = u.String()
	default:
		// pgx, lib/pq, libpq, tokio-postgres and sqlx all take this form. With user and password before an empty host sqlx
		// refuses it (so does every parser that keeps to the URL standard); with %2F in the host, Go's do.
		host := strings.NewReplacer("%2F", "/", "+", "%20").Replace(url.QueryEscape(s.host)) // tokio-postgres knows no +
		env["DATABASE_URL"] = fmt.Sprintf("postgres:///%s?host=%s&port=%d&user=%s&password=%s", d.name, host, s.port, role, password)
	}
	return env
}

// Times is how long the making and dropping of fresh databases took.
type Times struct {
	Made, Dropped       int
	ToMake, ToDrop      time.Duration // all of them
	Started, LoadedLast time.Duration // of the server, with initdb; of the last template
}

func (t Times) String() string {
	each := func(sum time.Duration, n int) string {
		return fmt.Sprintf("%.0f ms", float64(sum.Microseconds())/1000/float64(max(n, 1)))
	}
	return fmt.Sprintf("%d fresh databases, %s each to make and %s to drop", t.Made, each(t.ToMake, t.Made), each(t.ToDrop, t.Dropped))
}
