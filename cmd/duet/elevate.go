package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/duet-bench/duet/internal/plan"
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
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	// The very call to come: a right to `sudo -n true` alone, or without the environment, is not enough.
	if exec.Command(sudo, "-n", "-E", self, "--version").Run() != nil {
		return false, nil
	}
	environ := append(withoutSecrets(os.Environ()), sudoMark+"=1", pathMark+"="+w.getenv("PATH"), cacheMark+"="+cacheFolder(w))
	// The same process from here on: signals reach sudo, which hands them to Duet.
	err = syscall.Exec(sudo, append([]string{sudo, "-n", "-E", self}, w.args...), environ)
	return false, errors.Join(errors.New("starting again through sudo"), err)
}

// elevate is not needed where containers are asked for: root is then inside them alone.
func (j *job) elevate(w world) (done bool, err error) {
	if j.isolation.level == plan.IsolationContainer {
		return false, nil
	}
	return elevate(w)
}

// owner is whom results belong to: the user who started Duet where it started itself again through sudo.
type owner struct{ uid, gid int }

// nobody stands for "whoever Duet runs as".
func nobody() owner { return owner{-1, -1} }

func callerOf(w world) owner {
	uid, badUID := strconv.Atoi(w.getenv("SUDO_UID"))
	gid, badGID := strconv.Atoi(w.getenv("SUDO_GID"))
	if os.Geteuid() != 0 || w.getenv(sudoMark) == "" || badUID != nil || badGID != nil {
		return nobody()
	}
	return owner{uid, gid}
}

// take gives a file to the owner.
func (o owner) take(path string) error {
	if o == nobody() {
		return nil
	}
	return os.Lchown(path, o.uid, o.gid)
}

// takeAll gives a folder and all in it to the owner. Links are given, never followed.
func (o owner) takeAll(dir string) error {
	if o == nobody() {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return o.take(path)
	})
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
