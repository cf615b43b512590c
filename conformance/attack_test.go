package conformance_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rawTimeout bounds one exchange over a raw socket.
const rawTimeout = 20 * time.Second

// memoryMB is what a server under attack may use, in MB. The race detector
// multiplies memory.
func memoryMB(limit int) int {
	if raceEnabled {
		return limit * 6
	}
	return limit
}

// guarded is the configuration of the attacks: short time-outs, so that the
// suite is quick, and everything else as it comes.
func guarded() string {
	return simulator() + "limits: {header_timeout: 1s, body_timeout: 1s, write_timeout: 1s, idle_timeout: 5s}\n"
}

// An exchange is what a raw socket got.
type exchange struct {
	answers []answer
	closed  bool // the server closed the connection
}

type answer struct {
	status int
	header http.Header
	body   string
}

// code is the answer's error, by its name in the API.
func (a answer) code() string {
	code, _, _ := strings.Cut(a.header.Get("X-Amzn-Errortype"), ":")
	return code
}

// speak sends the bytes on a connection of their own and reads all answers,
// until the server closes the connection or has answered and stays quiet.
func speak(t *testing.T, addr string, request []byte) (e exchange) {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, rawTimeout)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(rawTimeout))
	go func() { _, _ = c.Write(request) }() // the server may answer before it has read all
	r := bufio.NewReader(c)
	for {
		got, err := readAnswer(r)
		if err != nil {
			var late net.Error
			e.closed = !(errors.As(err, &late) && late.Timeout())
			return e
		}
		e.answers = append(e.answers, got)
		_ = c.SetReadDeadline(time.Now().Add(time.Second)) // time for an answer that must not come
	}
}

func readAnswer(r *bufio.Reader) (a answer, err error) {
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body) // cut off by a reset if the server refuses to read on
	return answer{response.StatusCode, response.Header, string(body)}, nil
}

const goodBody = `{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}`

const conversePath = "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse"

// request is a whole request with a body; the lines of head replace Host,
// Authorization and Content-Length only if they are given.
func request(path, body string, head ...string) []byte {
	if len(head) == 0 {
		head = []string{"Host: localhost", "Authorization: Bearer x", "Connection: close", "Content-Length: " + strconv.Itoa(len(body))}
	}
	return []byte("POST " + path + " HTTP/1.1\r\n" + strings.Join(head, "\r\n") + "\r\n\r\n" + body)
}

// honest fails the test unless the server answers an ordinary request.
func (s *server) honest(t *testing.T) {
	t.Helper()
	e := speak(t, s.Addr, request(conversePath, goodBody))
	if len(e.answers) != 1 || e.answers[0].status != http.StatusOK {
		t.Errorf("an honest request gets %+v", e)
	}
}

