// Command probe is a service that tries to get out of where it runs, and ends where it can. Called as
// `probe ADDRESS FILE` it is the canary that it tries to reach.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"rsc.io/quote"
)

func main() {
	if len(os.Args) > 2 {
		canary(os.Args[1], os.Args[2])
	}
	if out := escapes(); len(out) > 0 {
		fmt.Fprintln(os.Stderr, "got out:", out)
		os.Exit(1)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"ok":true,"word":%q}`, quote.Go()) // of a module that had to be downloaded
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Getenv("ADDR"), nil))
	os.Exit(2)
}

// canary listens at address and notes each caller in a file.
func canary(address, file string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			panic(err)
		}
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(f, conn.RemoteAddr())
		f.Close()
		conn.Close()
	}
}

func escapes() []string {
	var out []string
	for _, address := range []string{os.Getenv("CANARY"), "192.0.2.1:80"} {
		if conn, err := net.DialTimeout("tcp", address, 200*time.Millisecond); err == nil {
			conn.Close()
			out = append(out, "reached "+address)
		}
	}
	if conn, err := net.Dial("udp", "192.0.2.1:53"); err == nil { // sends nothing: it asks for a route
		conn.Close()
		out = append(out, "has a route")
	}
	for _, path := range []string{"/x", "/etc/x", "/usr/local/bin/x", "/duet/x", "/duet/job/x", "/repo/x", "/root/x"} {
		if os.WriteFile(path, nil, 0o600) == nil {
			out = append(out, "wrote "+path)
		}
	}
	for _, path := range []string{"/duet/job/order.json", "/duet/fetched", "/proc/1/environ", "/proc/1/mem", "/etc/shadow", "/var/run/docker.sock"} {
		if f, err := os.Open(path); err == nil {
			f.Close()
			out = append(out, "read "+path)
		}
	}
	return out
}
