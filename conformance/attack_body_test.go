package conformance_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// text is a Converse body with the raw JSON string as its text.
func text(raw string) string {
	return `{"messages":[{"role":"user","content":[{"text":` + raw + `}]}]}`
}

func with(member string) string {
	return strings.TrimSuffix(goodBody, "}") + "," + member + "}"
}

// TestBodiesThatAreNone sends what is no request. Each gets a
// ValidationException, and memory stays bounded.
func TestBodiesThatAreNone(t *testing.T) {
	s := start(t, guarded())
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(w, goodBody)
	_ = w.Close()
	for name, body := range map[string]string{
		"nothing":                           "",
		"no JSON":                           "hello",
		"truncated":                         goodBody[:len(goodBody)-3],
		"a byte too many":                   goodBody + "}",
		"two documents":                     goodBody + goodBody,
		"a byte order mark":                 "\ufeff" + goodBody,
		"UTF-16":                            "\xff\xfe{\x00}\x00",
		"a list":                            "[" + goodBody + "]",
		"null":                              "null",
		"gzip without saying so":            zipped.String(),
		"invalid UTF-8":                     text("\"a\xffb\""),
		"an overlong encoding":              text("\"a\xc0\xafb\""),
		"an encoded surrogate":              text("\"a\xed\xa0\x80b\""),
		"a lone surrogate":                  text(`"a\ud800b"`),
		"a surrogate pair the wrong way":    text(`"\udc00\ud800"`),
		"a control character":               text("\"a\x01b\""),
		"a NUL":                             text("\"a\x00b\""),
		"an escape that is none":            text(`"a\x41b"`),
		"a short escape":                    text(`"a\u12"`),
		"an unknown member with bad UTF-8":  with("\"unknown\":\"\xff\""),
		"a bad number":                      with(`"inferenceConfig":{"maxTokens":01}`),
		"a number that is too large":        with(`"inferenceConfig":{"maxTokens":1e400}`),
		"a number beyond 32 bits":           with(`"inferenceConfig":{"maxTokens":99999999999}`),
		"a number with a point":             with(`"inferenceConfig":{"maxTokens":1.}`),
		"a negative number":                 with(`"inferenceConfig":{"maxTokens":-5}`),
		"zero":                              with(`"inferenceConfig":{"maxTokens":0}`),
		"not a number":                      with(`"inferenceConfig":{"temperature":NaN}`),
		"infinity":                          with(`"inferenceConfig":{"temperature":1e999}`),
		"the same name twice":               with(`"inferenceConfig":{"maxTokens":1,"maxTokens":1000000}`),
		"messages twice":                    with(`"messages":[{"role":"user","content":[{"text":"other"}]}]`),
		"the same name in another spelling": with(`"inferenceConfig":{"maxTokens":1,"max\u0054okens":1000000}`),
		"a union with two keys":             `{"messages":[{"role":"user","content":[{"text":"a","image":{"format":"png","source":{"bytes":"AQI="}}}]}]}`,
		"bad base64":                        `{"messages":[{"role":"user","content":[{"text":"a"},{"image":{"format":"png","source":{"bytes":"A=I="}}}]}]}`,
		"deep objects":                      with(`"additionalModelRequestFields":` + strings.Repeat(`{"a":`, 9_999) + "1" + strings.Repeat("}", 9_999)),
		"deep lists":                        with(`"additionalModelRequestFields":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)),
		"deep and unclosed":                 strings.Repeat("[", 5<<20),
		"deep and unknown":                  with(`"unknown":` + strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999)),
		"six megabytes of empty objects":    `{"messages":[` + strings.Repeat("{},", 2<<20) + `{}]}`,
		"a million content blocks":          `{"messages":[{"role":"user","content":[` + strings.Repeat(`{"text":""},`, 1<<20) + `{"text":"a"}]}]}`,
		"a comment":                         "/* hello */" + goodBody,
		"single quotes":                     strings.ReplaceAll(goodBody, `"`, "'"),
		"a trailing comma":                  strings.TrimSuffix(goodBody, "}") + ",}",
	} {
		t.Run(name, func(t *testing.T) {
			e := speak(t, s.Addr, request(conversePath, body))
			if len(e.answers) != 1 {
				t.Fatalf("%d answers", len(e.answers))
			}
			a := e.answers[0]
			if a.status != http.StatusBadRequest || a.code() != "ValidationException" || a.header.Get("X-Amzn-Requestid") == "" {
				t.Errorf("%d %s %.300s", a.status, a.code(), a.body)
			}
			if len(a.body) > 16<<10 {
				t.Errorf("the answer has %d bytes", len(a.body))
			}
		})
	}
	s.honest(t)
	if peak := s.peakMB(t); peak > memoryMB(300) {
		t.Errorf("the server used %d MB", peak)
	}
}

func TestUnknownMembersAreIgnored(t *testing.T) {
	s := start(t, guarded())
	for _, member := range []string{`"unknown":1`, `"MaxTokens":5`, `"MESSAGES":[]`, `"unknown":{"deep":[{"er":null}]}`, `"inferenceConfig":{"MAX_TOKENS":0,"topK":-1}`, `"system":null`} {
		e := speak(t, s.Addr, request(conversePath, with(member)))
		if len(e.answers) != 1 || e.answers[0].status != http.StatusOK {
			t.Errorf("%s gets %+v", member, e.answers)
		}
	}
}

// largest is the most bytes that a body may have.
const largest = 25_000_000

func TestBodiesOverTheLimitAreRefusedUnread(t *testing.T) {
	s := start(t, guarded())
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(rawTimeout))
	_, _ = c.Write(request(conversePath, "{", "Host: localhost", "Authorization: Bearer x", "Content-Length: "+strconv.Itoa(largest+1)))
	all, _ := io.ReadAll(c) // the answer comes though the body never does
	if !bytes.HasPrefix(all, []byte("HTTP/1.1 400")) && !bytes.HasPrefix(all, []byte("HTTP/1.1 413")) {
		t.Errorf("the answer is %.300s", all)
	}
	s.honest(t)
}

