package runtimeapi_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outcrop/outcrop/runtimeapi"
)

func TestHTTPWireAnswersAtOnceAndWhole(t *testing.T) {
	w := httptest.NewRecorder()
	err := runtimeapi.NewHTTPWire(w, http.NewResponseController(w), time.Minute).Answer(424, "application/json", []runtimeapi.Field{{Name: "X-Amzn-Errortype", Value: "X"}}, []byte(`{"a":1}`))
	if err != nil || w.Code != 424 || w.Body.String() != `{"a":1}` {
		t.Errorf("%v %d %s", err, w.Code, w.Body)
	}
	want := http.Header{"Content-Type": {"application/json"}, "Content-Length": {"7"}, "X-Amzn-Errortype": {"X"}}
	if diff := cmp.Diff(want, w.Header()); diff != "" {
		t.Error(diff)
	}
}

func TestHTTPWireStreams(t *testing.T) {
	w := httptest.NewRecorder()
	h := runtimeapi.NewHTTPWire(w, http.NewResponseController(w), time.Minute)
	if err := h.Begin([]runtimeapi.Field{{Name: "X-Amzn-Bedrock-Content-Type", Value: "application/json"}}); err != nil {
		t.Fatal(err)
	}
	if err := h.Write([]byte("one "), false); err != nil || !w.Flushed {
		t.Errorf("%v, flushed %v", err, w.Flushed)
	}
	if err := h.Write([]byte("two"), true); err != nil || w.Body.String() != "one two" {
		t.Errorf("%v %q", err, w.Body)
	}
	want := http.Header{"Content-Type": {"application/vnd.amazon.eventstream"}, "X-Amzn-Bedrock-Content-Type": {"application/json"}}
	if diff := cmp.Diff(want, w.Result().Header); diff != "" {
		t.Error(diff)
	}
}

// onePipe is a listener with one connection.
type onePipe struct {
	conn chan net.Conn
	done chan struct{}
}

func (l *onePipe) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *onePipe) Close() error   { close(l.done); return nil }
func (l *onePipe) Addr() net.Addr { return &net.TCPAddr{} }

// overPipe serves handler on one connection and returns its other end.
func overPipe(t *testing.T, handler http.HandlerFunc) (client net.Conn) {
	client, server := net.Pipe()
	l := &onePipe{conn: make(chan net.Conn, 1), done: make(chan struct{})}
	l.conn <- server
	s := &http.Server{Handler: handler}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); _ = client.Close() })
	return client
}

func TestACallerThatStopsReadingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = 30 * time.Second
		var failed error
		var after time.Duration
		done := make(chan struct{})
		client := overPipe(t, func(w http.ResponseWriter, _ *http.Request) {
			defer close(done)
			h := runtimeapi.NewHTTPWire(w, http.NewResponseController(w), patience)
			began := time.Now()
			_ = h.Begin(nil)
			for failed == nil {
				failed = h.Write(make([]byte, 1000), false)
			}
			after = time.Since(began)
		})
		if _, err := io.WriteString(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-done
		if !errors.Is(failed, os.ErrDeadlineExceeded) || after < patience/2 || after > patience {
			t.Errorf("gave up after %v with %v", after, failed)
		}
	})
}

// TestACallerThatReadsSlowlyIsNotGivenUp has a caller who takes nearly half of
// the patience for each piece, at times when a part of it is gone already.
func TestACallerThatReadsSlowlyIsNotGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = 30 * time.Second
		client := overPipe(t, func(w http.ResponseWriter, _ *http.Request) {
			h := runtimeapi.NewHTTPWire(w, http.NewResponseController(w), patience)
			_ = h.Begin(nil)
			for i := range 20 {
				if err := h.Write([]byte{'0' + byte(i%10)}, i == 19); err != nil {
					t.Errorf("write %d: %v", i, err)
				}
				time.Sleep(time.Duration(i) * time.Second) // the engine thinks
			}
		})
		if _, err := io.WriteString(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		reply, err := http.ReadResponse(bufio.NewReader(slowReader{client, patience/2 - time.Second}), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(reply.Body)
		if err != nil || string(body) != "01234567890123456789" {
			t.Errorf("%v %q", err, body)
		}
	})
}

// A slowReader takes its time before each read.
type slowReader struct {
	io.Reader
	time time.Duration
}

func (r slowReader) Read(p []byte) (int, error) {
	time.Sleep(r.time)
	return r.Reader.Read(p)
}
