package contract

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// postgres is a server of the test's own: on a socket in a folder of its own, with the contract's tables and rows in a
// template that every database is a copy of. Nothing it writes has to survive.
type postgres struct {
	bin, dir string
	made     int
}

const template = "contract"

// startPostgres runs a server until the test ends.
func startPostgres(t *testing.T) *postgres {
	t.Helper()
	bin := postgresBin(t)
	// Not t.TempDir, which another uid cannot enter and whose name is too long for a socket.
	dir, err := os.MkdirTemp("", "duet-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &postgres{bin: bin, dir: dir}
	if os.Geteuid() == 0 { // which PostgreSQL refuses to run as
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	initdb := p.command("initdb", "-D", filepath.Join(dir, "data"), "-U", "duet", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	p.run(t)
	p.sql(t, "postgres", "CREATE DATABASE "+template)
	for _, file := range []string{"schema.sql", "data.sql", "testdata/corners.sql"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p.sql(t, template, string(text))
	}
	return p
}

const nobody = 65534

func postgresBin(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // where Debian puts what is not on PATH
	if err != nil {
		t.Fatal(err)
	}
	if initdb, err := exec.LookPath("initdb"); err == nil && len(found) == 0 {
		found = append(found, initdb)
	}
	if len(found) == 0 {
		t.Fatal("PostgreSQL is not installed: the services' database routes cannot be tested without it: apt-get install -y postgresql")
	}
	return filepath.Dir(slices.Max(found))
}

// command is one of PostgreSQL's programs, as a uid that it runs as.
func (p *postgres) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(p.bin, name), args...)
	c.Dir = p.dir
	if os.Geteuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return c
}

// run starts the server, and ends it with the test: also where the test is killed, which closes the shell's input.
func (p *postgres) run(t *testing.T) {
	t.Helper()
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	server := p.command("postgres")
	server.Path = "/bin/sh"
	server.Args = []string{"sh", "-c", `"$@" </dev/null & cat; kill -INT $!; wait $!`, "sh", filepath.Join(p.bin, "postgres"),
		"-D", filepath.Join(p.dir, "data"), "-k", p.dir, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=60"}
	server.Stdout, server.Stderr = log, log
	alive, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		alive.Close()
		_ = server.Wait()
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		out, err := p.psql("postgres", "SELECT 1").CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("starting PostgreSQL: %v\n%s\n%s", err, out, text)
		}
	}
}

func (p *postgres) psql(database, script string) *exec.Cmd {
	c := exec.Command(filepath.Join(p.bin, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", p.dir, "-U", "duet", "-d", database)
	c.Stdin = strings.NewReader(script)
	return c
}

// sql runs a script and returns what it selects.
func (p *postgres) sql(t *testing.T, database, script string) string {
	t.Helper()
	c := p.psql(database, script)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%.60q in %s: %v\n%s", script, database, err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// database makes a fresh database.
func (p *postgres) database(t *testing.T) (name, url string) {
	t.Helper()
	p.made++
	name = fmt.Sprintf("d%d", p.made)
	p.sql(t, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+template)
	return name, "postgres://duet@/" + name + "?host=" + p.dir
}

// setting is a fresh database as a service is told of it.
func (p *postgres) setting(t *testing.T) string {
	t.Helper()
	_, url := p.database(t)
	return "DATABASE_URL=" + url
}

// block holds a lock on the users of a database, which every order waits for, until release is called.
func (p *postgres) block(t *testing.T, database string) (release func()) {
	t.Helper()
	c := p.psql(database, "")
	c.Stdin = nil
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE; SELECT 'held';")
	held := make([]byte, len("held\n"))
	if _, err := io.ReadFull(out, held); err != nil {
		t.Fatalf("locking %s: got %q, %v", database, held, err)
	}
	release = func() {
		in.Close()
		_ = c.Wait()
	}
	t.Cleanup(release)
	return release
}

// waitFor waits until a query answers as wanted.
func (p *postgres) waitFor(t *testing.T, query, want string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got := p.sql(t, "postgres", query)
		if got == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: got %s, want %s", query, got, want)
		}
	}
}
