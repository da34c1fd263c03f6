package service

import (
	"fmt"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Namespace is a private network that has nothing but loopback. Services that insist on one port get one
// each, so that they can be alive at once. It has no name in the file system and vanishes with its last user.
// A nil Namespace is Duet's own network.
type Namespace struct{ handle netns.NsHandle }

// NewNamespace makes a namespace and brings its loopback up. It needs root.
func NewNamespace() (*Namespace, error) {
	n := &Namespace{}
	err := elsewhere(func() error {
		var err error
		n.handle, err = netns.New() // and enters it
		return err
	}, func() error {
		loopback, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(loopback)
	})
	if err != nil {
		n.Close()
		return nil, fmt.Errorf("making a network namespace: %w", err)
	}
	return n, nil
}

// Path is how a child of this process joins the namespace, while it is open.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/self/fd/%d", int(n.handle)) }

// Close lets the namespace go; it ends when its processes have.
func (n *Namespace) Close() error {
	if n == nil || n.handle <= 0 {
		return nil
	}
	return n.handle.Close()
}

// do runs f inside the namespace. A socket belongs to the namespace of the thread that makes it, whoever
// uses it later; f must make it on its own goroutine.
func (n *Namespace) do(f func() error) error {
	if n == nil {
		return f()
	}
	return elsewhere(func() error { return netns.Set(n.handle) }, f)
}

// elsewhere runs f after enter has moved the thread to another network namespace, and moves it back. A
// thread that cannot go back stays locked, and so ends with its goroutine.
func elsewhere(enter, f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			runtime.UnlockOSThread()
			result <- err
			return
		}
		defer home.Close()
		if err = enter(); err == nil {
			err = f()
		}
		if back := netns.Set(home); back == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}
