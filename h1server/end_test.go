package h1server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/outcrop/outcrop/h1server"
)

// A caller who leaves is noticed while nothing is read or written, however he
// does it.
func TestTheContextEndsWhenTheCallerGoes(t *testing.T) {
	arrived, ended := make(chan struct{}), make(chan error)
	h := open(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		ended <- r.Context().Err()
	}, nil)
	for name, leave := range map[string]func(*caller) error{
		"closing":       func(c *caller) error { return c.Close() },
		"resetting":     func(c *caller) error { return errors.Join(c.SetLinger(0), c.Close()) },
		"half-closing":  func(c *caller) error { return c.CloseWrite() },
		"with the rest": func(c *caller) error { _, err := io.WriteString(c, ask("b", "")); return errors.Join(err, c.Close()) },
	} {
		caller := h.call(t)
		caller.say(t, ask("a", "body"))
		<-arrived
		if err := leave(caller); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheContextLastsAsLongAsTheCaller(t *testing.T) {
	h := open(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.Context().Err(); err != nil {
			t.Error(err)
		}
		echo(w, r)
	}, nil)
	caller := h.call(t)
	for range 50 {
		caller.say(t, ask("a", "body"))
		if _, body := caller.hear(t); body != "/hot/abody" {
			t.Fatal(body)
		}
	}
}

func TestAHeadThatNeverEndsIsGivenUp(t *testing.T) {
	h := open(t, echo, func(s *h1server.Server) { s.HeadTimeout = 20 * time.Millisecond })
	for _, start := range []string{"P", "POST /hot/a HTTP/1.1\r\nHost: x\r\n"} {
		caller := h.call(t)
		caller.say(t, start)
		caller.gone(t)
	}
}

func TestASilentConnectionIsGivenUpLikeAHead(t *testing.T) {
	open(t, echo, func(s *h1server.Server) { s.HeadTimeout = 20 * time.Millisecond }).call(t).gone(t)
}

func TestADeadlineIsOfItsRequestAlone(t *testing.T) {
	h := open(t, func(w http.ResponseWriter, r *http.Request) {
		echo(w, r)
		control := http.NewResponseController(w)
		if err := control.Flush(); err != nil || r.RequestURI == "/hot/last" {
			return
		}
		if err := control.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Error(err)
		}
	}, nil)
	caller := h.call(t)
	body := strings.Repeat("a", 10_000)
	for _, path := range []string{"first", "last"} {
		caller.say(t, ask(path, body))
		if _, got := caller.hear(t); got != "/hot/"+path+body {
			t.Errorf("%s: %d bytes", path, len(got))
		}
	}
}

// large is more than the system keeps of a caller who does not read.
const large = 32 << 20

func TestACallerWhoTakesNothingIsGivenUp(t *testing.T) {
	failed := make(chan error, 1)
	h := open(t, func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, large))
		failed <- err
	}, func(s *h1server.Server) { s.WriteTimeout = 20 * time.Millisecond })
	caller := h.call(t)
	caller.say(t, ask("a", ""))
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("writing to nobody: %v", err)
	}
}

// A deadlined is a connection that tells of each write deadline that is set.
type deadlined struct {
	*net.TCPConn
	set chan time.Time
}

func (d deadlined) SetWriteDeadline(t time.Time) error {
	d.set <- t
	return d.TCPConn.SetWriteDeadline(t)
}

func TestAWriteIsBoundedOnlyWhileItWaits(t *testing.T) {
	set := make(chan time.Time, 100)
	h := prepare(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		if err := control.SetWriteDeadline(time.Now()); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("a deadline of the handler's own: %v", err)
		}
		for _, size := range []int{100, large, 100} {
			if _, err := w.Write(make([]byte, size)); err != nil {
				t.Error(err)
			}
			if err := control.Flush(); err != nil {
				t.Error(err)
			}
		}
	}, func(s *h1server.Server) { s.WriteTimeout = time.Hour })
	h.serve(t, func(c *net.TCPConn) net.Conn { return deadlined{c, set} })
	caller := h.call(t)
	caller.say(t, ask("a", ""))
	if _, got := caller.hear(t); len(got) != large+200 {
		t.Errorf("%d bytes", len(got))
	}
	close(set)
	if len(set) == 0 || len(set)%2 != 0 {
		t.Fatalf("%d deadlines", len(set))
	}
	for at := range set {
		if left := time.Until(at); left < 50*time.Minute {
			t.Errorf("%v for a write", left)
		}
		if after := <-set; !after.IsZero() {
			t.Errorf("%v after it", after)
		}
	}
}

// One who has only closed his half could take an empty answer for a success.
func TestNothingIsSaidToACallerWhoHasGone(t *testing.T) {
	h := open(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil)
	caller := h.call(t)
	caller.say(t, ask("a", ""))
	if err := caller.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	caller.gone(t)
}

