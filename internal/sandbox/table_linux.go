package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// entry is one row of the process table.
type entry struct {
	pid, parent, session int
	uids                 [4]int // real, effective, saved, file system
	zombie               bool   // nothing of it runs any more
	name                 string
}

// processTable reads all of /proc. It is not a snapshot: processes come and go meanwhile.
func processTable() ([]entry, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	table := make([]entry, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if e, ok := readEntry(pid); ok {
				table = append(table, e)
			}
		}
	}
	return table, nil
}

// readEntry is not ok for a process that is gone.
func readEntry(pid int) (entry, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return entry{}, false
	}
	e := entry{pid: pid}
	threads := 0
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		key, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Name":
			e.name = value
		case "State":
			e.zombie = strings.HasPrefix(value, "Z") || strings.HasPrefix(value, "X")
		case "PPid":
			e.parent, _ = strconv.Atoi(value)
		case "Uid":
			fmt.Sscan(value, &e.uids[0], &e.uids[1], &e.uids[2], &e.uids[3])
		case "Threads":
			threads, _ = strconv.Atoi(value)
		case "NSsid":
			fmt.Sscan(value, &e.session) // the first is the one of our own namespace
		}
	}
	if threads > 1 {
		e.zombie = false // only its first thread has ended
	}
	return e, true
}
