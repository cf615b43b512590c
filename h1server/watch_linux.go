package h1server

import (
	"os"
	"sync"
	"syscall"
)

// A watcher hears from the kernel when the other side of a connection has
// gone: closed it, reset it, or only closed its half of it, as net/http sees
// it too. It is an epoll set of its own, apart from the runtime's; its own
// descriptor sits in the runtime's poller, so that no thread blocks. It costs
// one call for each connection and nothing for each request.
type watcher struct {
	mu   sync.Mutex
	set  *os.File        // the epoll set; nil if there is none
	fd   int             // of set
	seen map[int32]*conn // by a number of ours: descriptors are used again
	next int32
}

// start prepares the watcher. Where that fails, it watches nothing.
func (w *watcher) start() {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return
	}
	if syscall.SetNonblock(fd, true) != nil {
		_ = syscall.Close(fd)
		return
	}
	set := os.NewFile(uintptr(fd), "epoll")
	raw, err := set.SyscallConn()
	if err != nil {
		_ = set.Close()
		return
	}
	w.mu.Lock()
	w.set, w.fd, w.seen = set, fd, map[int32]*conn{}
	w.mu.Unlock()
	go w.run(raw)
}

func (w *watcher) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set != nil {
		_ = w.set.Close() // run ends with it
	}
}

// runs reports whether start has succeeded.
func (w *watcher) runs() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.set != nil
}

// run tells connections of their end, until stop is called.
func (w *watcher) run(set syscall.RawConn) {
	var events [64]syscall.EpollEvent
	for {
		n := 0
		err := set.Read(func(fd uintptr) bool {
			n, _ = syscall.EpollWait(int(fd), events[:], 0) // after an error, n is -1
			return n > 0
		})
		if err != nil {
			return
		}
		for _, e := range events[:n] {
			w.tell(e.Fd)
		}
	}
}

func (w *watcher) tell(number int32) {
	w.mu.Lock()
	c := w.seen[number]
	w.mu.Unlock()
	if c != nil {
		c.cancel()
	}
}

// add watches c and reports whether it can. Its context ends if the other side
// has gone already.
func (w *watcher) add(c *conn) bool {
	w.mu.Lock()
	for w.next++; w.seen[w.next] != nil; w.next++ {
	}
	c.number = w.next
	w.seen[c.number] = c
	w.mu.Unlock()
	if w.control(c, syscall.EPOLL_CTL_ADD) {
		return true
	}
	w.forget(c)
	return false
}

// forget is for a connection that is about to be closed: the kernel then takes
// it out of the set.
func (w *watcher) forget(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.seen, c.number)
}

// release is for a connection that goes on elsewhere.
func (w *watcher) release(c *conn) { w.control(c, syscall.EPOLL_CTL_DEL) }

func (w *watcher) control(c *conn, op int) (done bool) {
	event := syscall.EpollEvent{Events: syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: c.number}
	err := c.port.Raw().Control(func(fd uintptr) { done = syscall.EpollCtl(w.fd, op, int(fd), &event) == nil })
	return err == nil && done
}
