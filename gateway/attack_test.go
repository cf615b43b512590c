package gateway_test

import (
	"bufio"
	"bytes"
	"database/sql"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestWhatIsMissingOfABodyIsNotWaitedFor answers before the body has come,
// which it never does, and expects the end of the connection and not more
// patience.
func TestWhatIsMissingOfABodyIsNotWaitedFor(t *testing.T) {
	const host = " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n"
	for name, c := range map[string]struct {
		sent   string
		within time.Duration
	}{
		"health check":         {"GET /healthz" + host + "Content-Length: 1000\r\n\r\n", 0},
		"metrics":              {"GET /metrics" + host + "Content-Length: 1000\r\n\r\nabc", 0},
		"refused framing":      {"POST " + conversePath + host + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 0},
		"refused encoding":     {"POST " + conversePath + host + "Content-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n", 0},
		"a body too slow":      {"POST " + conversePath + host + "Content-Length: 1000\r\n\r\n{", 20 * time.Second},
		"control, as too slow": {"GET /foundation-models" + host + "Content-Length: 1000\r\n\r\n", 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p := startPiped(t, fast+"limits: {body_timeout: 20s}\n")
				conn := p.connect(t)
				began := time.Now()
				go func() { _, _ = io.WriteString(conn, c.sent) }()
				_ = conn.SetReadDeadline(began.Add(time.Hour))
				answers := answersOf(t, conn)
				if took := time.Since(began); len(answers) != 1 || took > c.within+2*time.Second {
					t.Errorf("%d answers, closed after %v", len(answers), took)
				}
			})
		})
	}
}

func TestStoppingDoesNotWaitForAFreeConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := startPiped(t, fast+"limits: {connections: 1, drain_timeout: 5s, idle_timeout: 1h}\n")
		conn := p.connect(t)
		go func() { _, _ = io.WriteString(conn, request("GET", "/healthz", "", "")) }()
		if answer, err := readAnswer(bufio.NewReader(conn)); err != nil || answer.status != 200 {
			t.Fatalf("%v %+v", err, answer)
		}
		synctest.Wait() // the listener now waits for the one slot
		began := time.Now()
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("stopped after %v", took)
		}
	})
}

// TestACallerWhoStopsReadingHTTP2IsGivenUp opens all windows wide, so that
// nothing but the connection itself holds the answer back.
func TestACallerWhoStopsReadingHTTP2IsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := startPiped(t, fast+"limits: {write_timeout: 30s}\n")
		conn := p.connect(t)
		f := http2.NewFramer(conn, bufio.NewReader(conn))
		go func() {
			_, _ = io.WriteString(conn, http2.ClientPreface)
			_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h2Head(), EndHeaders: true})
			_ = f.WriteData(1, true, []byte(hello))
		}()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if frame.Header().Type == http2.FrameHeaders {
				break // the answer has begun, and is not read
			}
		}
		time.Sleep(5 * time.Minute)
		if len(h.log.lines(t, "invocation")) != 1 {
			t.Errorf("the call still goes on: %s", h.log)
		}
	})
}

func h2Head() []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "localhost"}, {":path", streamPath}, {"authorization", "Bearer x"}} {
		_ = e.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}) // never fails
	}
	return b.Bytes()
}

// TestADatabaseThatLostItsKeysOpensNoDoor removes all keys behind the back of
// a server that was started with one.
func TestADatabaseThatLostItsKeysOpensNoDoor(t *testing.T) {
	data := t.TempDir()
	aKey(t, data, nil)
	h := startOn(t, loadAt(t, fast, data))
	db, err := sql.Open("sqlite", filepath.Join(data, "outcrop.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "DELETE FROM keys"); err != nil {
		t.Fatal(err)
	}
	for len(h.log.lines(t, "keys reloaded")) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	client := newClient(t, &http.Transport{})
	if r := h.ask(t, client, "POST", conversePath, hello); r.status != 403 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestAWebPageCannotCallAnOpenServer(t *testing.T) {
	h := start(t, fast)
	client := newClient(t, &http.Transport{})
	for name, c := range map[string]struct {
		header, value string
		want          int
	}{
		"a page elsewhere":            {"Sec-Fetch-Site", "cross-site", 403},
		"a page on another port":      {"Sec-Fetch-Site", "same-site", 403},
		"an old browser":              {"Origin", "https://evil.example", 403},
		"a file":                      {"Origin", "null", 403},
		"a client that is no browser": {"User-Agent", "Boto3/1.40", 200},
		"somebody types":              {"Sec-Fetch-Site", "none", 200},
	} {
		req, err := http.NewRequest("POST", h.URL+conversePath, strings.NewReader(hello))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "text/plain") // asks for no preflight
		req.Header.Set(c.header, c.value)
		if r := do(t, client, req); r.status != c.want {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
}
