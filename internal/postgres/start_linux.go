package postgres

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/duet-bench/duet/internal/sandbox"
)

// throwaway is the server that a run starts for itself.
type throwaway struct {
	box     *sandbox.Box
	process *sandbox.Process
	dir     string
	// connections is how many all services together may have.
	connections int
}

const (
	administrator = "duet"
	usualPort     = 5432
	// startWithin bounds initdb, and then the first connection; a second each is usual.
	startWithin = time.Minute
	// fastWithin is how long a fast shutdown may take before the server is told to drop everything, and quitWithin how long that.
	fastWithin = 10 * time.Second
	quitWithin = 2 * time.Second
	// portTries is how often another port is chosen when somebody takes it first.
	portTries = 3
	// maxSocketPath is what a Unix socket's path may have, in bytes (unix(7)).
	maxSocketPath = 107
)

// Start makes and starts a throwaway server. On error nothing of it is left.
func Start(ctx context.Context, o Options) (*Server, error) {
	began := time.Now()
	s, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("starting PostgreSQL %s: %w", o.Programs.Version, err)
	}
	s.times.Started = time.Since(began)
	return s, nil
}

func start(ctx context.Context, o Options) (s *Server, err error) {
	box, err := sandbox.New(sandbox.Options{Name: "postgres", Dir: o.Dir, Isolate: true})
	if err != nil {
		return nil, err
	}
	s = &Server{user: administrator, port: usualPort, tcp: o.TCP, throwaway: throwaway{box: box, dir: box.Dir()}}
	s.limit = max(o.Services, 1) * connectionsEach
	s.throwaway.connections = max(o.Templates, 1) * s.limit
	defer func() {
		if err != nil {
			err = errors.Join(err, s.throwaway.stop())
		}
	}()
	if os.Geteuid() == 0 && box.UID() < 0 {
		return s, ErrRoot
	}
	if n := len(s.throwaway.socketDir() + "/.s.PGSQL.65535"); n > maxSocketPath {
		return s, fmt.Errorf("the path of its socket in %s would have %d bytes, and may have %d: set TMPDIR to a shorter one", box.Dir(), n, maxSocketPath)
	}
	if s.password, err = secret(16); err != nil {
		return s, err
	}
	if err = s.throwaway.initdb(ctx, o.Programs, s.password); err != nil {
		return s, err
	}
	for tries := 1; ; tries++ {
		if err = s.run(ctx, o.Programs); err == nil {
			break
		}
		if !o.TCP || tries == portTries || !portTaken(s.throwaway.process) || ctx.Err() != nil {
			return s, err
		}
	}
	// Nobody has any business in the databases that every cluster has.
	for _, name := range []string{"postgres", "template1"} {
		if err = s.ask(ctx, "REVOKE CONNECT ON DATABASE "+quoted(name)+" FROM PUBLIC"); err != nil {
			return s, err
		}
	}
	return s, s.ready()
}

func (t throwaway) dataDir() string   { return filepath.Join(t.dir, "data") }
func (t throwaway) socketDir() string { return filepath.Join(t.dir, "s") }

// initdb makes the cluster. Its administrator's password comes in a file, which is gone afterwards.
func (t throwaway) initdb(ctx context.Context, programs Programs, password string) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	init, err := t.initAs()
	if err != nil {
		return err
	}
	// A folder of its own: the account it runs as must not own what the box's folder holds.
	passwordFile := filepath.Join(t.dir, "password")
	defer os.Remove(passwordFile)
	err = errors.Join(
		os.Mkdir(t.dataDir(), 0o700), os.WriteFile(passwordFile, []byte(password+"\n"), 0o600), os.Mkdir(t.socketDir(), 0o711),
		init.own(t.dataDir()), init.own(passwordFile), t.box.Own(t.socketDir()),
	)
	if err != nil {
		return fmt.Errorf("making its folders: %w", err)
	}
	argv := []string{filepath.Join(programs.Dir, "initdb"), "--pgdata", t.dataDir(), "--username", administrator, "--pwfile", passwordFile,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"}
	exit, tail, err := init.run(ctx, t.box, argv)
	if err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	if exit != "" {
		return fmt.Errorf("initdb: %s: %s", exit, strings.Join(tail, "; "))
	}
	return t.box.Own(t.dataDir())
}

// account is who runs initdb, which insists on a user that has a name (the server itself does not). A box's own uid has
// none, so for this second root lends the data folder to an account that has one.
type account struct{ uid, gid int } // -1: whoever the box is

