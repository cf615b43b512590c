// Package socket reads and writes TCP connections without leave of Go's
// scheduler.
//
// The scheduler takes it that a system call may block: it notes the start and
// the end of each, and when one has lasted about 20 µs it gives the processor to
// another thread, which is to be woken, and then to be had back. A write to a
// socket lasts as long as that without blocking, since the kernel carries the
// bytes to the receiver in the same call. The sockets of Go do not block, so
// that nothing of this is needed for them. The price is that while the kernel
// copies, the goroutine's processor has nothing else to do, and a collection
// that is to begin waits for it: so one call takes 64 KiB at most.
package socket

import (
	"io"
	"net"
	"os"
	"syscall"
)

// most is how much one call reads or writes.
const most = 64 << 10

// A Port is a way to a connection's socket, beside that of its net.Conn. It is
// for one reader and one writer at a time.
type Port struct {
	raw     syscall.RawConn
	in, out transfer
}

// A transfer is a read or a write that is under way.
type transfer struct {
	turn func(fd uintptr) (done bool) // for syscall.RawConn, bound once
	p    []byte
	n    int
	err  error
}

// Of returns the port of c; nil if it has none: if c has no socket of its own, as
// a connection with TLS, or the system has no such sockets. What a type around a
// TCP connection does in Read and Write of its own is passed by.
func Of(c net.Conn) *Port {
	own, ok := c.(syscall.Conn)
	if !ok || !present {
		return nil
	}
	raw, err := own.SyscallConn()
	if err != nil {
		return nil
	}
	p := &Port{raw: raw}
	p.in.turn, p.out.turn = p.take, p.give
	return p
}

// Raw is the connection's own way to its socket.
func (p *Port) Raw() syscall.RawConn { return p.raw }

// Read reads once, like the Read of the connection: it waits for something to
// read, until the deadline that is set for the connection, and returns io.EOF at
// the end. It allocates nothing.
func (p *Port) Read(b []byte) (int, error) {
	t := &p.in
	t.p = b
	err := p.raw.Read(t.turn)
	t.p = nil
	if err != nil {
		return 0, err
	}
	return t.n, named("read", t.err)
}

// named is err with the name of the call that failed.
func named(call string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return os.NewSyscallError(call, err)
}

// take reads what is there, and returns false to be called again when there is
// something.
func (p *Port) take(fd uintptr) (done bool) {
	t := &p.in
	t.n, t.err = readOnce(fd, t.p)
	return t.err != syscall.EAGAIN
}

// TryWrite writes as much of b as the system takes at once, and returns how much
// that was: less than all of b is no error. It allocates nothing.
func (p *Port) TryWrite(b []byte) (int, error) {
	t := &p.out
	t.p = b
	err := p.raw.Write(t.turn)
	t.p = nil
	if err != nil {
		return 0, err
	}
	return t.n, named("write", t.err)
}

// give writes until nothing more is taken. It is never to be called again.
func (p *Port) give(fd uintptr) (done bool) {
	t := &p.out
	for t.n, t.err = 0, nil; t.n < len(t.p); {
		n, err := write(fd, t.p[t.n:min(len(t.p), t.n+most)])
		if err == syscall.EAGAIN {
			return true
		}
		if n == 0 && err == nil {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			t.err = err
			return true
		}
		t.n += n
	}
	return true
}

// readOnce reads once. The error is syscall.EAGAIN if there is nothing to read,
// and io.EOF at the end.
func readOnce(fd uintptr, b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := read(fd, b[:min(len(b), most)])
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// Receive reads once from the socket with the descriptor, which does not block,
// into b, which is not empty: for use in the Read of Raw. The error is
// syscall.EAGAIN if there is nothing to read, and io.EOF at the end. Beside that
// the kernel may tell of the socket: the first told bytes of oob are then control
// messages.
func Receive(fd uintptr, b, oob []byte) (n, told int, err error) {
	n, told, err = receive(fd, b[:min(len(b), most)], oob)
	switch {
	case err != nil:
		return 0, 0, err
	case n == 0:
		return 0, told, io.EOF
	}
	return n, told, nil
}
