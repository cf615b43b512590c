package socket_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/outcrop/outcrop/socket"
)

// pair returns both ends of a connection.
func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func port(t *testing.T, c net.Conn) *socket.Port {
	t.Helper()
	p := socket.Of(c)
	if p == nil {
		t.Skip("no ports on this system")
	}
	return p
}

func TestWhatIsWrittenIsReadWhole(t *testing.T) {
	a, b := pair(t)
	in, out := port(t, a), port(t, b)
	sent := make([]byte, 3<<20)
	rand.Read(sent)
	go func() {
		for rest := sent; len(rest) > 0; {
			n, err := out.TryWrite(rest)
			if rest = rest[n:]; err != nil {
				t.Error(err)
				return
			}
			if len(rest) > 0 { // the system is full: wait as the connection does
				n, _ = b.Write(rest[:1])
				rest = rest[n:]
			}
		}
		b.Close()
	}()
	var got bytes.Buffer
	for buf := make([]byte, 100_000); ; {
		n, err := in.Read(buf)
		got.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got.Bytes(), sent) {
		t.Errorf("%d bytes of %d, or others", got.Len(), len(sent))
	}
}

func TestTryWriteTakesWhatTheSystemTakesAndDoesNotWait(t *testing.T) {
	a, b := pair(t)
	out := port(t, b)
	big, written := make([]byte, 1<<20), 0
	for range 100 {
		n, err := out.TryWrite(big)
		if err != nil {
			t.Fatal(err)
		}
		if written += n; n < len(big) {
			break
		}
	}
	full := false
	for range 1000 { // what was acknowledged late makes room once more
		n, err := out.TryWrite(big)
		if err != nil {
			t.Fatal(err)
		}
		if written += n; n == 0 {
			full = true
			break
		}
	}
	if !full {
		t.Errorf("it is never full: %d bytes", written)
	}
	b.Close()
	if n, err := io.Copy(io.Discard, a); n != int64(written) || err != nil {
		t.Errorf("%d bytes of %d came, %v", n, written, err)
	}
}

func TestReadWaitsUntilTheDeadlineAndNoLonger(t *testing.T) {
	a, b := pair(t)
	in := port(t, a)
	a.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := in.Read(make([]byte, 10)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
	a.SetReadDeadline(time.Time{})
	b.Write([]byte("late"))
	buf := make([]byte, 10)
	if n, err := in.Read(buf); string(buf[:n]) != "late" || err != nil {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

func TestClosedAndResetConnectionsAreErrors(t *testing.T) {
	a, b := pair(t)
	in, out := port(t, a), port(t, b)
	a.Write([]byte("unread"))
	b.(*net.TCPConn).SetLinger(0)
	b.Close()
	if n, err := in.Read(make([]byte, 10)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after a reset: %d bytes, %v", n, err)
	}
	if n, err := out.TryWrite([]byte("x")); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("TryWrite after Close: %d bytes, %v", n, err)
	}
	a.Close()
	if n, err := in.Read(make([]byte, 10)); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Close: %d bytes, %v", n, err)
	}
}

// TestCloseEndsARead, whether it waits by then or not, as it does one of the
// connection.
func TestCloseEndsARead(t *testing.T) {
	for wait := range 20 {
		a, _ := pair(t)
		in, ended := port(t, a), make(chan error, 1)
		go func() {
			_, err := in.Read(make([]byte, 10))
			ended <- err
		}()
		for range wait * 100 {
			runtime.Gosched()
		}
		a.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
}

func TestNothingIsReadOrWrittenInNoBytes(t *testing.T) {
	a, b := pair(t)
	in, out := port(t, a), port(t, b)
	if n, err := out.TryWrite(nil); n != 0 || err != nil {
		t.Errorf("TryWrite: %d, %v", n, err)
	}
	if n, err := in.Read(nil); n != 0 || err != nil {
		t.Errorf("Read: %d, %v", n, err)
	}
}

func TestWhatHasNoSocketOfItsOwnHasNoPort(t *testing.T) {
	if a, _ := net.Pipe(); socket.Of(a) != nil {
		t.Error("a pipe has a port")
	}
	a, _ := pair(t)
	port(t, a)
	if socket.Of(struct{ net.Conn }{a}) != nil {
		t.Error("a connection that hides its socket has a port")
	}
}

func TestReceiveTellsOfTheEnd(t *testing.T) {
	a, b := pair(t)
	in := port(t, a)
	b.Write([]byte("last"))
	b.Close()
	var got []byte
	var end error
	buf, oob := make([]byte, 10), make([]byte, 64)
	err := in.Raw().Read(func(fd uintptr) bool {
		for end == nil { // the end may have come with the bytes: nothing else tells of it
			n, told, err := socket.Receive(fd, buf, oob)
			if err == syscall.EAGAIN {
				return false
			}
			if told != 0 {
				t.Errorf("%d bytes of control messages, which nobody asked for", told)
			}
			got, end = append(got, buf[:n]...), err
		}
		return true
	})
	if string(got) != "last" || end != io.EOF || err != nil {
		t.Errorf("%q, %v, %v", got, end, err)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	a, b := pair(t)
	in, out := port(t, a), port(t, b)
	buf := make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := out.TryWrite(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := in.Read(buf); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
