package h1_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/outcrop/outcrop/h1"
)

// quick answers without allocating, so that the client alone is counted.
func quick(answer string) func(int, net.Conn, *bufio.Reader) {
	b := []byte(answer)
	return func(_ int, c net.Conn, r *bufio.Reader) {
		in, end := make([]byte, 256<<10), []byte(`"a":1}`)
		n := 0
		for {
			m, err := c.Read(in[n:])
			if err != nil {
				return
			}
			if n += m; bytes.HasSuffix(in[:n], end) {
				n = 0
				c.Write(b)
			}
		}
	}
}

var small = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024)

func TestAWarmRequestAllocatesLittle(t *testing.T) {
	e := newEngine(t, quick(small))
	h := newHost(t, e.url, generous)
	p := make([]byte, 16<<10)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		most float64
	}{
		"without a context that can end": {context.Background(), 1}, // the Response
		"with one":                       {ctx, 3},                  // and the two of context.AfterFunc
	} {
		n := testing.AllocsPerRun(200, func() { exchangeOnce(t, c.ctx, h, p) })
		if n > c.most {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func exchangeOnce(t testing.TB, ctx context.Context, h *h1.Host, p []byte) {
	r, err := h.Do(ctx, post)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = r.Read(p)
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	r.Close()
}

func BenchmarkUnary(b *testing.B) {
	e := newEngine(b, quick(small))
	h := newHost(b, e.url, generous)
	p := make([]byte, 16<<10)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		exchangeOnce(b, ctx, h, p)
	}
}

func BenchmarkUnaryNetHTTP(b *testing.B) {
	e := newEngine(b, quick(small))
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	p := make([]byte, 16<<10)
	b.ReportAllocs()
	for b.Loop() {
		req, _ := http.NewRequestWithContext(b.Context(), "POST", e.url+"/v1/chat", bytes.NewReader(post.Body))
		r, err := transport.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = r.Body.Read(p)
		}
		r.Body.Close()
	}
}

// events is a stream of n events, one per chunk.
func events(n int) string {
	var s strings.Builder
	s.WriteString("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
	for i := range n {
		event := fmt.Sprintf("data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word %d\"}}]}\n\n", i)
		fmt.Fprintf(&s, "%x\r\n%s\r\n", len(event), event)
	}
	s.WriteString("0\r\n\r\n")
	return s.String()
}

func TestReadingAStreamAllocatesNothing(t *testing.T) {
	tiny := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("2\r\nab\r\n", 20_000) + "0\r\n\r\n"
	for name, stream := range map[string]string{"events": events(2000), "tiny chunks": tiny} {
		e := newEngine(t, quick(stream))
		h := newHost(t, e.url, generous)
		for _, size := range []int{100, 5000} {
			p := make([]byte, size)
			if n := testing.AllocsPerRun(20, func() { exchangeOnce(t, context.Background(), h, p) }); n > 1 {
				t.Errorf("%s, reads of %d bytes: %v allocations", name, size, n)
			}
		}
	}
}

func BenchmarkStream64(b *testing.B) {
	e := newEngine(b, quick(events(64)))
	h := newHost(b, e.url, generous)
	p := make([]byte, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		exchangeOnce(b, b.Context(), h, p)
	}
}
