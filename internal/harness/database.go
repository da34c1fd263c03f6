package harness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/postgres"
	"github.com/duet-bench/duet/internal/workload"
)

// database is the PostgreSQL of a run: one server, a template a side, a fresh copy for every process of a service.
type database struct {
	scripts   map[plan.Side][]postgres.Script // read before any of their code runs
	broken    map[plan.Side]error             // scripts that could not be read
	url       string                          // of an existing server; empty: a throwaway one
	programs  postgres.Programs               // of a throwaway one
	opened    bool
	server    *postgres.Server // nil: there is none
	templates map[plan.Side]*postgres.Template
	spent     time.Duration // CPU of the server when it was last asked

	mu    sync.Mutex // two processes at once are counted
	given map[plan.Variant]*postgres.Database
}

// maxScript bounds one SQL file, in bytes: it is held in memory.
const maxScript = 256 << 20

// findDatabase reads both sides' scripts and finds out whether there can be a database at all, before anything is built.
// Workloads that cannot do without are stopped where there cannot.
func (s *session) findDatabase(ctx context.Context) error {
	how, wanted := s.run.Plan.Database()
	if !wanted {
		return nil
	}
	s.database.scripts, s.database.broken = map[plan.Side][]postgres.Script{}, map[plan.Side]error{}
	for _, side := range s.sides() {
		if asked := s.run.Plan.Resources[side].Postgres; asked != nil {
			if err := s.readScripts(ctx, side, *asked); err != nil {
				return err
			}
		}
	}
	var err error
	if how.URLEnv == "" {
		s.database.programs, err = postgres.Find(os.Getenv("PATH"))
	} else {
		s.database.url, err = s.existingServer(how.URLEnv)
	}
	if err != nil {
		s.database = database{}
		return s.noDatabase(err)
	}
	return nil
}

func (s *session) readScripts(ctx context.Context, side plan.Side, asked plan.Postgres) error {
	scripts := []postgres.Script{} // none is not the same as no database
	for _, file := range []struct{ key, name string }{{"schema", asked.Schema}, {"data", asked.Data}} {
		if file.name == "" {
			continue
		}
		text, err := s.o.Source.ReadFile(ctx, side, file.name, maxScript)
		var usage *plan.UsageError
		switch {
		case errors.Is(err, fs.ErrNotExist):
			s.database.broken[side] = fmt.Errorf("resources.postgres.%s: %s has no %s", file.key, side, file.name)
			return nil
		case errors.As(err, &usage):
			s.database.broken[side] = fmt.Errorf("resources.postgres.%s: %w", file.key, err)
			return nil
		case err != nil:
			return err
		}
		scripts = append(scripts, postgres.Script{Name: file.name, Text: text})
	}
	s.database.scripts[side] = scripts
	return nil
}

func (s *session) existingServer(variable string) (address string, err error) {
	if s.o.PassEnv != nil {
		address, _ = s.o.PassEnv(variable)
	}
	if address == "" {
		return "", fmt.Errorf("%s is not set: resources.postgres.url_env says that it holds the URL of a PostgreSQL server", variable)
	}
	return address, nil
}

// noDatabase stops the workloads that cannot be measured without a database. Where none is left, that is the run's error.
func (s *session) noDatabase(why error) error {
	var stopped []string
	for _, w := range s.run.Plan.Workloads {
		if w.Needs == workload.NeedsPostgres {
			s.stopWorkload(w.Name, why.Error())
			stopped = append(stopped, w.Name)
		}
	}
	if len(stopped) == len(s.run.Plan.Workloads) {
		return fmt.Errorf("no workload can be measured: %w", why)
	}
	text := "services are started without a database"
	if len(stopped) > 0 {
		text = strings.Join(stopped, ", ") + " cannot be measured, and " + text
	}
	s.warnf("%s: %v", text, why)
	s.o.Progress.Note("%s: %v", text, why)
	return nil
}

// stopWorkload gives a workload up for everybody.
func (s *session) stopWorkload(name, why string) {
	s.progress.Stopped[name] = why
	if s.run.Stopped == nil {
		s.run.Stopped = map[string]string{}
	}
	s.run.Stopped[name] = why
}

// stopped says whether a workload was given up.
func (s *session) stopped(name string) bool {
	_, stopped := s.progress.Stopped[name]
	return stopped
}

// databaseByTCP says whether services reach their database over Duet's own network: from within a namespace they cannot.
func (s *session) databaseByTCP() bool {
	how, wanted := s.run.Plan.Database()
	if s.database.url != "" {
		return postgres.ReachedByTCP(s.database.url)
	}
	return wanted && how.Connect == plan.ConnectTCP
}

// openDatabase starts or connects to the server and loads each side's template, once, when the builds are done. It says
// whether it did: what is to be done next may be another thing then.
func (s *session) openDatabase(ctx context.Context) (did bool, err error) {
	if s.database.opened || s.database.scripts == nil {
		return false, nil
	}
	s.database.opened = true
	if err := s.leave(ctx); err != nil { // what the builds left running ends first
		return false, err
	}
	s.o.Progress.Begin("database")
	s.o.Progress.Update("PostgreSQL")
	s.clock.begin("database")
	defer s.clock.end()
	if err := s.startServer(ctx); err != nil {
		if ctx.Err() != nil {
			return false, err
		}
		return true, s.noDatabase(err) // too late for s.inputs: what differs in its scripts alone is measured
	}
	s.database.templates, s.database.given = map[plan.Side]*postgres.Template{}, map[plan.Variant]*postgres.Database{}
	for _, side := range s.sides() {
		if s.run.Plan.Resources[side].Postgres == nil {
			continue
		}
		if err := s.loadTemplate(ctx, side); err != nil {
			return false, err
		}
	}
	s.o.Progress.Note("%s: ready in %.1f s, a template loaded in %.1f s", s.run.Machine.Toolchains["postgres"],
		s.database.server.Times().Started.Seconds(), s.database.server.Times().LoadedLast.Seconds())
	return true, nil
}

