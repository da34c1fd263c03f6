package sandbox

import (
	"strings"
	"testing"
)

func TestBounds(t *testing.T) {
	const inside = "Name:\tduet\nNoNewPrivs:\t1\nSeccomp:\t2\nCapBnd:\t00000000000800e3\n"
	own := []string{"CHOWN", "DAC_OVERRIDE", "KILL", "SETGID", "SETUID", "SYS_PTRACE"}
	good, err := boundsOf(inside)
	if err != nil {
		t.Fatal(err)
	}
	good.ReadOnly, good.Offline = true, true
	if got := strings.Join(good.Capabilities, " "); got != strings.Join(own, " ") {
		t.Errorf("capabilities %s, want %v", got, own)
	}
	if err := good.Check(true, own); err != nil {
		t.Error(err)
	}
	if got, want := good.String(), "no network, read-only, no_new_privs, seccomp, 6 capabilities"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for want, widen := range map[string]func(*Bounds){
		"the root file system can be written": func(b *Bounds) { b.ReadOnly = false },
		"there is a network":                  func(b *Bounds) { b.Offline = false },
		"new privileges can be had":           func(b *Bounds) { b.NoNewPrivs = false },
		"capability SYS_ADMIN was not dropped": func(b *Bounds) {
			b.Capabilities = append([]string{"SYS_ADMIN"}, own...)
		},
	} {
		wide := good
		widen(&wide)
		if err := wide.Check(true, own); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "nothing was run") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	online := good
	online.Offline = false
	if err := online.Check(false, own); err != nil {
		t.Errorf("a container that downloads has a network: %v", err)
	}
	if _, err := boundsOf("Name:\tx\n"); err == nil {
		t.Error("a status without capabilities was taken")
	}
	all, err := boundsOf("CapBnd:\t000001ffffffffff\n")
	if err != nil || len(all.Capabilities) != len(capabilityNames) {
		t.Errorf("got %d capabilities (%v), want all %d", len(all.Capabilities), err, len(capabilityNames))
	}
	if err := all.Check(true, own); err == nil || !strings.Contains(err.Error(), "more") {
		t.Errorf("got %v, want the first few and how many more", err)
	}
}
