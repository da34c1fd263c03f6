package plan

import (
	"slices"

	"github.com/duet-bench/duet/internal/strictyaml"
	"github.com/duet-bench/duet/internal/workload"
)

// Resources is what services need beside them. Each trial of a variant gets them anew.
type Resources struct {
	Postgres *Postgres `json:"postgres,omitempty"`
}

// Postgres is the database that every service of a side is handed.
type Postgres struct {
	// Schema and Data are SQL files of the side's own tree, relative to the repository. Without any the database is empty.
	Schema string `json:"schema,omitempty"`
	Data   string `json:"data,omitempty"`
	// URLEnv names the variable of the caller that holds the URL of an existing server; empty: a throwaway one. It is
	// base's for both sides, and never anything for a fork's code.
	URLEnv  string  `json:"url_env,omitempty"`
	Connect Connect `json:"connect,omitempty"` // how services reach a throwaway server; head's for both sides
}

// Connect is how a service reaches its database.
type Connect string

// A Unix socket is quicker, and reaches into every network namespace.
const (
	ConnectSocket Connect = "socket" // default
	ConnectTCP    Connect = "tcp"    // for services that cannot take a folder for a host
)

// DatabaseVariables are what a service is handed for its database: nothing else may set them.
func DatabaseVariables() []string {
	return []string{"DATABASE_URL", "PGDATABASE", "PGHOST", "PGPASSWORD", "PGPORT", "PGUSER"}
}

func (c *Config) readResources(n strictyaml.Node) error {
	return n.Map(strictyaml.Field{Key: "postgres", Read: c.readPostgres})
}

func (c *Config) readPostgres(n strictyaml.Node) error {
	p := Postgres{Connect: ConnectSocket}
	chosen := false
	err := n.Map(
		strictyaml.Field{Key: "schema", Read: strictyaml.Text(&p.Schema, isLocal)},
		strictyaml.Field{Key: "data", Read: strictyaml.Text(&p.Data, isLocal)},
		strictyaml.Field{Key: "url_env", Read: strictyaml.Text(&p.URLEnv, isPassable)},
		strictyaml.Field{Key: "connect", Read: func(n strictyaml.Node) error {
			chosen = true
			return strictyaml.Choice(&p.Connect, ConnectSocket, ConnectTCP)(n)
		}},
	)
	if err == nil && chosen && p.URLEnv != "" {
		err = n.Errorf("postgres: connect is for the server that Duet starts: the URL in url_env says how to reach another one")
	}
	c.Resources.Postgres, c.databaseAt = &p, n.Errorf
	return err
}

// checkDatabaseVariables refuses a service that sets what its database's place is handed over in.
func (c Config) checkDatabaseVariables() error {
	if c.Resources.Postgres == nil {
		return nil
	}
	for _, s := range c.Services {
		for _, name := range DatabaseVariables() {
			if _, set := s.Env[name]; set || slices.Contains(s.PassEnv, name) {
				return c.databaseAt("postgres: it sets %s for every service: expected it neither in env nor in pass_env of %s", name, s.Name)
			}
		}
	}
	return nil
}

// resources gives each side what its own configuration asks for. Which server it is, is decided once for both: a pull
// request must not choose where somebody's credentials go.
func (l *loader) resources() {
	sides := map[Side]*Config{Head: l.HeadConfig}
	if l.Base != nil {
		sides[Base] = l.judge
	}
	for side, config := range sides {
		asked := config.Resources.Postgres
		if asked == nil {
			continue
		}
		given := *asked
		given.URLEnv, given.Connect = l.urlEnv(), l.connect()
		if l.plan.Resources == nil {
			l.plan.Resources = map[Side]Resources{}
		}
		l.plan.Resources[side] = Resources{Postgres: &given}
	}
	if head := l.HeadConfig.Resources.Postgres; head != nil && head.URLEnv != l.urlEnv() {
		l.warnf("resources.postgres.url_env is %q at head, but %q is used: base's counts, and a fork's code gets a throwaway server", head.URLEnv, l.urlEnv())
	}
}

func (l *loader) urlEnv() string {
	if l.Fork || l.judge.Resources.Postgres == nil {
		return ""
	}
	return l.judge.Resources.Postgres.URLEnv
}

func (l *loader) connect() Connect {
	for _, config := range []*Config{l.HeadConfig, l.judge} {
		if p := config.Resources.Postgres; p != nil {
			return p.Connect
		}
	}
	return ConnectSocket
}

// Database is how a run's database is to be had; ok is false where no side asks for one.
func (p Plan) Database() (how Postgres, ok bool) {
	for _, side := range []Side{Head, Base} {
		if asked := p.Resources[side].Postgres; asked != nil {
			return *asked, true
		}
	}
	return Postgres{}, false
}

// checkNeeds refuses a workload that needs what head's configuration does not provide.
func (l *loader) checkNeeds(w workload.Workload) error {
	if w.Needs == workload.NeedsPostgres && l.HeadConfig.Resources.Postgres == nil {
		return Usagef("resources: {postgres: {schema: db/schema.sql, data: db/data.sql}} starts a throwaway server for the run",
			"workload %s needs postgres, and duet.yml has no resources.postgres", w.Name)
	}
	return nil
}

func resourcesSchema() object {
	postgres := closed(object{
		"schema":  about(localSchema(), "SQL file that makes the tables, relative to the repository; each side's own."),
		"data":    about(localSchema(), "SQL file that fills them; each side's own."),
		"url_env": about(object{"type": "string", "pattern": envName.String(), "not": object{"pattern": notPassable}}, "Name of the variable that holds the URL of an existing server. Base's counts, and never for forks. Default: a throwaway server."),
		"connect": about(object{"enum": []Connect{ConnectSocket, ConnectTCP}}, "How services reach the throwaway server. Default socket."),
	})
	postgres["not"] = object{"required": []string{"url_env", "connect"}}
	return closed(object{
		"postgres": about(postgres, "A fresh PostgreSQL database for each variant and trial, handed over as DATABASE_URL and PG*."),
	})
}
