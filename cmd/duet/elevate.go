package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// sudoMark is set for a Duet that started itself again through sudo; it also keeps the second one from trying.
const sudoMark = "DUET_SUDO"

// pathMark carries PATH past sudo's secure_path.
const pathMark = "DUET_PATH"

// elevate starts Duet again as root where the caller may do so without a password, so that builds and services
// get another uid and fixed ports a network namespace each. Where it may not, the run goes on as it is and the
// report says what isolation was reached. It returns done when nothing is left to do here.
func elevate(w world) (done bool, err error) {
	if os.Geteuid() == 0 || w.getenv(sudoMark) != "" {
		if path := w.getenv(pathMark); path != "" && os.Geteuid() == 0 {
			return false, os.Setenv("PATH", path)
		}
		return false, nil
	}
	sudo, err := exec.LookPath("sudo")
	if err != nil {
		return false, nil
	}
	if exec.Command(sudo, "-n", "true").Run() != nil {
		return false, nil
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	environ := append(withoutSecrets(os.Environ()), sudoMark+"=1", pathMark+"="+w.getenv("PATH"))
	// The same process from here on: signals reach sudo, which hands them to Duet.
	err = syscall.Exec(sudo, append([]string{sudo, "-n", "-E", self}, w.args...), environ)
	return false, errors.Join(errors.New("starting again through sudo"), err)
}

// withoutSecrets drops what a measuring Duet has no use for: it never holds a token.
func withoutSecrets(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasSuffix(name, "_TOKEN") || strings.HasPrefix(name, "INPUT_") || strings.HasPrefix(name, "ACTIONS_") {
			continue
		}
		kept = append(kept, entry)
	}
	return kept
}
