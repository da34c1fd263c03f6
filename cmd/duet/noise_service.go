package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/spf13/cobra"
)

// noiseServiceName is the hidden subcommand of `duet doctor` that Duet starts itself as.
const noiseServiceName = "noise-service"

// noiseServiceCommand is the service that `duet doctor --noise` measures two copies of. It serves on a loopback port
// that it prints, until its standard input ends, which it does with Duet, however Duet ends.
func noiseServiceCommand(w world) *cobra.Command {
	return &cobra.Command{
		Use:    noiseServiceName,
		Short:  "Serve the small service that `duet doctor --noise` measures",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return fmt.Errorf("starting the built-in service: %w", err)
			}
			defer l.Close()
			if _, err := fmt.Fprintln(w.stdout, l.Addr()); err != nil {
				return err
			}
			server := &http.Server{Handler: http.HandlerFunc(answerNoise)}
			go func() {
				io.Copy(io.Discard, w.stdin)
				server.Close()
			}()
			if err := server.Serve(l); err != http.ErrServerClosed {
				return fmt.Errorf("serving the built-in service: %w", err)
			}
			return nil
		},
	}
}

// What one answer costs: some 50 µs of computing and garbage for the collector, as a small route of a real service.
const (
	noiseBlock  = 8 << 10 // bytes
	noiseHashes = 4
)

// answerNoise does the same work for every request.
func answerNoise(w http.ResponseWriter, _ *http.Request) {
	block := make([]byte, noiseBlock)
	for i := range block {
		block[i] = byte(i)
	}
	for range noiseHashes {
		sum := sha256.Sum256(block)
		copy(block, sum[:])
	}
	io.WriteString(w, hex.EncodeToString(block[:sha256.Size]))
}
