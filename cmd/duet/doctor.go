package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duet-bench/duet/internal/build"
	"github.com/duet-bench/duet/internal/container"
	"github.com/duet-bench/duet/internal/harness"
	"github.com/duet-bench/duet/internal/postgres"
	"github.com/duet-bench/duet/internal/report"
	"github.com/duet-bench/duet/internal/sandbox"
	"github.com/duet-bench/duet/internal/service"
)

func doctorCommand(w world) *cobra.Command {
	var n noiseFlags
	var d duty
	installs := false
	c := &cobra.Command{
		Use:   "doctor",
		Short: "What this machine can do: toolchains, cores, isolation, profilers; what is missing and how to get it",
		Long: `Say what this machine has for measuring, what it lacks and how to get it. Nothing is changed, unless --install is given:
then the profilers that are missing (valgrind, gperftools) are installed from the distribution's packages.

With --noise, measure two identical copies of a small built-in service against each other instead, say how quiet this
machine is and print the measure block for duet.yml that fits it. Run it with nothing else going on, about as a real
run would be.`,
		Example: "  duet doctor\n  duet doctor --noise\n  duet doctor --noise --json",
		RunE: func(c *cobra.Command, _ []string) error {
			if n.wanted {
				return n.run(c.Context(), w)
			}
			if err := n.alone(c); err != nil {
				return err
			}
			findings := append(examine(build.Toolchains(c.Context(), os.Environ())), containers(c.Context()))
			if installs {
				step := stepMeasure
				switch d.mode {
				case modeFetch: // whose job keeps the packages, too
					step = stepFetch
				case modeNightly:
					step = stepNight
				}
				if _, idle, err := d.begins(w, step); idle || err != nil {
					return err
				}
				install(c.Context(), w, findings)
				findings = append(examine(build.Toolchains(c.Context(), os.Environ())), containers(c.Context()))
			}
			if err := printFindings(w, findings); err != nil {
				return err
			}
			for _, f := range findings {
				if f.required && !f.ok {
					return notMeasured{"this machine cannot measure: " + f.subject + ": " + f.cure}
				}
			}
			return nil
		},
	}
	n.flags(c)
	d.flags(c)
	c.Flags().BoolVar(&installs, "install", false, "install the profilers that are missing, from the distribution's packages")
	c.AddCommand(noiseServiceCommand(w))
	return c
}

// finding is one thing a machine has or lacks.
type finding struct {
	subject  string
	ok       bool
	required bool   // nothing can be measured without it
	found    string // what is there
	cure     string // how to get what is not
}

// examine looks at this machine and changes nothing.
func examine(toolchains map[string]string) []finding {
	m := harness.Machine()
	supported := harness.Supported()
	all := []finding{
		{subject: "system", ok: supported, required: true, found: m.OS + "/" + m.Arch + " " + m.Kernel, cure: "measuring needs Linux on amd64 or arm64; plan, compare and init work here"},
		{subject: "cores", ok: m.Cores >= 2, found: fmt.Sprintf("%d × %s", m.Cores, m.CPU), cure: "with two cores or more the services and the load generator do not share one"},
		tool("git", true, "install git", "--version"),
		toolchain(toolchains, "go", "install Go from go.dev/dl, or use actions/setup-go"),
		toolchain(toolchains, "cargo", "install Rust with rustup from rustup.rs"),
		toolchain(toolchains, "rustc", "install Rust with rustup from rustup.rs"),
	}
	probe := sandbox.Probe()
	all = append(all,
		finding{subject: "isolation: own uid", ok: probe.Root || probe.Sudo, found: rights(probe), cure: "run as root, or as a user that may `sudo -n`: builds and services then get a uid of their own"},
		finding{subject: "network namespaces", ok: probe.Namespaces || probe.Sudo, found: "services on one fixed port run together", cure: "run as root, or as a user that may `sudo -n`: until then services on one fixed port take turns"},
		database(),
		hardwareCounters(),
		valgrind(),
		gperftools(),
		perf(),
	)
	if runtime.GOOS != "linux" {
		return all[:6]
	}
	return all
}

