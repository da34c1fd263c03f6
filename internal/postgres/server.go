package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Server is a PostgreSQL that databases can be made on. Its methods may be used from several goroutines.
type Server struct {
	Version string

	host           string // a folder, or an address
	port           uint16
	user, password string
	tcp            bool
	existing       *url.URL // nil: the throwaway server below
	throwaway      throwaway

	mu     sync.Mutex // over admin and all below
	admin  *pgconn.PgConn
	prefix string // of the databases' names
	limit  int    // connections of a role; 0: no role of its own
	made   []string
	count  int
	times  Times
}

const (
	// dialWithin bounds one connection.
	dialWithin = 10 * time.Second
	// makeWithin bounds the making or dropping of one database.
	makeWithin = time.Minute
)

// Connect uses a server that is there already, by its URL. On it Duet makes databases of its own, with a random prefix,
// and drops them in Close; nothing else is touched. Services get the URL's user.
func Connect(ctx context.Context, text string) (*Server, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("connecting to PostgreSQL: expected a URL such as postgres://user:password@host:5432/postgres") // never its text: it holds a password
	}
	config, err := pgconn.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("connecting to PostgreSQL: %w", err) // pgconn leaves the password out
	}
	if query := u.Query(); query.Has("dbname") || query.Has("database") {
		return nil, errors.New("connecting to PostgreSQL: expected the database in the URL's path, not in its query: it is replaced for each trial")
	}
	s := &Server{host: config.Host, port: config.Port, user: config.User, password: config.Password, existing: u}
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	if s.admin, err = pgconn.ConnectConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("connecting to PostgreSQL: %w", err)
	}
	s.tcp = !strings.HasPrefix(config.Host, "/")
	if err := s.ready(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// ready notes what the first connection says.
func (s *Server) ready() error {
	s.Version, _, _ = strings.Cut(s.admin.ParameterStatus("server_version"), " ")
	if major, _, _ := strings.Cut(s.Version, "."); major != "" {
		if n, err := strconv.Atoi(major); err == nil && n < leastMajor {
			return fmt.Errorf("PostgreSQL %s: %d or later is needed", s.Version, leastMajor)
		}
	}
	name, err := secret(4)
	s.prefix = "duet_" + name
	return err
}

// TCP says whether services need the network that Duet is in to reach the server.
func (s *Server) TCP() bool { return s.tcp }

// ReachedByTCP says whether a URL leads over a network, and not to a socket in the file system. One that is wrong does,
// until Connect says what is wrong.
func ReachedByTCP(text string) bool {
	config, err := pgconn.ParseConfig(text)
	return err != nil || !strings.HasPrefix(config.Host, "/")
}

// Throwaway says whether the server ends with Close.
func (s *Server) Throwaway() bool { return s.existing == nil }

// Secret is the password that services get for an existing server; empty where there is none worth keeping.
func (s *Server) Secret() string {
	if s.Throwaway() {
		return ""
	}
	return s.password
}

// Times is how long it all took so far.
func (s *Server) Times() Times {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.times
}

// secret is so many random bytes, as twice as many hexadecimal digits.
func secret(bytes int) (string, error) {
	text := make([]byte, bytes)
	if _, err := rand.Read(text); err != nil {
		return "", err
	}
	return hex.EncodeToString(text), nil
}

// quoted is an identifier in quotes. Ours have none inside.
func quoted(name string) string { return `"` + name + `"` }

// Load makes a template from scripts, in order. What a script does wrong is an error with its file, the place and the
// server's own words.
func (s *Server) Load(ctx context.Context, name string, scripts ...Script) (*Template, error) {
	began := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &Template{server: s, name: s.prefix + "_" + name}
	owner := ""
	if s.Throwaway() {
		var err error
		if t.password, err = secret(16); err != nil {
			return nil, err
		}
		t.role = name
		owner = " OWNER " + quoted(t.role)
		if err := s.ask(ctx, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s' CONNECTION LIMIT %d", quoted(t.role), t.password, s.limit)); err != nil {
			return nil, err
		}
	}
	if err := s.create(ctx, t.name, owner); err != nil {
		return nil, err
	}
	if err := t.load(ctx, scripts); err != nil {
		var wrong *ScriptError
		if !errors.As(err, &wrong) {
			if dead := s.died(); dead != nil {
				return nil, dead
			}
		}
		return nil, err
	}
	if s.Throwaway() { // so that nobody but Duet changes it from here on
		if err := s.ask(ctx, "ALTER DATABASE "+quoted(t.name)+" OWNER TO "+quoted(s.user)); err != nil {
			return nil, err
		}
	}
	if err := s.ask(ctx, "ALTER DATABASE "+quoted(t.name)+" ALLOW_CONNECTIONS false"); err != nil {
		return nil, err
	}
	s.times.LoadedLast = time.Since(began)
	return t, nil
}

// load runs the scripts as the role that services will be, and has the planner know what is there.
func (t *Template) load(ctx context.Context, scripts []Script) error {
	env := (&Database{template: t, name: t.name}).Env()
	for _, script := range scripts {
		if err := withConnection(ctx, env["DATABASE_URL"], env["PGPASSWORD"], func(c *pgconn.PgConn) error { return script.run(ctx, c) }); err != nil {
			return err
		}
	}
	return withConnection(ctx, env["DATABASE_URL"], env["PGPASSWORD"], func(c *pgconn.PgConn) error {
		_, err := execute(ctx, c, "VACUUM (ANALYZE)")
		return err
	})
}

// withConnection has a connection of its own: what a script sets ends with it.
func withConnection(ctx context.Context, text, password string, use func(*pgconn.PgConn) error) error {
	config, err := pgconn.ParseConfig(text)
	if err != nil {
		return err
	}
	if config.Password == "" {
		config.Password = password
	}
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // nothing depends on how it ends
	}()
	return use(conn)
}

