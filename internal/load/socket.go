//go:build linux && (amd64 || arm64)

package load

import (
	"fmt"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Calls that never block go past the Go scheduler (RawSyscall): telling it costs more than they do. They are package
// syscall's: unix's pass through assembly that converts the calling convention twice.

// send writes as much of b as the socket takes.
func send(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// receive reads what is there, 0 bytes at the end of the stream.
func receive(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// takeOver copies the descriptor of a stream connection and closes the original. The original must go:
// the Go runtime polls it, and would be woken by every answer too.
func takeOver(conn net.Conn) (int, error) {
	defer conn.Close()
	source, ok := conn.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("taking over a connection: unexpected %T: expected a TCP or Unix connection", conn)
	}
	raw, err := source.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("taking over a connection: %w", err)
	}
	fd, failed := -1, error(nil)
	err = raw.Control(func(original uintptr) { fd, failed = copySocket(int(original)) })
	if err == nil {
		err = failed
	}
	if err != nil {
		return -1, fmt.Errorf("taking over a connection: %w", err)
	}
	return fd, nil
}

func copySocket(original int) (int, error) {
	kind, err := unix.GetsockoptInt(original, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return -1, err
	}
	if kind != unix.SOCK_STREAM {
		return -1, fmt.Errorf("unexpected socket type %d: expected a stream", kind)
	}
	// Fails on Unix sockets, which need it not.
	_ = unix.SetsockoptInt(original, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	return unix.FcntlInt(uintptr(original), unix.F_DUPFD_CLOEXEC, 0)
}

// poller waits for many sockets at once. Events are edge-triggered.
type poller struct {
	epoll   int
	timer   int // timerfd for kernels before 5.11, which lack epoll_pwait2; -1: not needed
	timeout unix.Timespec
	events  []unix.EpollEvent
}

// Tags of descriptors that are no connection; connections have theirs from 0.
const (
	timerTag = -1
	wakeTag  = -2
)

func newPoller(events int) (*poller, error) {
	p := &poller{timer: -1, events: make([]unix.EpollEvent, events)}
	var err error
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("creating epoll: %w", err)
	}
	_, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])), 1,
		uintptr(unsafe.Pointer(&p.timeout)), 0, 0)
	if errno == 0 || errno == unix.EINTR {
		return p, nil
	}
	if err := p.useTimer(); err != nil {
		p.close()
		return nil, fmt.Errorf("creating timer: %w", err)
	}
	return p, nil
}

// useTimer makes wait do without epoll_pwait2.
func (p *poller) useTimer() error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return err
	}
	p.timer = fd
	return p.watch(fd, unix.EPOLLIN, timerTag, 0)
}

// watch registers a descriptor; its events carry tag and generation.
func (p *poller) watch(fd int, events uint32, tag, generation int32) error {
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events | unix.EPOLLET, Fd: tag, Pad: generation})
}

// rewatch changes what is waited for, and reports again what is already so.
func (p *poller) rewatch(fd int, events uint32, tag, generation int32) error {
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events | unix.EPOLLET, Fd: tag, Pad: generation})
}

// wait returns the events that came within timeout; 0 only looks. A signal ends it early.
func (p *poller) wait(timeout time.Duration) ([]unix.EpollEvent, error) {
	var n uintptr
	var errno unix.Errno
	room := uintptr(len(p.events))
	switch {
	case timeout <= 0:
		n, _, errno = syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])), room,
			0, 0, 0)
	case p.timer < 0:
		p.timeout = unix.NsecToTimespec(int64(timeout))
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])), room,
			uintptr(unsafe.Pointer(&p.timeout)), 0, 0)
	default:
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(timeout))}
		if err := unix.TimerfdSettime(p.timer, 0, &spec, nil); err != nil {
			return nil, fmt.Errorf("setting timer: %w", err)
		}
		const forever = ^uintptr(0)
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])), room,
			forever, 0, 0)
	}
	if errno == unix.EINTR {
		return nil, nil
	}
	if errno != 0 {
		return nil, fmt.Errorf("waiting for events: %w", errno)
	}
	return p.events[:n], nil
}

func (p *poller) close() {
	_ = unix.Close(p.epoll)
	if p.timer >= 0 {
		_ = unix.Close(p.timer)
	}
}

// sharpenTimers asks the kernel to wake this thread at the time, not up to 50 µs later, and returns how to
// undo it.
func sharpenTimers() (restore func()) {
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || slack <= 1 || unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) != nil {
		return func() {}
	}
	return func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0) }
}
