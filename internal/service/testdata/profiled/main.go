// Command profiled is a service that does what a profiler should see, or what is in its way.
package main

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	cpuprofile "runtime/pprof"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		modes[os.Args[1]]()
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/burn", func(_ http.ResponseWriter, r *http.Request) { burn(number(r)) })
	mux.HandleFunc("/allocate", func(_ http.ResponseWriter, r *http.Request) { allocate(number(r)) })
	mux.HandleFunc("/keep", func(_ http.ResponseWriter, r *http.Request) { keep(number(r)) })
	mux.HandleFunc("/contend", func(http.ResponseWriter, *http.Request) { contend() })
	mux.HandleFunc("/collect", func(http.ResponseWriter, *http.Request) { runtime.GC() })
	mux.HandleFunc("/stop-profile", func(http.ResponseWriter, *http.Request) { cpuprofile.StopCPUProfile() })
	mux.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) { syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	mux.HandleFunc("/pprof/profile", pprof.Profile)
	mux.HandleFunc("/pprof/", func(w http.ResponseWriter, r *http.Request) {
		pprof.Handler(filepath.Base(r.URL.Path)).ServeHTTP(w, r)
	})
	if err := http.ListenAndServe(os.Getenv("ADDR"), mux); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

var modes = map[string]func(){
	"own-profile": func() { cpuprofile.StartCPUProfile(&sink{}) },
	"own-rate":    func() { runtime.MemProfileRate = 4096 },
	// parent leaves serving to a child.
	"parent": func() {
		child := exec.Command(os.Args[0])
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Run(); err != nil {
			fmt.Println(err)
		}
		os.Exit(1)
	},
	"again":    func() { replace(os.Args[0], os.Environ()) },
	"shell":    func() { replace(os.Args[2], os.Environ(), os.Args[3:]...) },
	"forgets":  func() { replace(os.Args[0], []string{"ADDR=" + os.Getenv("ADDR")}) },
	"removes":  func() { os.Remove(socket()) },
	"stranger": func() { os.Remove(socket()); os.Symlink(os.Args[2], socket()) },
}

func socket() string { return os.Getenv("DUET_AGENT") + "." + strconv.Itoa(os.Getpid()) }

func replace(program string, env []string, args ...string) {
	fmt.Println(syscall.Exec(program, append([]string{program}, args...), env))
	os.Exit(1)
}

type sink struct{}

func (*sink) Write(p []byte) (int, error) { return len(p), nil }

func number(r *http.Request) int {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	return n
}

// burn spends n milliseconds of CPU time.
//
//go:noinline
func burn(n int) {
	for begun := spent(); spent()-begun < time.Duration(n)*time.Millisecond; {
		for i := 0; i < 100_000; i++ {
			spun += i
		}
	}
}

var spun int

func spent() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type thing struct {
	next *thing
	rest [40]byte
}

var last *thing

// allocate makes n things of 48 bytes.
//
//go:noinline
func allocate(n int) {
	for range n {
		last = &thing{}
	}
}

var (
	mu   sync.Mutex
	kept []*[1 << 16]byte
)

// keep makes n blocks of 64 KiB and keeps them.
//
//go:noinline
func keep(n int) {
	mu.Lock()
	defer mu.Unlock()
	for range n {
		kept = append(kept, new([1 << 16]byte))
	}
}

// contend makes one goroutine wait for a channel, and some for a mutex.
//
//go:noinline
func contend() {
	wait := make(chan bool)
	go func() {
		time.Sleep(2 * time.Millisecond)
		close(wait)
	}()
	<-wait
	var all sync.WaitGroup
	for range 200 {
		all.Add(1)
		go func() {
			defer all.Done()
			mu.Lock()
			time.Sleep(10 * time.Microsecond)
			mu.Unlock()
		}()
	}
	all.Wait()
}