func (s *session) startServer(ctx context.Context) (err error) {
	d := &s.database
	if d.url != "" {
		d.server, err = postgres.Connect(ctx, d.url)
	} else {
		d.server, err = postgres.Start(ctx, postgres.Options{
			Programs: d.programs, Dir: filepath.Join(s.work, databaseFolder), Services: len(s.run.Plan.ServiceNames()), Templates: len(s.sides()), TCP: s.databaseByTCP(),
		})
	}
	if err != nil {
		return err
	}
	what := "PostgreSQL " + d.server.Version + " (an existing server)"
	if d.server.Throwaway() {
		what = "PostgreSQL " + d.server.Version + " (" + postgres.Settings + ")"
	}
	s.run.Machine.Toolchains["postgres"] = what
	return nil
}

// loadTemplate makes one side's template. Scripts that are wrong are that side's failure.
func (s *session) loadTemplate(ctx context.Context, side plan.Side) error {
	template, err := (*postgres.Template)(nil), s.database.broken[side]
	if err == nil {
		template, err = s.database.server.Load(ctx, string(side), s.database.scripts[side]...)
	}
	var wrong *postgres.ScriptError
	switch {
	case err == nil:
		s.database.templates[side] = template
		return nil
	case ctx.Err() != nil:
		return err
	case s.database.broken[side] == nil && !errors.As(err, &wrong):
		return fmt.Errorf("loading the database of %s: %w", side, err)
	}
	for _, v := range s.variants() {
		if v.Side == side && !s.progress.Failed[v] {
			s.fail(v, stepStarting, fmt.Errorf("loading its database: %w", err), nil)
		}
	}
	return nil
}

// giveDatabase makes a fresh database for a process of v and says where it is. Nothing, where v has none.
func (s *session) giveDatabase(ctx context.Context, v plan.Variant) (env map[string]string, err error) {
	template := s.database.templates[v.Side]
	if template == nil {
		return nil, nil
	}
	fresh, err := template.Fresh(ctx)
	if err != nil {
		return nil, fmt.Errorf("a database for %s: %w", v, err)
	}
	s.database.mu.Lock()
	s.database.given[v] = fresh
	s.database.mu.Unlock()
	return fresh.Env(), nil
}

// takeDatabase drops what the ended process of v had.
func (s *session) takeDatabase(v plan.Variant) error {
	s.database.mu.Lock()
	given := s.database.given[v]
	delete(s.database.given, v)
	s.database.mu.Unlock()
	if given == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if err := given.Drop(ctx); err != nil {
		return fmt.Errorf("the database of %s: %w", v, err)
	}
	return nil
}

// databaseEnded is an error once the server is gone although nobody stopped it: whatever a service did since is not its doing.
func (s *session) databaseEnded() error {
	if s.database.server == nil {
		return nil
	}
	return s.database.server.Alive()
}

// databaseSpent is the CPU that the server had since it was last asked.
func (s *session) databaseSpent() time.Duration {
	if s.database.server == nil {
		return 0
	}
	now := s.database.server.CPU()
	had := now - s.database.spent
	s.database.spent = now
	return max(had, 0)
}

func (s *session) closeDatabase() error {
	if s.database.server == nil {
		return nil
	}
	if times := s.database.server.Times(); times.Made > 0 {
		s.o.Progress.Note("PostgreSQL: %s", times)
	}
	return s.database.server.Close()
}

// inputs are a build's inputs and those that the variant's database is made from.
func (s *session) inputs(v plan.Variant, build string) string {
	scripts, has := s.database.scripts[v.Side]
	if build == "" || !has {
		return build
	}
	h := sha256.New()
	fmt.Fprintf(h, "duet.inputs/1 postgres %s", build)
	for _, script := range scripts {
		fmt.Fprintf(h, " %d:", len(script.Text))
		h.Write(script.Text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// redact takes an existing server's password out of whatever their services printed or answered: a report is for everybody.
func (s *session) redact() {
	const least = 4 // bytes: a shorter one would also be found where it is not meant
	if s.database.server == nil || len(s.database.server.Secret()) < least {
		return
	}
	spellings := []string{s.database.server.Secret(), "***"}
	if escaped := url.QueryEscape(spellings[0]); escaped != spellings[0] {
		spellings = append(spellings, escaped, "***", url.PathEscape(spellings[0]), "***")
	}
	hide := strings.NewReplacer(spellings...).Replace
	all := func(lines []string) {
		for i := range lines {
			lines[i] = hide(lines[i])
		}
	}
	for i := range s.run.Failures {
		s.run.Failures[i].Error = hide(s.run.Failures[i].Error)
		all(s.run.Failures[i].LogTail)
	}
	for i := range s.run.Trials {
		s.run.Trials[i].Invalid = hide(s.run.Trials[i].Invalid)
	}
	for i := range s.run.Costs {
		s.run.Costs[i].Invalid = hide(s.run.Costs[i].Invalid)
	}
	if s.run.Parity != nil {
		for i := range s.run.Parity.Differences {
			all(s.run.Parity.Differences[i].Diff)
		}
	}
	all(s.run.Warnings)
	s.run.Error = hide(s.run.Error)
}