// TestFraming sends requests on whose end two parsers could disagree. Each
// must get one refusal, and the connection must be closed, so that nothing of
// the body can run as a second request.
func TestFraming(t *testing.T) {
	s := start(t, guarded())
	second := "POST " + conversePath + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\nContent-Length: " + strconv.Itoa(len(goodBody)) + "\r\n\r\n" + goodBody
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(goodBody), goodBody)
	line := "POST " + conversePath + " HTTP/1.1\r\n"
	host := "Host: localhost\r\nAuthorization: Bearer x\r\n"
	length := "Content-Length: " + strconv.Itoa(len(goodBody)) + "\r\n"
	for name, sent := range map[string]string{
		"HTTP/1.0 with a chunked body":         "POST " + conversePath + " HTTP/1.0\r\nConnection: keep-alive\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" + second,
		"HTTP/1.0":                             "POST " + conversePath + " HTTP/1.0\r\nConnection: keep-alive\r\n" + host + length + "\r\n" + goodBody,
		"both lengths":                         line + host + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + second,
		"both lengths, the other way round":    line + host + "Transfer-Encoding: chunked\r\nContent-Length: " + strconv.Itoa(len(chunked)+len(second)) + "\r\n\r\n" + chunked + second,
		"a chunked body":                       line + host + "Transfer-Encoding: chunked\r\n\r\n" + chunked,
		"an absolute target":                   "POST http://elsewhere" + conversePath + " HTTP/1.1\r\n" + host + length + "\r\n" + goodBody,
		"an authority as target":               "CONNECT localhost:80 HTTP/1.1\r\n" + host + "\r\n",
		"two different lengths":                line + host + "Content-Length: 4\r\n" + length + "\r\n" + goodBody,
		"a list of lengths":                    line + host + "Content-Length: 4, 59\r\n\r\n" + goodBody,
		"a negative length":                    line + host + "Content-Length: -1\r\n\r\n" + goodBody,
		"a signed length":                      line + host + "Content-Length: +59\r\n\r\n" + goodBody,
		"a blank before the colon":             line + host + "Content-Length : 59\r\n\r\n" + goodBody,
		"an unknown encoding":                  line + host + "Transfer-Encoding: xchunked\r\n\r\n" + chunked,
		"two encodings":                        line + host + "Transfer-Encoding: chunked, identity\r\n\r\n" + chunked,
		"no host":                              line + "Authorization: Bearer x\r\n" + length + "\r\n" + goodBody,
		"two hosts":                            line + host + "Host: elsewhere\r\n" + length + "\r\n" + goodBody,
		"a NUL in a header":                    line + host + "X-A: a\x00b\r\n" + length + "\r\n" + goodBody,
		"a header without a colon":             line + host + "nonsense\r\n" + length + "\r\n" + goodBody,
		"no HTTP at all":                       "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n",
		"a compressed body":                    line + host + "Content-Encoding: gzip\r\n" + length + "\r\n" + goodBody,
		"a head of 40 KiB":                     line + host + "X-Long: " + strings.Repeat("a", 40<<10) + "\r\n" + length + "\r\n" + goodBody,
		"a head of ten thousand fields":        line + host + strings.Repeat("X-A: b\r\n", 10_000) + length + "\r\n" + goodBody,
		"a request line of 100 KiB":            "POST /model/" + strings.Repeat("a", 100<<10) + "/converse HTTP/1.1\r\n" + host + length + "\r\n" + goodBody,
		"a body that is larger than announced": line + host + "Connection: close\r\nContent-Length: 4\r\n\r\n" + goodBody + second,
	} {
		t.Run(name, func(t *testing.T) {
			e := speak(t, s.Addr, []byte(sent))
			if len(e.answers) != 1 {
				t.Fatalf("%d answers: %+v", len(e.answers), e.answers)
			}
			if status := e.answers[0].status; status < 400 || status == 500 {
				t.Errorf("status %d: %.200s", status, e.answers[0].body)
			}
			if !e.closed {
				t.Error("the connection stays open")
			}
		})
	}
	s.honest(t)
}