// containers says whether there is an engine for isolation: container, which works on any system.
func containers(ctx context.Context) finding {
	f := finding{subject: "isolation: container"}
	engine, err := container.Find(ctx)
	if err != nil {
		f.cure = sandbox.Sanitize(err.Error())
		return f
	}
	f.ok, f.found = true, fmt.Sprintf("a docker engine with %d cores answers", engine.CPUs)
	return f
}

func rights(a sandbox.Abilities) string {
	switch {
	case a.Root:
		return "root"
	case a.Sudo:
		return "sudo -n"
	}
	return ""
}

func tool(name string, required bool, cure, flag string) finding {
	f := finding{subject: name, required: required, cure: cure}
	path, err := exec.LookPath(name)
	if err != nil {
		return f
	}
	text, err := exec.Command(path, flag).Output()
	if err != nil {
		return f
	}
	f.ok = true
	f.found, _, _ = strings.Cut(strings.TrimSpace(string(text)), "\n")
	return f
}

// hardwareCounters says what a count of this very moment said: whether there are any can only be tried.
func hardwareCounters() finding {
	probe := service.ProbeCounters()
	f := finding{subject: "hardware counters", ok: probe.Works, found: "instructions:u and cycles:u, tried", cure: probe.Why}
	if probe.Cure != "" {
		f.cure += ": " + probe.Cure
	}
	return f
}

// valgrind counts where the machine does not, and names functions and lines everywhere. vgdb, which tells it when to
// count, is a program of the same package.
func valgrind() finding {
	const use = "instructions, functions and lines"
	f := tool("valgrind", false, use+"; apt-get install valgrind", "--version")
	if !f.ok {
		return f
	}
	if _, err := exec.LookPath("vgdb"); err != nil {
		return finding{subject: f.subject, cure: use + "; " + f.found + " is here, but vgdb is not on PATH: apt-get install --reinstall valgrind"}
	}
	f.found += " and vgdb: " + use
	return f
}

// database says which server `resources: {postgres: …}` would start.
func database() finding {
	f := finding{subject: "postgres", cure: "for resources: {postgres: …}; " + postgres.Cure + ", or an existing server by url_env"}
	found, err := postgres.Find(os.Getenv("PATH"))
	var missing *postgres.MissingError
	switch {
	case err == nil:
		f.ok, f.found = true, found.Version+" in "+found.Dir+": started for resources: {postgres: …}"
	case errors.As(err, &missing) && len(missing.TooOld) > 0:
		f.cure = err.Error()
	}
	return f
}

func toolchain(found map[string]string, name, cure string) finding {
	version, ok := found[name]
	return finding{subject: name, ok: ok, found: version, cure: cure}
}

// gperftools profiles programs that know nothing of profilers, such as those in Rust.
func gperftools() finding {
	const use = "CPU and allocations of Rust services by stack"
	f := finding{subject: "gperftools", ok: true, found: use}
	for _, want := range []service.Want{service.WantCPU, service.WantAllocations} {
		if _, err := service.FindGperftools(want); err != nil {
			return finding{subject: f.subject, cure: use + "; " + err.Error()}
		}
	}
	return f
}

// perf does the same for programs that load no libraries. Whether the kernel lets it can only be tried.
func perf() finding {
	const use = "CPU of static binaries by stack"
	f := tool("perf", false, "", "--version")
	if _, err := service.FindPerf(); err != nil {
		return finding{subject: "perf", cure: use + "; " + err.Error()}
	}
	f.found += ", tried: " + use
	return f
}

func printFindings(w world, findings []finding) error {
	var rows [][]string
	for _, f := range findings {
		mark, says := "ok", f.found
		if !f.ok {
			mark, says = "missing", f.cure
		}
		rows = append(rows, []string{mark, f.subject, says})
	}
	_, err := fmt.Fprintln(w.stdout, strings.Join(report.Grid([]string{"", "what", "found, or how to get it"}, rows), "\n"))
	return err
}
