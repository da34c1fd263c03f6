package sandbox

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// tailBytes is how much of the output's end is kept: more than 50 lines of 300 runes.
const tailBytes = 64 << 10

// output reads a process's stdout and stderr to their end, whatever they amount to, and keeps the first
// limit bytes in a file and the end in memory. So a child that writes 10 GiB neither fills the disk nor blocks.
type output struct {
	from *os.File
	done chan struct{} // closed when every writer is gone

	mu    sync.Mutex
	file  *os.File // nil: no log, or one that could not be written on
	room  int64    // bytes the file may still take
	total int64
	tail  []byte // at most 2 × tailBytes; all of total while that is shorter
}

func keepOutput(from, file *os.File, limit int64) *output {
	if limit <= 0 {
		limit = DefaultLogLimit
	}
	o := &output{from: from, file: file, room: limit, done: make(chan struct{})}
	go o.copy()
	return o
}

func (o *output) copy() {
	defer close(o.done)
	defer o.from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := o.from.Read(buffer)
		o.keep(buffer[:n])
		if err != nil {
			o.end()
			return
		}
	}
}

func (o *output) keep(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.total += int64(len(p))
	if head := p[:min(int64(len(p)), o.room)]; o.file != nil && len(head) > 0 {
		o.room -= int64(len(head))
		if _, err := o.file.Write(head); err != nil {
			o.file.Close()
			o.file = nil // a full disk: the output still has to be drained
		}
	}
	o.tail = append(o.tail, p...)
	if len(o.tail) > 2*tailBytes {
		o.tail = append(o.tail[:0], o.tail[len(o.tail)-tailBytes:]...)
	}
}

// end adds what the file's head lacks: the end, after a line that says how much is missing.
func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil {
		return
	}
	if size, err := o.file.Seek(0, io.SeekEnd); err == nil && size < o.total {
		tail := o.tail[max(0, int64(len(o.tail))-(o.total-size)):]
		if left := o.total - size - int64(len(tail)); left > 0 {
			fmt.Fprintf(o.file, "\n[%d bytes left out]\n", left)
		}
		o.file.Write(tail)
	}
	o.file.Close()
	o.file = nil
}

// lines is the sanitised end of what was written so far.
func (o *output) lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return Tail(o.tail[max(0, len(o.tail)-tailBytes):])
}
