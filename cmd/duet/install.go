package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/duet-bench/duet/internal/sandbox"
)

// profilers are the distribution's packages of what counts and profiles, by the finding that misses them. All are
// optional: a run without them says so.
var profilers = []struct{ subject, name string }{
	{"valgrind", "valgrind"},
	{"gperftools", "google-perftools"},
	{"gperftools", "libgoogle-perftools4"},
}

// install fetches the profilers that are missing, where this is a Debian or an Ubuntu and we may. What cannot be had is
// said, and is no error. Packages are kept in the user's cache folder, for a cache between jobs.
func install(ctx context.Context, w world, findings []finding) {
	var missing []string
	for _, p := range profilers {
		for _, f := range findings {
			if f.subject == p.subject && !f.ok {
				missing = append(missing, p.name)
			}
		}
	}
	if len(missing) == 0 {
		return
	}
	apt, err := aptGet()
	if err != nil {
		fmt.Fprintf(w.stderr, "not installed: %v\n", err)
		return
	}
	fmt.Fprintf(w.stderr, "installing %v\n", missing)
	arguments := append([]string{"install", "--yes", "--quiet", "--no-install-recommends"}, missing...)
	if err := apt(ctx, w, arguments...); err == nil {
		return
	}
	// Package lists are older than the packages: that is all that an update can mend.
	if err = apt(ctx, w, "update", "--quiet"); err == nil {
		err = apt(ctx, w, arguments...)
	}
	if err != nil {
		fmt.Fprintf(w.stderr, "not installed: %v\n", err)
	}
}

// aptGet is how apt-get is run here.
func aptGet() (func(ctx context.Context, w world, arguments ...string) error, error) {
	path, err := exec.LookPath("apt-get")
	if err != nil {
		return nil, fmt.Errorf("there is no apt-get here: install what is missing by hand")
	}
	rights := sandbox.Probe()
	command := []string{path}
	switch {
	case rights.Root:
	case rights.Sudo:
		command = []string{"sudo", "-n", "--preserve-env=DEBIAN_FRONTEND", path}
	default:
		return nil, fmt.Errorf("installing packages takes root or `sudo -n`: install what is missing by hand")
	}
	cache, err := os.UserCacheDir()
	if err == nil {
		cache = filepath.Join(cache, "duet", "apt")
		err = os.MkdirAll(filepath.Join(cache, "partial"), 0o755)
	}
	if err == nil {
		command = append(command, "-o", "Dir::Cache::Archives="+cache, "-o", "APT::Keep-Downloaded-Packages=true")
	}
	return func(ctx context.Context, w world, arguments ...string) error {
		c := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)], arguments...)...)
		c.Env = append(withoutSecrets(os.Environ()), "DEBIAN_FRONTEND=noninteractive")
		c.Stdout, c.Stderr = w.stderr, w.stderr
		if err := c.Run(); err != nil {
			return fmt.Errorf("apt-get %s: %w", arguments[0], err)
		}
		return nil
	}, nil
}
