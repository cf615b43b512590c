// Package upstream holds the engines that are reached over HTTP: servers of
// OpenAI's API, of the Anthropic Messages API, and of Bedrock's own. Each is
// an outcrop.Model and an outcrop.Counter.
//
// Engines are named by the operator alone. There are no redirects and no
// proxies, and a name of the public DNS cannot lead to an address of the
// machine itself or of its cloud's metadata service.
package upstream

import (
	"errors"
	"fmt"
	"net/url"
	"sort"
	"strings"
	"time"

	"github.com/outcrop/outcrop/h1"
)

// A Server says where an engine is and how long to wait for it.
type Server struct {
	Name string // in receipts, logs and metrics; host:port if empty
	URL  string // http or https; see the engine for what becomes of its path
	// Headers are sent with each request, under names that are none of HTTP's
	// own.
	Headers  map[string]Secret
	Timeouts Timeouts
	// Dial opens connections; nil means TCP with a guard over addresses.
	Dial Dial
}

// Timeouts limit how long an engine may take; 0 means the default.
type Timeouts struct {
	Connect    time.Duration // TCP and TLS together; 5 s
	FirstToken time.Duration // of a stream, from sending the request; 120 s
	Idle       time.Duration // between two pieces of an answer after that; 60 s
	// Answer is how long an engine may work on an answer that is not
	// streamed, until its first byte; 10 minutes, or FirstToken if that is
	// longer.
	Answer time.Duration
}

const (
	defaultConnect    = 5 * time.Second
	defaultFirstToken = 120 * time.Second
	defaultIdle       = 60 * time.Second
	defaultAnswer     = 10 * time.Minute
)

func (t Timeouts) withDefaults() Timeouts {
	for _, d := range []struct {
		set *time.Duration
		to  time.Duration
	}{
		{&t.Connect, defaultConnect}, {&t.FirstToken, defaultFirstToken}, {&t.Idle, defaultIdle},
	} {
		if *d.set <= 0 {
			*d.set = d.to
		}
	}
	if t.Answer <= 0 {
		t.Answer = max(defaultAnswer, t.FirstToken)
	}
	return t
}

// A Secret is text that must not be shown. Printing it prints stars.
type Secret string

const stars = "***"

// String returns stars.
func (s Secret) String() string { return stars }

// GoString returns stars.
func (s Secret) GoString() string { return stars }

// MarshalText returns stars.
func (s Secret) MarshalText() ([]byte, error) { return []byte(stars), nil }

// hosts are the two ways to one server: h1 limits the first byte per host,
// and an answer that is not streamed comes only once it is whole.
type hosts struct {
	name   string
	unary  *h1.Host
	stream *h1.Host
	path   string // of the URL, without a slash at its end
	header []byte // lines of each request
	idle   time.Duration
	secret secrets
}

func newHosts(s Server) (*hosts, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return nil, errors.New("upstream: the URL is malformed")
	}
	t := s.Timeouts.withDefaults()
	h := &hosts{name: s.Name, path: strings.TrimRight(u.EscapedPath(), "/"), idle: t.Idle}
	if h.name == "" {
		h.name = u.Host
	}
	base := *u
	base.Path, base.RawPath = "", ""
	if h.unary, err = h1.NewHost(&base, h1.Timeouts{Connect: t.Connect, FirstByte: t.Answer, Idle: t.Idle}); err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	if h.stream, err = h1.NewHost(&base, h1.Timeouts{Connect: t.Connect, FirstByte: t.FirstToken, Idle: t.Idle}); err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	dial := s.Dial
	if dial == nil {
		dial = guarded(u.Hostname())
	}
	h.unary.Dial, h.stream.Dial = dial, dial
	return h, h.addHeaders(s.Headers)
}

// ownHeaders are set here, or decide over the framing, and are not for the
// configuration to set.
var ownHeaders = map[string]bool{
	"host": true, "content-length": true, "transfer-encoding": true, "connection": true, "content-type": true,
	"content-encoding": true, "accept-encoding": true, "te": true, "trailer": true, "upgrade": true, "expect": true,
}

func (h *hosts) addHeaders(headers map[string]Secret) error {
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if ownHeaders[strings.ToLower(name)] {
			return fmt.Errorf("upstream: the header %s is not for the configuration to set", name)
		}
		if err := h.addHeader(name, string(headers[name])); err != nil {
			return err
		}
		h.secret.add(headers[name])
	}
	return nil
}

func (h *hosts) addHeader(name, value string) error {
	if !isToken(name) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return fmt.Errorf("upstream: the header %q is malformed", name)
	}
	h.header = appendHeader(h.header, name, value)
	return nil
}

func appendHeader(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...)
}

func isToken(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return true
}

// Name returns the engine's name.
func (h *hosts) Name() string { return h.name }

// Close closes idle connections and keeps none from now on. Invocations under
// way go on.
func (h *hosts) Close() {
	h.unary.Close()
	h.stream.Close()
}
