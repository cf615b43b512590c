package conformance_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// quiet bounds how long a server may take to be rid of what attacked it.
const quiet = 30 * time.Second

// dialAll opens connections and sends the same bytes on each.
func dialAll(t *testing.T, addr string, n int, sent []byte) (all []net.Conn) {
	t.Helper()
	for range n {
		c, err := net.DialTimeout("tcp", addr, rawTimeout)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		if _, err := c.Write(sent); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// trickle sends one byte at a time on each connection until it is closed.
func trickle(all []net.Conn, stop <-chan struct{}) *sync.WaitGroup {
	var running sync.WaitGroup
	for _, c := range all {
		running.Go(func() {
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					if _, err := c.Write([]byte("a")); err != nil {
						return
					}
				case <-stop:
					return
				}
			}
		})
	}
	return &running
}

// baseline is what the server holds when nothing happens.
type baseline struct{ sockets, goroutines int }

func (s *server) baseline(t *testing.T) baseline {
	t.Helper()
	for range 20 { // warm: pools, pollers, connections of the metrics
		s.honest(t)
	}
	s.settle(t)
	b := baseline{goroutines: s.goroutines(t)}
	http.DefaultClient.CloseIdleConnections()
	b.sockets = s.sockets(t)
	return b
}

// settle waits until the server has started what it starts of its own: the
// queue of batch jobs does so one after the other, within some seconds.
func (s *server) settle(t *testing.T) {
	t.Helper()
	const still = 4 * time.Second
	most, since := 0, time.Now()
	if !eventually(quiet, func() bool {
		if n := s.goroutines(t); n > most {
			most, since = n, time.Now()
		}
		return time.Since(since) > still
	}) {
		t.Fatalf("%d goroutines, and still more", most)
	}
}

// backTo fails the test unless the server comes back to the baseline.
func (s *server) backTo(t *testing.T, b baseline) {
	t.Helper()
	var sockets, goroutines int
	ok := eventually(quiet, func() bool {
		goroutines = s.goroutines(t)
		http.DefaultClient.CloseIdleConnections()
		sockets = s.sockets(t)
		return sockets <= b.sockets+3 && goroutines <= b.goroutines+8
	})
	if !ok {
		t.Errorf("%d sockets and %d goroutines stay, %d and %d before", sockets, goroutines, b.sockets, b.goroutines)
	}
}

// dropped fails the test unless the server closes every connection.
func dropped(t *testing.T, all []net.Conn) {
	t.Helper()
	deadline := time.Now().Add(quiet)
	for i, c := range all {
		_ = c.SetReadDeadline(deadline)
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("connection %d of %d stays open", i+1, len(all))
		}
	}
}

// TestSlowClients attacks with heads that never end, bodies of a byte now and
// then, and readers that never read, all at a time. An honest client is
// served meanwhile, and afterwards nothing is left.
func TestSlowClients(t *testing.T) {
	s := start(t, simulator()+"limits: {header_timeout: 5s, body_timeout: 5s, write_timeout: 2s}\n"+flood())
	before := s.baseline(t)
	heads := dialAll(t, s.Addr, 1000, []byte("POST "+conversePath+" HTTP/1.1\r\nHost: localhost\r\nX-Slow: a"))
	bodies := dialAll(t, s.Addr, 200, []byte("POST "+conversePath+" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nContent-Length: 100000\r\n\r\n{"))
	streams := dialAll(t, s.Addr, 20, request("/model/bench.flood-v1/converse-stream", text(`"flood"`)))
	stop := make(chan struct{})
	running := trickle(append(append([]net.Conn{}, heads...), bodies...), stop)
	if open := s.sockets(t); open < before.sockets+500 {
		t.Errorf("only %d sockets are open: this is no attack", open)
	}
	for range 20 {
		s.honest(t)
	}
	if peak := s.peakMB(t); peak > memoryMB(300) {
		t.Errorf("the server used %d MB", peak)
	}
	dropped(t, heads)
	dropped(t, bodies)
	close(stop)
	running.Wait()
	s.honest(t)
	if !eventually(quiet, func() bool { return s.sockets(t) <= before.sockets+3 }) {
		t.Errorf("%d of %d sockets stay: readers that do not read are kept", s.sockets(t), len(streams))
	}
	s.backTo(t, before)
}

// flood is a model that answers with more than sockets buffer.
func flood() string {
	return "models:\n  - id: bench.flood-v1\n    dialect: llama\n    context: 10000000\n    max_output: 5000000\n    engines:\n" +
		"      - kind: sim\n        speed: 0\n        replies:\n          - match: flood\n            text: |\n" +
		strings.Repeat("              "+strings.Repeat("water ", 100)+"\n", 1500)
}

func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	s := start(t, simulator()+"limits: {connections_per_address: 20, header_timeout: 30s}\n")
	var open []net.Conn
	for range 60 {
		c, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	kept := 0
	for _, c := range open {
		_, _ = c.Write([]byte("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"))
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		head := make([]byte, 12)
		if _, err := io.ReadFull(c, head); err == nil && bytes.HasPrefix(head, []byte("HTTP/1.1 200")) {
			kept++
		}
	}
	if kept != 20 {
		t.Errorf("%d of 60 connections are served, want 20", kept)
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	s := start(t, simulator()+"limits: {idle_timeout: 500ms}\n")
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write(bytes.ReplaceAll(request(conversePath, goodBody), []byte("Connection: close\r\n"), nil))
	dropped(t, []net.Conn{c})
}

// TestClientsThatLeave ends many streams in the middle, each after another
// number of bytes, and finds nothing left of them.
func TestClientsThatLeave(t *testing.T) {
	s := start(t, guarded())
	before := s.baseline(t)
	body := strings.TrimSuffix(text(`"Tell me a long story"`), "}") + `,"requestMetadata":{"fault":"slow"}}`
	var running sync.WaitGroup
	problems := make(chan error, 200)
	for i := range 200 {
		running.Go(func() {
			c, err := net.Dial("tcp", s.Addr)
			if err != nil {
				problems <- err
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(rawTimeout))
			_, _ = c.Write(request(conversePath+"-stream", body))
			if _, err := io.CopyN(io.Discard, c, int64(1+7*i%700)); err != nil {
				problems <- fmt.Errorf("after %d bytes: %w", 1+7*i%700, err)
			}
		})
	}
	running.Wait()
	close(problems)
	for err := range problems {
		t.Error(err)
	}
	s.backTo(t, before)
	s.honest(t)
}
