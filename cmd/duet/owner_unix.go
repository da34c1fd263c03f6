//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// ownerOfFolder is whom results in a folder belong to where Duet is root and nobody's sudo says more: whoever has the
// folder. So what root leaves in a repository that was mounted into a container is its owner's.
func ownerOfFolder(info fs.FileInfo) owner {
	at, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || at.Uid == 0 {
		return nobody()
	}
	return owner{int(at.Uid), int(at.Gid)}
}
