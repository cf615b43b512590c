package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outcrop/outcrop/config"
)

// sized is a good body of n bytes.
func sized(n int) string { return hello + strings.Repeat(" ", n-len(hello)) }

func TestTheDefaultLimitIsBedrocks(t *testing.T) {
	cfg, problems := config.Load("", nil, nil)
	if len(problems) > 0 || cfg.Limits.Body != 25_000_000 {
		t.Errorf("%v, %d bytes", problems, cfg.Limits.Body)
	}
}

func TestBodiesUpToTheLimitAndNotAByteMore(t *testing.T) {
	h := start(t, fast+"limits: {body: 200KB}\n")
	for name, transport := range protocols() {
		client := newClient(t, transport)
		for size, want := range map[int]int{len(hello): 200, 64 << 10: 200, 64<<10 + 1: 200, 199_999: 200, 200_000: 200, 200_001: 400, 300_000: 400} {
			r := h.ask(t, client, "POST", conversePath, sized(size))
			if r.status != want || want == 400 && r.message() != "The request body is larger than the limit of 200000 bytes." {
				t.Errorf("%s, %d bytes: %d %.200s", name, size, r.status, r.body)
			}
		}
	}
}

// protocols holds a transport for each way to talk to a cleartext port.
func protocols() map[string]*http.Transport {
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	return map[string]*http.Transport{"HTTP/1.1": {}, "HTTP/2": {Protocols: h2}}
}

func TestABodyOverTheLimitIsRefusedUnread(t *testing.T) {
	h := start(t, fast)
	answers := h.raw(t, "POST "+conversePath+" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nContent-Length: 25000001\r\n\r\n")
	if len(answers) != 1 || answers[0].status != 400 || answers[0].code() != "ValidationException" || !answers[0].closes {
		t.Errorf("%+v", answers)
	}
}

// endless is a body without an end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

func TestABodyWithoutAnEndIsRefusedAtTheLimit(t *testing.T) {
	h := start(t, fast+"limits: {body: 200KB}\n")
	client := newClient(t, protocols()["HTTP/2"])
	body := &endless{}
	req, err := http.NewRequest("POST", h.URL+conversePath, body) // of unknown length
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer x")
	r := do(t, client, req)
	if r.status != 400 || !strings.Contains(r.message(), "200000") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestABodyThatIsCutShortIsNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := startPiped(t, fast)
		for _, sent := range []int{0, 1, len(hello) - 1} {
			c := p.connect(t)
			if _, err := fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", conversePath, len(hello), hello[:sent]); err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
		}
		synctest.Wait()
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
		lines := h.log.lines(t, "invocation")
		if len(lines) != 3 {
			t.Fatalf("%d lines: %s", len(lines), h.log)
		}
		for _, line := range lines {
			if line["status"] == 200.0 {
				t.Errorf("recorded %v", line)
			}
		}
	})
}

// TestACallerWhoHasGoneBeforeHisBodyWasReadIsNoFault sends all of a request,
// and hangs up at once: when he is noticed is left to chance.
func TestACallerWhoHasGoneBeforeHisBodyWasReadIsNoFault(t *testing.T) {
	h := start(t, fast)
	const many = 20
	for range many {
		c, err := net.Dial("tcp", h.addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, request("POST", conversePath, "", strings.Repeat("a", 100_000))); err != nil {
			t.Error(err)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Error(err)
		}
		if b, _ := io.ReadAll(c); strings.HasPrefix(string(b), "HTTP/1.1 2") || strings.HasPrefix(string(b), "HTTP/1.1 5") {
			t.Errorf("he was told %q", b)
		}
		_ = c.Close()
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	lines := h.log.lines(t, "invocation")
	for _, line := range lines {
		if line["status"] != 499.0 && line["status"] != 400.0 {
			t.Errorf("recorded %v", line)
		}
	}
	if len(lines) != many {
		t.Errorf("%d lines of log", len(lines))
	}
}

func TestABodyThatComesTooSlowlyIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		limits string
		every  time.Duration // between two bytes
		within time.Duration
	}{
		"pause":         {"{body_timeout: 20s, body_rate: 0}", time.Hour, 20 * time.Second},
		"drip":          {"{body_timeout: 20s, body_rate: 1KiB}", time.Second, 16 * time.Second}, // 16 KiB at 1 KiB/s
		"drip, patient": {"{body_timeout: 5s, body_rate: 1KiB}", time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p := startPiped(t, fast+"limits: "+c.limits+"\n")
				conn := p.connect(t)
				began := time.Now()
				go drip(t, conn, "POST "+conversePath+" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", " ", c.every)
				answers := answersOf(t, conn)
				took := time.Since(began)
				if len(answers) != 1 || answers[0].status != 400 || answers[0].message() != "The request body arrived too slowly." || !answers[0].closes {
					t.Fatalf("%+v", answers)
				}
				if took < c.within || took > c.within+2*time.Second {
					t.Errorf("refused after %v, want %v", took, c.within)
				}
				_ = conn.Close()
			})
		})
	}
}

// drip writes head and then drop after drop, until the test or the connection
// ends.
func drip(t *testing.T, to io.Writer, head, drop string, every time.Duration) {
	_, err := io.WriteString(to, head)
	for err == nil {
		select {
		case <-t.Context().Done():
			return
		case <-time.After(every):
		}
		_, err = io.WriteString(to, drop)
	}
}