func TestSignedHeadersOfEveryCaseAndPipelinedRequestsAreServed(t *testing.T) {
	s := start(t, guarded())
	lower := []byte("POST " + conversePath + " HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer x\r\ncontent-length: " + strconv.Itoa(len(goodBody)) + "\r\n\r\n" + goodBody)
	e := speak(t, s.Addr, bytes.Repeat(lower, 3))
	if len(e.answers) != 3 {
		t.Fatalf("%d answers to three pipelined requests", len(e.answers))
	}
	for _, a := range e.answers {
		if a.status != http.StatusOK {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	}
}

func TestExpectContinueIsServed(t *testing.T) {
	s := start(t, guarded())
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(rawTimeout))
	_, _ = c.Write(request(conversePath, "", "Host: localhost", "Authorization: Bearer x", "Expect: 100-continue", "Content-Length: "+strconv.Itoa(len(goodBody))))
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = r.ReadString('\n')
	_, _ = io.WriteString(c, goodBody)
	if a, err := readAnswer(r); err != nil || a.status != http.StatusOK {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestModelIDsThatAreNone sends what attackers put into paths. Each gets a
// modelled error, none is followed, and none reaches a metric's label.
func TestModelIDsThatAreNone(t *testing.T) {
	s := start(t, guarded())
	for _, id := range []string{"..", ".", "%2e%2e", "%2E%2E%2F", "..%2f..%2fetc%2fpasswd", "a%2Fb", "a%5Cb", "%00", "a%00b", "%0a", "a%0d%0aX-Evil:%201", "%22", "%27",
		"'%20or%201=1", "%252e%252e", "%252e%252e%252f", "%25%32%65%25%32%65", "%", "%zz", "a%", "%C0%AF", "%FF", "a%20b", "a+b", "a;b", "a&b", strings.Repeat("a", 2049), strings.Repeat("a", 10_000),
		"arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2F..%2F..%2Fx", "arn:aws:bedrock:us-east-1::foundation-model/../x", "arn%3Aaws%3As3%3A%3A%3Abucket", "x/../y", "", "%EF%BC%8E%EF%BC%8E"} {
		for _, operation := range []string{"converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens"} {
			e := speak(t, s.Addr, request("/model/"+id+"/"+operation, goodBody, "Host: localhost", "Authorization: Bearer x", "Connection: close", "Content-Length: "+strconv.Itoa(len(goodBody))))
			if len(e.answers) != 1 {
				t.Fatalf("%.60q: %d answers", id, len(e.answers))
			}
			a := e.answers[0]
			if a.status != 400 && a.status != 404 {
				t.Errorf("%.60q %s: status %d, %.200s", id, operation, a.status, a.body)
			}
			if a.header.Get("X-Evil") != "" {
				t.Errorf("%.60q splits the response", id)
			}
		}
	}
	response, err := http.Get(s.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	metrics, _ := io.ReadAll(response.Body)
	for _, odd := range []string{"passwd", "or 1=1", "aaaaaaaaaaaaaaaa", "foundation-model"} {
		if bytes.Contains(metrics, []byte(odd)) {
			t.Errorf("the metrics hold %q", odd)
		}
	}
	s.honest(t)
}

func TestARNsInAnyEncodingAreServed(t *testing.T) {
	s := start(t, guarded())
	for _, id := range []string{
		"arn:aws:bedrock:us-east-1::foundation-model/" + haiku,
		"arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Fanthropic.claude-3-haiku-20240307-v1%3A0",
		"arn%253Aaws%253Abedrock%253Aus-east-1%253A%253Afoundation-model%252Fanthropic.claude-3-haiku-20240307-v1%253A0",
		"arn:aws:bedrock:us-east-1::foundation-model%2F" + haiku, haiku, "us." + haiku, strings.ReplaceAll(haiku, ":", "%3a"),
	} {
		e := speak(t, s.Addr, request("/model/"+id+"/converse", goodBody))
		if len(e.answers) != 1 || e.answers[0].status != http.StatusOK {
			t.Errorf("%s gets %+v", id, e.answers)
		}
	}
}

func TestUnknownOperations(t *testing.T) {
	s := start(t, guarded())
	for _, sent := range []string{"GET / HTTP/1.1", "POST /model/x/no-such-operation HTTP/1.1", "DELETE /foundation-models HTTP/1.1", "POST /guardrails HTTP/1.1", "GET " + conversePath + " HTTP/1.1",
		"POST //model/x/converse HTTP/1.1", "POST /model/x/converse/ HTTP/1.1", "OPTIONS * HTTP/1.1", "BREW /coffee HTTP/1.1"} {
		e := speak(t, s.Addr, []byte(sent+"\r\nHost: localhost\r\nAuthorization: Bearer x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
		if len(e.answers) != 1 {
			t.Fatalf("%s: %d answers", sent, len(e.answers))
		}
		if a := e.answers[0]; strings.HasPrefix(sent, "OPTIONS") {
			continue // net/http answers it itself
		} else if a.status != http.StatusNotFound || a.code() != "UnknownOperationException" || a.header.Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s: %d %s %s", sent, a.status, a.code(), a.body)
		}
	}
}

// TestWebPagesCannotCallAnOpenServer sends what a browser sends for a page of
// another site: its origin, or its own name made to point at this machine.
func TestWebPagesCannotCallAnOpenServer(t *testing.T) {
	s := start(t, simulator())
	length := "Content-Length: " + strconv.Itoa(len(goodBody))
	for name, head := range map[string][]string{
		"another name":       {"Host: rebound.example", "Authorization: Bearer x", "Connection: close", length},
		"another name, port": {"Host: rebound.example:8484", "Authorization: Bearer x", "Connection: close", length},
		"another origin":     {"Host: localhost", "Origin: https://elsewhere.example", "Sec-Fetch-Site: cross-site", "Authorization: Bearer x", "Connection: close", length},
	} {
		e := speak(t, s.Addr, request(conversePath, goodBody, head...))
		if len(e.answers) != 1 || e.answers[0].status < 400 {
			t.Errorf("%s: %+v", name, e.answers)
		}
	}
	s.honest(t)
}
