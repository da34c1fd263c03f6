package main

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// What a Duet that started itself again through sudo leaves belongs to its caller, new folders included; what
// was there stays whose it was.
func TestResultsBelongToTheCaller(t *testing.T) {
	const uid, gid = 12345, 12346
	env := map[string]string{sudoMark: "1", "SUDO_UID": strconv.Itoa(uid), "SUDO_GID": strconv.Itoa(gid)}
	w := world{getenv: func(name string) string { return env[name] }}
	wantUID, wantGID := uid, gid
	if os.Geteuid() != 0 { // then the mark is not sudo's, and means nothing
		wantUID, wantGID = os.Getuid(), os.Getgid()
	}
	top := t.TempDir()
	folder, err := newOutFolder(filepath.Join(top, "a", "b", defaultOut), w)
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.write(runFile, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"a", "a/b", "a/b/.duet", "a/b/.duet/.gitignore", "a/b/.duet/run.json"} {
		if u, g := ownerOf(t, filepath.Join(top, path)); u != wantUID || g != wantGID {
			t.Errorf("%s: belongs to %d:%d, want %d:%d", path, u, g, wantUID, wantGID)
		}
	}
	if u, _ := ownerOf(t, top); u != os.Getuid() {
		t.Errorf("a folder that was there now belongs to %d", u)
	}
}

// What root leaves in somebody's folder is theirs, also without sudo: root in a container on a mounted repository.
func TestResultsBelongToTheFolder(t *testing.T) {
	const uid, gid = 12345, 12346
	top := t.TempDir()
	wantUID, wantGID := uid, gid
	if os.Geteuid() != 0 { // then folders cannot be given away, and are not
		wantUID, wantGID = os.Getuid(), os.Getgid()
	} else if err := os.Chown(top, uid, gid); err != nil {
		t.Fatal(err)
	}
	folder, err := newOutFolder(filepath.Join(top, defaultOut), world{getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	if err := folder.write(runFile, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{".duet", ".duet/.gitignore", ".duet/run.json"} {
		if u, g := ownerOf(t, filepath.Join(top, path)); u != wantUID || g != wantGID {
			t.Errorf("%s: belongs to %d:%d, want %d:%d", path, u, g, wantUID, wantGID)
		}
	}
}

func ownerOf(t *testing.T, path string) (uid, gid int) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	return int(stat.Uid), int(stat.Gid)
}

func TestElevatedKeepsNoSecret(t *testing.T) {
	got := withoutSecrets([]string{"GITHUB_TOKEN=x", "INPUT_A=x", "ACTIONS_RUNTIME_TOKEN=x", "ACTIONS_FOO=x", "HOME=/h", "LICENSE=y"})
	if len(got) != 2 || got[0] != "HOME=/h" || got[1] != "LICENSE=y" {
		t.Errorf("got %q, want HOME and LICENSE alone", got)
	}
}

// A folder that cannot be made is the caller's to choose anew: a usage error.
func TestOutThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := newOutFolder(filepath.Join(file, "out"), world{getenv: func(string) string { return "" }})
	if statusOf(err) != exitUsage {
		t.Errorf("got status %d (%v), want %d", statusOf(err), err, exitUsage)
	}
}
