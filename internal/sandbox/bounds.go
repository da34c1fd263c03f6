package sandbox

import (
	"fmt"
	"strings"
)

// Bounds is what confines Duet itself: a container, as seen from inside.
type Bounds struct {
	ReadOnly     bool     // the root file system
	Offline      bool     // no network but loopback
	NoNewPrivs   bool     //
	Seccomp      bool     // system calls are filtered
	Capabilities []string // that Duet, or anything it starts, can ever have: "CHOWN", …
}

// Check refuses bounds that are wider than what a container was started with: an engine, or something in its place, that
// takes flags and does not heed them. Nothing of theirs has run then.
func (b Bounds) Check(offline bool, capabilities []string) error {
	var wide []string
	if !b.ReadOnly {
		wide = append(wide, "the root file system can be written")
	}
	if offline && !b.Offline {
		wide = append(wide, "there is a network")
	}
	if !b.NoNewPrivs {
		wide = append(wide, "new privileges can be had")
	}
	allowed := map[string]bool{}
	for _, name := range capabilities {
		allowed[name] = true
	}
	for _, name := range b.Capabilities {
		if !allowed[name] {
			wide = append(wide, "capability "+name+" was not dropped")
		}
	}
	if len(wide) == 0 {
		return nil
	}
	const most = 4
	if len(wide) > most {
		wide = append(wide[:most:most], fmt.Sprintf("and %d more", len(wide)-most))
	}
	return fmt.Errorf("this is no container as it was asked for, and nothing was run: %s", strings.Join(wide, ", "))
}

// String is for people: what of it holds.
func (b Bounds) String() string {
	var holds []string
	for _, one := range []struct {
		holds bool
		text  string
	}{{b.Offline, "no network"}, {b.ReadOnly, "read-only"}, {b.NoNewPrivs, "no_new_privs"}, {b.Seccomp, "seccomp"}} {
		if one.holds {
			holds = append(holds, one.text)
		}
	}
	return strings.Join(append(holds, fmt.Sprintf("%d capabilities", len(b.Capabilities))), ", ")
}

// capabilityNames are those of linux/capability.h, by their bit.
var capabilityNames = [...]string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
	"NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
	"SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
	"AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
	"PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

// boundsOf reads /proc/self/status.
func boundsOf(status string) (b Bounds, err error) {
	var set uint64
	found := false
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "NoNewPrivs":
			b.NoNewPrivs = value == "1"
		case "Seccomp":
			b.Seccomp = value == "2"
		case "CapBnd":
			if _, err := fmt.Sscanf(value, "%x", &set); err != nil {
				return Bounds{}, fmt.Errorf("reading the capabilities %q: %w", value, err)
			}
			found = true
		}
	}
	if !found {
		return Bounds{}, fmt.Errorf("/proc/self/status does not tell the capabilities")
	}
	for bit := range 64 {
		if set&(1<<bit) == 0 {
			continue
		}
		name := fmt.Sprintf("number %d", bit)
		if bit < len(capabilityNames) {
			name = capabilityNames[bit]
		}
		b.Capabilities = append(b.Capabilities, name)
	}
	return b, nil
}