// TestABodyThatNobodyWantsHoldsNothing sends heads that are refused at once,
// or need no body, and then no body. The connection must end all the same.
func TestABodyThatNobodyWantsHoldsNothing(t *testing.T) {
	for _, head := range []string{
		"POST " + conversePath + " HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n",
		"POST " + conversePath + " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST " + conversePath + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			_, p := startPiped(t, fast+"limits: {body: 1KB, body_timeout: 20s}\n")
			conn := p.connect(t)
			began := time.Now()
			go drip(t, conn, head, " ", time.Hour)
			if answers := answersOf(t, conn); len(answers) != 1 {
				t.Errorf("%.60q: %d answers", head, len(answers))
			}
			if took := time.Since(began); took > 45*time.Second {
				t.Errorf("%.60q: the connection ended after %v", head, took)
			}
		})
	}
}

func TestASlowBodyAboveTheRateIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := startPiped(t, fast+"limits: {body_timeout: 20s, body_rate: 1KiB}\n")
		conn := p.connect(t)
		body := sized(100_000)
		go func() {
			_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", conversePath, len(body))
			for rest := body; len(rest) > 0; time.Sleep(time.Second) {
				n := min(2048, len(rest))
				_, _ = io.WriteString(conn, rest[:n])
				rest = rest[n:]
			}
		}()
		answers := answersOf(t, conn)
		if len(answers) != 1 || answers[0].status != 200 {
			t.Errorf("%+v", answers)
		}
		_ = conn.Close()
		time.Sleep(time.Minute) // the writer ends
	})
}

func TestAHeadThatNeverEndsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := startPiped(t, fast+"limits: {header_timeout: 5s}\n")
		conn := p.connect(t)
		began := time.Now()
		go drip(t, conn, "POST / HTTP/1.1\r\n", "X: y\r\n", time.Second)
		_, _ = io.ReadAll(conn)
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("given up after %v", took)
		}
	})
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := startPiped(t, fast+"limits: {idle_timeout: 90s}\n")
		conn := p.connect(t)
		go func() { _, _ = io.WriteString(conn, request("POST", conversePath, "", hello)) }()
		r := bufio.NewReader(conn)
		if answer, err := readAnswer(r); err != nil || answer.status != 200 {
			t.Fatalf("%v %+v", err, answer)
		}
		began := time.Now()
		_, err := r.ReadByte()
		if took := time.Since(began); err != io.EOF || took != 90*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestAnOldWriteDeadlineDoesNotHurtTheNextRequest asks for what no runtime
// call writes, on a connection whose last runtime call set a write deadline
// that is over by now.
func TestAnOldWriteDeadlineDoesNotHurtTheNextRequest(t *testing.T) {
	for _, next := range []string{
		request("GET", "/foundation-models", "", ""), request("GET", "/healthz", "", ""), request("GET", "/nothing", "", ""), request("POST", conversePath, "", hello),
		request("POST", conversePath, "Expect: 100-continue\r\n", hello),
	} {
		synctest.Test(t, func(t *testing.T) {
			_, p := startPiped(t, fast+"limits: {write_timeout: 30s, idle_timeout: 10m}\n")
			conn := p.connect(t)
			r := bufio.NewReader(conn)
			go func() { _, _ = io.WriteString(conn, request("POST", conversePath, "", hello)) }()
			if answer, err := readAnswer(r); err != nil || answer.status != 200 {
				t.Fatalf("%v %+v", err, answer)
			}
			time.Sleep(time.Minute)
			go func() { _, _ = io.WriteString(conn, next) }()
			answer, err := readAnswer(r)
			if answer.status == 100 {
				answer, err = readAnswer(r)
			}
			if err != nil || answer.status == 0 {
				t.Errorf("%.40q after a minute: %v", next, err)
			}
		})
	}
}

func TestACallerThatReadsNothingIsGivenUp(t *testing.T) {
	for _, path := range []string{"/foundation-models", "/metrics", "/healthz", "/nothing"} {
		synctest.Test(t, func(t *testing.T) {
			h, p := startPiped(t, fast+"limits: {write_timeout: 30s, drain_timeout: 1h}\n")
			conn := p.connect(t)
			if _, err := io.WriteString(conn, request("GET", path, "", "")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			began := time.Now()
			if err := h.stop(); err != nil || time.Since(began) > time.Minute {
				t.Errorf("%s: %v, the server waited for %v", path, err, time.Since(began))
			}
		})
	}
}

func TestAModelMayThinkLongerThanABodyMayTake(t *testing.T) {
	for name, transport := range protocols() {
		synctest.Test(t, func(t *testing.T) {
			h, p := startPiped(t, "listen: 127.0.0.1:0\nlimits: {body_timeout: 1s}\nsim: {speed: 0, faults: [{kind: delay, delay: 50s}]}\n")
			transport.DialContext = p.dial
			r := h.ask(t, newClient(t, transport), "POST", conversePath, hello)
			transport.CloseIdleConnections()
			if r.status != 200 {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
		})
	}
}

// TestTheMemoryOfLargeBodiesIsGivenBack sends more than all of them together
// may hold, one after the other.
func TestTheMemoryOfLargeBodiesIsGivenBack(t *testing.T) {
	h := start(t, fast)
	client := newClient(t, &http.Transport{})
	body := strings.Repeat(" ", 17_000_000)
	for i := range 20 {
		if r := h.ask(t, client, "POST", "/nothing", body); r.status != 404 {
			t.Fatalf("body %d: %d %s", i, r.status, r.body)
		}
	}
}
