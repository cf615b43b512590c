package load_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outcrop/outcrop/bench/load"
	"github.com/outcrop/outcrop/eventstream"
)

// stream answers with a stream of two content events, unless the key is
// another than "good".
func stream(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	switch r.Header.Get("Authorization") {
	case "Bearer good":
	case "Bearer kept":
		<-r.Context().Done()
		return
	default:
		http.Error(w, "no", http.StatusTooManyRequests)
		return
	}
	for _, e := range [][2]string{{"messageStart", `{}`}, {"contentBlockDelta", `{"delta":{"text":"a"}}`}, {"contentBlockDelta", `{"delta":{"text":"b"}}`},
		{"messageStop", `{}`}, {"metadata", `{"usage":{}}`}} {
		_, _ = w.Write(eventstream.Seal(append(eventstream.Begin(nil, eventstream.EventHead(e[0])), e[1]...), 0))
	}
}

func client(t *testing.T) (*load.Client, *atomic.Int32) {
	t.Helper()
	opened := new(atomic.Int32)
	s := httptest.NewUnstartedServer(http.HandlerFunc(stream))
	s.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		opened.Add(1)
		return ctx
	}
	s.Start()
	c := load.NewClient(strings.TrimPrefix(s.URL, "http://"))
	t.Cleanup(func() {
		c.Close()
		s.Close()
	})
	return c, opened
}

func one(key string) load.Request {
	return load.Request{Path: "/model/m/converse-stream", Bearer: key, Body: []byte(`{}`), FirstBy: time.Now().Add(time.Hour), Rest: time.Hour}
}

func TestAClientSeesTheStreamAndKeepsTheConnection(t *testing.T) {
	c, opened := client(t)
	for range 3 {
		seen, err := c.Send(t.Context(), one("good"))
		if err != nil || seen.Status != 200 || seen.Events != 2 || seen.First.IsZero() || seen.Last.Before(seen.First) {
			t.Fatalf("%+v, %v", seen, err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestAClientTellsRefusalsTimeoutsAndCancellation(t *testing.T) {
	c, _ := client(t)
	if seen, err := c.Send(t.Context(), one("bad")); err == nil || seen.Status != http.StatusTooManyRequests {
		t.Errorf("a refusal: %+v, %v", seen, err)
	}
	late := one("kept")
	late.FirstBy = time.Now().Add(20 * time.Millisecond)
	if seen, err := c.Send(t.Context(), late); !errors.Is(err, os.ErrDeadlineExceeded) || !seen.First.IsZero() {
		t.Errorf("a timeout: %+v, %v", seen, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := c.Send(ctx, one("kept")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := c.Send(t.Context(), one("good")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