func TestReadingNothingEndsNothing(t *testing.T) {
	h := open(t, func(w http.ResponseWriter, r *http.Request) {
		if n, err := r.Body.Read(nil); n != 0 || err != nil || r.Context().Err() != nil {
			t.Errorf("%d, %v; the context: %v", n, err, r.Context().Err())
		}
		w.WriteHeader(http.StatusOK)
	}, nil)
	caller := h.call(t)
	caller.say(t, "POST /hot/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
	caller.hear(t)
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	h := open(t, echo, func(s *h1server.Server) { s.IdleTimeout = 20 * time.Millisecond })
	caller := h.call(t)
	caller.say(t, ask("a", ""))
	caller.hear(t)
	caller.gone(t)
}

func TestABodyIsReadWithinItsDeadline(t *testing.T) {
	h := open(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := io.ReadAll(r.Body)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading ended with %v", err)
		}
		w.WriteHeader(http.StatusRequestTimeout)
	}, nil)
	caller := h.call(t)
	caller.say(t, "POST /hot/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc")
	if r, _ := caller.hear(t); r.StatusCode != http.StatusRequestTimeout {
		t.Error(r.Status)
	}
	caller.gone(t)
}

func TestABodyThatIsCutIsNoEnd(t *testing.T) {
	ended := make(chan error, 1)
	h := open(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		ended <- err
	}, nil)
	caller := h.call(t)
	caller.say(t, "POST /hot/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc")
	if err := caller.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// What is read as the next request must never be what somebody left of the
// last one's body, nor may an answer end where it was not said to.
func TestAConnectionEndsAfterWhatIsNotWhole(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"a body not read":      func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) },
		"a body read in part":  func(w http.ResponseWriter, r *http.Request) { _, _ = r.Body.Read(make([]byte, 2)); w.WriteHeader(200) },
		"an asked-for closing": func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close"); echo(w, r) },
	} {
		h := open(t, handler, nil)
		caller := h.call(t)
		caller.say(t, ask("a", ask("b", "")))
		if r, _ := caller.hear(t); !r.Close {
			t.Errorf("%s: the answer does not say that it is the last", name)
		}
		if b, _ := io.ReadAll(caller.in); len(b) > 0 {
			t.Errorf("%s: and then %q", name, b)
		}
	}
}

func TestAnAnswerKeepsToItsLength(t *testing.T) {
	for name, body := range map[string]string{"short": "1", "long": "12345"} {
		h := open(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "3")
			_, err := io.WriteString(w, body)
			if (err != nil) != (name == "long") {
				t.Errorf("%s: writing it: %v", name, err)
			}
		}, nil)
		caller := h.call(t)
		caller.say(t, ask("a", ""))
		r, err := http.ReadResponse(caller.in, nil)
		if err == nil {
			_, err = io.ReadAll(r.Body)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: the caller saw %v", name, err)
		}
	}
}

func TestAPanicEndsItsConnectionAlone(t *testing.T) {
	fault := any("fault")
	h := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI == "/hot/panic" {
			panic(fault)
		}
		echo(w, r)
	}, nil)
	for _, fault = range []any{"fault", http.ErrAbortHandler} {
		caller, other := h.call(t), h.call(t)
		caller.say(t, ask("panic", ""))
		caller.gone(t)
		other.say(t, ask("a", ""))
		if _, body := other.hear(t); body != "/hot/a" {
			t.Errorf("after %v: %q", fault, body)
		}
	}
}

func TestShutdownLetsRequestsEnd(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	h := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI == "/hot/wait" {
			arrived <- struct{}{}
			<-release
		}
		echo(w, r)
	}, nil)
	idle, busy := h.call(t), h.call(t)
	idle.say(t, ask("a", ""))
	idle.hear(t)
	busy.say(t, ask("wait", "")+ask("a", ""))
	<-arrived
	over := make(chan error)
	go func() { over <- h.Shutdown(context.Background()) }()
	idle.gone(t)
	select {
	case err := <-over:
		t.Fatalf("Shutdown returned %v before the request ended", err)
	default:
	}
	close(release)
	if r, body := busy.hear(t); body != "/hot/wait" || !r.Close {
		t.Errorf("%q, close %v", body, r.Close)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
}

func TestCloseCutsWhatShutdownWaitedForInVain(t *testing.T) {
	arrived, ended := make(chan struct{}), make(chan struct{})
	h := open(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		close(ended)
	}, nil)
	caller := h.call(t)
	caller.say(t, ask("a", ""))
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown returned %v", err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	caller.gone(t)
}

func TestEveryShutdownReturns(t *testing.T) {
	arrived, release, begun := make(chan struct{}), make(chan struct{}), make(chan struct{})
	h := open(t, func(w http.ResponseWriter, r *http.Request) { arrived <- struct{}{}; <-release },
		func(s *h1server.Server) { s.Rest.RegisterOnShutdown(func() { begun <- struct{}{} }) })
	h.call(t).say(t, ask("a", ""))
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	over := make(chan error)
	for range 2 {
		go func() { over <- h.Shutdown(ctx) }()
		<-begun
	}
	close(release)
	for range 2 {
		if err := <-over; err != nil {
			t.Error(err)
		}
	}
}

func TestAServerThatWasShutDownDoesNotServe(t *testing.T) {
	h := prepare(echo, nil)
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.serve(t, nil)
	if c, err := net.Dial("tcp", h.addr); err == nil {
		_, _ = io.Copy(io.Discard, c) // taken by the system before it was closed, perhaps
		_ = c.Close()
	}
}
