//go:build unix

package container

import (
	"os/exec"
	"syscall"
)

// apart puts a command into a process group of its own, where a terminal's signals do not reach it.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
