package gateway_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop/eventstream"
)

// lifelike is a configuration in which the simulator takes its time.
const lifelike = "listen: 127.0.0.1:0\n"

// A stream is one that has begun.
type stream struct {
	*http.Response
}

// begin starts a stream and returns once its first bytes are there.
func (h *house) begin(t *testing.T, client *http.Client) *stream {
	t.Helper()
	req, err := http.NewRequest("POST", h.URL+streamPath, strings.NewReader(hello))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer x")
	r, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Body.Close() })
	if r.StatusCode != 200 {
		t.Fatalf("status %d", r.StatusCode)
	}
	return &stream{r}
}

// last reads the stream to its end and returns the type of its last event.
func (s *stream) last(t *testing.T) (kind string, err error) {
	t.Helper()
	body, err := io.ReadAll(s.Body)
	for rest := body; len(rest) > 0; {
		m, n, frame := eventstream.Decode(rest)
		if frame != nil || n == 0 {
			return kind, errors.Join(err, frame)
		}
		kind, rest = m.EventType+m.ExceptionType, rest[n:]
	}
	return kind, err
}

func TestStoppingLetsStreamsEnd(t *testing.T) {
	for name, transport := range protocols() {
		synctest.Test(t, func(t *testing.T) {
			h, p := startPiped(t, lifelike)
			transport.DialContext = p.dial
			client := newClient(t, transport)
			s := h.begin(t, client)
			ended := make(chan error, 1)
			go func() { ended <- h.stop() }()
			synctest.Wait()
			select {
			case err := <-ended:
				t.Fatalf("%s: Run returned %v while a stream runs", name, err)
			default:
			}
			if c, err := p.dial(t.Context(), "", ""); !errors.Is(err, net.ErrClosed) {
				_ = c.Close()
				t.Errorf("%s: a connection is taken: %v", name, err)
			}
			if kind, err := s.last(t); err != nil || kind != "metadata" {
				t.Errorf("%s: the stream ended with %q, %v", name, kind, err)
			}
			transport.CloseIdleConnections()
			if err := <-ended; err != nil {
				t.Errorf("%s: Run: %v", name, err)
			}
			if n := len(h.log.lines(t, "invocation")); n != 1 {
				t.Errorf("%s: %d lines of log", name, n)
			}
		})
	}
}

func TestStoppingCutsOffWhatTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := startPiped(t, lifelike+"limits: {drain_timeout: 10s}\nsim: {faults: [{kind: slow, delay: 20s}]}\n")
		s := h.begin(t, newClient(t, &http.Transport{DialContext: p.dial}))
		began := time.Now()
		if err := h.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("the server stopped after %v", took)
		}
		if kind, err := s.last(t); err == nil || kind == "metadata" || time.Since(began) > 12*time.Second {
			t.Errorf("the stream ended with %q, %v after %v", kind, err, time.Since(began))
		}
		if lines := h.log.lines(t, "invocation"); len(lines) != 1 || lines[0]["code"] != "ClientGone" {
			t.Errorf("recorded %v", lines)
		}
		if len(h.log.lines(t, "requests were cut off at the end of the drain time")) != 1 {
			t.Errorf("the log says nothing of it: %s", h.log)
		}
	})
}

func TestAStoppingServerTakesNoNewRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := startPiped(t, lifelike)
		half, idle := p.connect(t), p.connect(t)
		served(t, idle)
		if _, err := io.WriteString(half, "POST "+conversePath+" HTTP/1.1\r\nHost: localhost\r\n"); err != nil {
			t.Fatal(err)
		}
		s := h.begin(t, newClient(t, &http.Transport{DialContext: p.dial}))
		ended := make(chan error, 1)
		go func() { ended <- h.stop() }()
		synctest.Wait()
		for name, c := range map[string]struct {
			net.Conn
			rest string
		}{"half a request": {half, "Content-Length: 0\r\n\r\n"}, "an idle connection": {idle, request("GET", "/healthz", "", "")}} {
			go func() { _, _ = io.WriteString(c, c.rest) }()
			if r, err := readAnswer(bufio.NewReader(c)); err == nil {
				t.Errorf("%s: %d", name, r.status)
			}
		}
		if kind, err := s.last(t); err != nil || kind != "metadata" {
			t.Errorf("the stream ended with %q, %v", kind, err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestACallerThatHangsUpFreesTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := startPiped(t, lifelike+"sim: {faults: [{kind: slow, delay: 20s}]}\n")
		s := h.begin(t, newClient(t, &http.Transport{DialContext: p.dial}))
		_ = s.Body.Close()
		synctest.Wait()
		if err := h.stop(); err != nil {
			t.Error(err)
		}
		lines := h.log.lines(t, "invocation")
		if len(lines) != 1 || lines[0]["status"] != 499.0 || lines[0]["code"] != "ClientGone" {
			t.Errorf("recorded %v", lines)
		}
	})
}

func TestAServerThatNeverRanCanBeClosed(t *testing.T) {
	h := newServer(t, load(t, fast))
	if err := h.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	addr := strings.TrimPrefix(h.Server.URL(), "http://")
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.Close()
		t.Error("the address is still taken")
	}
}
