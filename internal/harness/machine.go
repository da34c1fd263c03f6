package harness

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/duet-bench/duet/internal/result"
)

// Machine describes where this is. What cannot be read stays empty.
func Machine() result.Machine {
	m := result.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(), Toolchains: map[string]string{}}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(release))
	}
	m.CPU = procField("/proc/cpuinfo", "model name")
	if m.CPU == "" { // arm64 names no model
		m.CPU = strings.Trim("implementer "+procField("/proc/cpuinfo", "CPU implementer")+" part "+procField("/proc/cpuinfo", "CPU part"), " ")
	}
	if kib, _, ok := strings.Cut(procField("/proc/meminfo", "MemTotal"), " "); ok {
		n, _ := strconv.ParseInt(kib, 10, 64)
		m.Memory = n * 1024
	}
	return m
}

// procField is the first value of "name : value" in a file of /proc.
func procField(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, ok := strings.Cut(lines.Text(), ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