func TestBodiesUpToTheLimitAreRead(t *testing.T) {
	s := start(t, guarded())
	body := text(`"` + strings.Repeat("a", largest-len(text(`""`))) + `"`)
	if len(body) != largest {
		t.Fatalf("the body has %d bytes", len(body))
	}
	e := speak(t, s.Addr, request(conversePath, body))
	if len(e.answers) != 1 {
		t.Fatalf("%d answers", len(e.answers))
	}
	if a := e.answers[0]; a.status != http.StatusBadRequest || strings.Contains(a.body, "larger than") { // too long for the model, not for the server
		t.Errorf("%d %.300s", a.status, a.body)
	}
}

func TestManyLargeBodiesAtATimeAreBounded(t *testing.T) {
	s := start(t, guarded())
	body := request(conversePath, text(`"`+strings.Repeat("a", 20<<20)+`"`))
	done := make(chan error, 30)
	for range cap(done) {
		go func() {
			c, err := net.Dial("tcp", s.Addr)
			if err != nil {
				done <- err
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(2 * rawTimeout))
			go func() { _, _ = c.Write(body) }()
			all, _ := io.ReadAll(io.LimitReader(c, 12))
			if !bytes.HasPrefix(all, []byte("HTTP/1.1 ")) {
				err = fmt.Errorf("the answer is %q", all)
			}
			done <- err
		}()
	}
	refused := 0
	for range cap(done) {
		if err := <-done; err != nil {
			refused++ // cut off, which is one way to say no
		}
	}
	if peak := s.peakMB(t); peak > memoryMB(1200) {
		t.Errorf("the server used %d MB for %d bodies of 20 MB (%d cut off)", peak, cap(done), refused)
	}
	s.honest(t)
}