// ask is one statement of the administrator's. The caller holds mu.
func (s *Server) ask(ctx context.Context, statement string) error {
	if s.admin == nil {
		return errors.New("the server is closed")
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), makeWithin) // cut short, it would take the connection with it
	defer cancel()
	_, err := execute(ctx, s.admin, statement)
	if err != nil && s.admin.IsClosed() {
		if dead := s.died(); dead != nil {
			return dead
		}
	}
	return err
}

// died is Alive after a connection broke: the process may take a moment to be seen dead.
func (s *Server) died() error {
	const notice = time.Second
	for began := time.Now(); time.Since(began) < notice && s.existing == nil; time.Sleep(notice / 100) {
		if dead := s.Alive(); dead != nil {
			return dead
		}
	}
	return nil
}

func (s *Server) create(ctx context.Context, name, more string) error {
	s.made = append(s.made, name) // before: a creation that is cut short may still have happened
	err := s.ask(ctx, "CREATE DATABASE "+quoted(name)+more)
	if err == nil && s.Throwaway() {
		err = s.ask(ctx, "REVOKE CONNECT ON DATABASE "+quoted(name)+" FROM PUBLIC")
	}
	if err != nil {
		return fmt.Errorf("creating database %s: %w", name, err)
	}
	return nil
}

// Fresh makes a copy of the template.
func (t *Template) Fresh(ctx context.Context) (*Database, error) {
	s := t.server
	s.mu.Lock()
	defer s.mu.Unlock()
	began := time.Now()
	s.count++
	d := &Database{template: t, name: fmt.Sprintf("%s_%d", s.prefix, s.count)}
	more := " TEMPLATE " + quoted(t.name)
	if t.role != "" {
		more += " OWNER " + quoted(t.role)
	}
	if err := s.create(ctx, d.name, more); err != nil {
		return nil, err
	}
	s.times.Made++
	s.times.ToMake += time.Since(began)
	return d, nil
}

// Drop ends whatever is still connected, and the database.
func (d *Database) Drop(ctx context.Context) error {
	s := d.template.server
	s.mu.Lock()
	defer s.mu.Unlock()
	began := time.Now()
	if err := s.drop(ctx, d.name); err != nil {
		return err
	}
	s.times.Dropped++
	s.times.ToDrop += time.Since(began)
	return nil
}

func (s *Server) drop(ctx context.Context, name string) error {
	if err := s.ask(ctx, "DROP DATABASE IF EXISTS "+quoted(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("dropping database %s: %w", name, err)
	}
	s.made = slices.DeleteFunc(s.made, func(other string) bool { return other == name })
	return nil
}

// Ping says whether the server still answers.
func (s *Server) Ping(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ask(ctx, "SELECT 1"); err != nil {
		var ended *EndedError
		if errors.As(err, &ended) {
			return err
		}
		return fmt.Errorf("PostgreSQL does not answer any more: %w", err)
	}
	return nil
}

// Close drops what was made on an existing server, and ends a throwaway one with all it left behind. It has time of
// its own: it runs after a cancelled context too.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admin == nil && s.existing != nil {
		return nil
	}
	var problems []error
	ctx, cancel := context.WithTimeout(context.Background(), makeWithin)
	defer cancel()
	if s.existing != nil {
		problems = append(problems, s.dropAll(ctx))
	}
	if s.admin != nil {
		_ = s.admin.Close(ctx) // nothing depends on how it ends
		s.admin = nil
	}
	if s.existing == nil {
		problems = append(problems, s.throwaway.stop())
	}
	return errors.Join(problems...)
}

// dropAll drops what is left on an existing server, over a new connection where the old one was lost.
func (s *Server) dropAll(ctx context.Context) error {
	if s.admin.IsClosed() && len(s.made) > 0 {
		again, err := pgconn.Connect(ctx, s.existing.String())
		if err != nil {
			return fmt.Errorf("connecting to PostgreSQL to drop %s: %w", strings.Join(s.made, ", "), err)
		}
		s.admin = again
	}
	var problems []error
	for _, name := range slices.Clone(s.made) {
		if err := s.drop(ctx, name); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// Alive is nil while the throwaway server runs, and an *EndedError afterwards. Of another server it knows nothing.
func (s *Server) Alive() error {
	if s.existing != nil {
		return nil
	}
	return s.throwaway.alive()
}

// CPU is the time that a throwaway server has spent, in its processes alive and ended; 0 of another one.
func (s *Server) CPU() time.Duration {
	if s.existing != nil {
		return 0
	}
	return s.throwaway.cpu()
}