func (t throwaway) initAs() (account, error) {
	if t.box.UID() < 0 {
		return account{-1, -1}, nil
	}
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return account{}, fmt.Errorf("looking for an account to run initdb: %w", err)
	}
	found := map[string]account{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(line, ":")
		if len(fields) < 4 {
			continue
		}
		uid, badUID := strconv.Atoi(fields[2])
		gid, badGID := strconv.Atoi(fields[3])
		if badUID == nil && badGID == nil && uid > 0 {
			found[fields[0]] = account{uid, gid}
		}
	}
	for _, name := range []string{"postgres", "nobody", "daemon"} {
		if a, ok := found[name]; ok {
			return a, nil
		}
	}
	return account{}, errors.New("initdb refuses root and users without a name, and /etc/passwd has no postgres, nobody or daemon to run it as")
}

func (a account) own(path string) error {
	if a.uid < 0 {
		return nil
	}
	return os.Lchown(path, a.uid, a.gid)
}

// run carries initdb out; exit is "" where it ended well.
func (a account) run(ctx context.Context, box *sandbox.Box, argv []string) (exit string, tail []string, err error) {
	if a.uid < 0 {
		ended, err := box.Run(ctx, sandbox.Command{Argv: argv})
		if err != nil || ended.OK() {
			return "", nil, err
		}
		return ended.String(), lastLines(ended.Tail), nil
	}
	var said bytes.Buffer
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Dir, command.Stdout, command.Stderr = "/", &said, &said
	command.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "TZ=UTC"}
	command.WaitDelay = quitWithin
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}, Setsid: true}
	command.Cancel = func() error { return unix.Kill(-command.Process.Pid, unix.SIGKILL) } // and what it started
	err = command.Run()
	var ended *exec.ExitError
	if ctx.Err() == nil && errors.As(err, &ended) {
		return ended.Error(), lastLines(strings.Split(strings.TrimSpace(sandbox.Sanitize(said.String())), "\n")), nil
	}
	return "", nil, err
}

func lastLines(lines []string) []string {
	const keep = 3
	return lines[max(0, len(lines)-keep):]
}

// run starts the server and waits for the first connection.
func (s *Server) run(ctx context.Context, programs Programs) error {
	t := &s.throwaway
	s.host = t.socketDir()
	listen := ""
	if s.tcp {
		var err error
		if s.port, err = freePort(ctx); err != nil {
			return err
		}
		listen = "127.0.0.1"
	}
	argv := []string{filepath.Join(programs.Dir, "postgres"), "-D", t.dataDir()}
	for _, setting := range settings(t.connections) {
		argv = append(argv, "-c", setting)
	}
	argv = append(argv, "-c", "listen_addresses="+listen, "-c", "port="+strconv.Itoa(int(s.port)), "-c", "unix_socket_directories="+t.socketDir())
	var err error
	t.process, err = t.box.Start(ctx, sandbox.Command{Argv: argv, Log: filepath.Join(t.box.Logs(), "postgres.log")})
	if err != nil {
		return err
	}
	if err := s.firstConnection(ctx); err != nil {
		return err
	}
	if s.tcp {
		s.host = listen
	}
	return nil
}

// settings are those that differ from the defaults. Nothing survives a crash, nothing has to; and what the server does of
// its own accord (vacuum, write back, checkpoint) would fall into some trials and not into others.
func settings(connections int) []string {
	const reserved = 8 // for Duet
	return []string{
		"fsync=off", "synchronous_commit=off", "full_page_writes=off",
		"wal_level=minimal", "max_wal_senders=0", "max_wal_size=4GB", "checkpoint_timeout=1d",
		"autovacuum=off", "bgwriter_lru_maxpages=0", "max_logical_replication_workers=0",
		"max_connections=" + strconv.Itoa(connections+reserved),
		"dynamic_shared_memory_type=mmap", // in the data folder, and gone with it
		"restart_after_crash=off",         // a server that lost a process ends, and the run says so
		"log_checkpoints=off", "log_timezone=UTC", "timezone=UTC",
		"external_pid_file=", "ssl=off",
	}
}

// firstConnection waits until the server takes one. It stays: the administrator's.
func (s *Server) firstConnection(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	config, err := pgconn.ParseConfig(fmt.Sprintf("host='%s' port=%d user=%s password=%s dbname=postgres sslmode=disable connect_timeout=5",
		escaped(s.throwaway.socketDir()), s.port, s.user, s.password))
	if err != nil {
		return err
	}
	const poll = 5 * time.Millisecond
	for {
		if s.admin, err = pgconn.ConnectConfig(ctx, config); err == nil {
			return nil
		}
		s.admin = nil
		if dead := s.throwaway.alive(); dead != nil {
			return dead
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it takes no connection after %s: %w", startWithin, err)
		case <-s.throwaway.process.Done():
			return s.throwaway.alive()
		case <-time.After(poll):
		}
	}
}

// escaped is a value within the quotes of a connection string.
func escaped(value string) string {
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value)
}

// freePort is below the range that the kernel gives to outgoing connections (32768 to 60999), as the services' are.
func freePort(ctx context.Context) (uint16, error) {
	const first, last, tries = 20000, 31999, 100
	for range tries {
		port := first + rand.IntN(last-first+1)
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			return uint16(port), l.Close()
		}
	}
	return 0, fmt.Errorf("choosing a port: %d tries from %d to %d found none free", tries, first, last)
}

// portTaken says whether somebody was quicker with the port.
func portTaken(p *sandbox.Process) bool {
	if p == nil {
		return false
	}
	for _, line := range p.Tail() {
		if strings.Contains(line, "Address already in use") {
			return true
		}
	}
	return false
}

func (t throwaway) alive() error {
	if t.process == nil {
		return nil
	}
	select {
	case <-t.process.Done():
		exit := t.process.Exit()
		return &EndedError{How: fmt.Sprintf("%s after %s", exit, exit.Wall.Round(time.Millisecond)), Tail: exit.Tail}
	default:
		return nil
	}
}

// stop ends the server the quickest way that leaves nothing, and harder ways after it, and removes all it made.
func (t *throwaway) stop() error {
	if t.process != nil {
		for _, way := range []struct {
			signal os.Signal
			within time.Duration
		}{{unix.SIGINT, fastWithin}, {unix.SIGQUIT, quitWithin}} { // "fast" and "immediate" of pg_ctl(1)
			if t.process.Signal(way.signal) != nil {
				break // it has ended
			}
			select {
			case <-t.process.Done():
			case <-time.After(way.within):
				continue
			}
			break
		}
	}
	err := t.box.KillAll(context.Background())
	Forget(t.dir)
	t.process = nil
	return errors.Join(err, t.box.Close(), sandbox.RemoveTree(t.dir))
}

// Forget removes what the kernel keeps of a server that was killed, with the folder it was started in still there: 56 bytes
// of shared memory. An orderly end removes them.
func Forget(dir string) {
	segment, owner := sharedMemory(throwaway{dir: dir}.dataDir())
	if segment < 0 {
		return
	}
	const tries, pause = 50, 10 * time.Millisecond // a server's last process takes a moment to see that the first is gone
	for range tries {
		var is unix.SysvShmDesc
		if _, err := unix.SysvShmCtl(segment, unix.IPC_STAT, &is); err != nil || is.Perm.Uid != owner {
			return // gone, or somebody else's by now
		}
		if is.Nattch == 0 {
			_, _ = unix.SysvShmCtl(segment, unix.IPC_RMID, nil)
			return
		}
		time.Sleep(pause)
	}
}

// sharedMemory is the System V segment by which a server knows that its data folder is in use, and whose it is; -1: none.
func sharedMemory(data string) (segment int, owner uint32) {
	name := filepath.Join(data, "postmaster.pid")
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0) // a pipe in its place does not hang
	if err != nil {
		return -1, 0
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	var at unix.Stat_t
	if err := unix.Fstat(fd, &at); err != nil || at.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, 0
	}
	const seventh = 7 // "key id"
	lines := bufio.NewScanner(file)
	for number := 1; lines.Scan(); number++ {
		var key, id int
		if number == seventh {
			if _, err := fmt.Sscan(lines.Text(), &key, &id); err == nil {
				return id, at.Uid
			}
		}
	}
	return -1, 0
}

// cpu is that of the first process and its children: those alive by their CPU clocks, and those it waited for.
func (t throwaway) cpu() time.Duration {
	if t.process == nil {
		return 0
	}
	pid := t.process.Pid()
	id := strconv.Itoa(pid)
	sum, _ := sandbox.CPUClock(pid) // one that has ended has none
	sum += sandbox.WaitedFor(pid)
	text, err := os.ReadFile("/proc/" + id + "/task/" + id + "/children")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return sum
	}
	for _, field := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			spent, _ := sandbox.CPUClock(child)
			sum += spent
		}
	}
	return sum
}
