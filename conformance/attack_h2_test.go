package conformance_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A tube is a raw HTTP/2 connection in clear text.
type tube struct {
	net.Conn
	*http2.Framer
	head  bytes.Buffer
	hpack *hpack.Encoder
	next  uint32
}

func openTube(t *testing.T, addr string, settings ...http2.Setting) *tube {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * rawTimeout))
	h := &tube{Conn: c, Framer: http2.NewFramer(c, c), next: 1}
	h.hpack = hpack.NewEncoder(&h.head)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := h.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return h
}

// fields is the head of a converse request, as a header block.
func (h *tube) fields(length int, path string, more ...string) []byte {
	h.head.Reset()
	all := append([]string{":method", "POST", ":scheme", "http", ":authority", "localhost", ":path", path,
		"authorization", "Bearer x", "content-length", strconv.Itoa(length)}, more...)
	for i := 0; i < len(all); i += 2 {
		_ = h.hpack.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]})
	}
	return h.head.Bytes()
}

// open begins a stream with the header block and returns its number.
func (h *tube) open(block []byte, end bool) (stream uint32, err error) {
	stream = h.next
	h.next += 2
	return stream, h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true, EndStream: end})
}

// gone waits until the server closes the connection.
func (h *tube) gone() bool {
	_, err := io.Copy(io.Discard, h.Conn)
	var late net.Error
	return !(errors.As(err, &late) && late.Timeout())
}

// h2 is a client that speaks HTTP/2 in clear text.
func h2() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: protocols}}
}

func TestRapidReset(t *testing.T) {
	s := start(t, guarded())
	before := s.baseline(t)
	h := openTube(t, s.Addr)
	go func() { _, _ = io.Copy(io.Discard, h.Conn) }()
	for range 20_000 {
		stream, err := h.open(h.fields(len(goodBody), conversePath), false)
		if err == nil {
			err = h.WriteRSTStream(stream, http2.ErrCodeCancel)
		}
		if err != nil {
			break // the server has had enough
		}
	}
	s.honest(t)
	h.Conn.Close()
	s.backTo(t, before)
	if peak := s.peakMB(t); peak > memoryMB(300) {
		t.Errorf("the server used %d MB", peak)
	}
}

func TestHeadersThatNeverEnd(t *testing.T) {
	s := start(t, guarded())
	before := s.baseline(t)
	h := openTube(t, s.Addr)
	block := h.fields(len(goodBody), conversePath)
	if err := h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block}); err != nil {
		t.Fatal(err)
	}
	junk := bytes.Repeat([]byte{0x00, 0x01, 'a', 0x01, 'b'}, 2000)
	for range 5000 {
		if err := h.WriteContinuation(1, false, junk); err != nil {
			break
		}
	}
	if !h.gone() {
		t.Error("the connection stays open")
	}
	s.honest(t)
	s.backTo(t, before)
}

func TestPingAndSettingsFloods(t *testing.T) {
	s := start(t, guarded())
	before := s.baseline(t)
	for _, send := range []func(*tube) error{
		func(h *tube) error { return h.WritePing(false, [8]byte{1}) },
		func(h *tube) error {
			return h.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 14})
		},
	} {
		h := openTube(t, s.Addr)
		_ = h.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		for range 200_000 { // the answers are never read
			_ = h.SetWriteDeadline(time.Now().Add(2 * time.Second))
			if send(h) != nil {
				break
			}
		}
		h.Conn.Close()
	}
	s.honest(t)
	s.backTo(t, before)
	if peak := s.peakMB(t); peak > memoryMB(300) {
		t.Errorf("the server used %d MB", peak)
	}
}

// TestWindowThatNeverOpens asks for answers over HTTP/2 and gives no room for
// them. The server must give up on each.
func TestWindowThatNeverOpens(t *testing.T) {
	s := start(t, guarded())
	before := s.baseline(t)
	h := openTube(t, s.Addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	go func() { _, _ = io.Copy(io.Discard, h.Conn) }()
	for range 50 {
		stream, err := h.open(h.fields(len(goodBody), conversePath+"-stream"), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.WriteData(stream, true, []byte(goodBody)); err != nil {
			t.Fatal(err)
		}
	}
	if !eventually(quiet, func() bool { return s.goroutines(t) >= before.goroutines+40 }) {
		t.Errorf("%d goroutines: no stream waits, this is no attack", s.goroutines(t))
	}
	if !eventually(quiet, func() bool { return s.goroutines(t) <= before.goroutines+12 }) {
		t.Errorf("%d goroutines wait for a window, %d before", s.goroutines(t), before.goroutines)
	}
	s.honest(t)
	h.Conn.Close()
	s.backTo(t, before)
}

func TestStreamsOfOneConnectionAreBounded(t *testing.T) {
	s := start(t, simulator()+"limits: {streams_per_connection: 10}\n")
	h := openTube(t, s.Addr)
	for {
		frame, err := h.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		settings, ok := frame.(*http2.SettingsFrame)
		if !ok || settings.IsAck() {
			continue
		}
		if most, ok := settings.Value(http2.SettingMaxConcurrentStreams); !ok || most != 10 {
			t.Errorf("the server allows %d streams (told: %v), want 10", most, ok)
		}
		return
	}
}

// endless is a body without an end.
type endless struct{}

// Read implements io.Reader.
func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestBodyThatNeverEnds(t *testing.T) {
	s := start(t, guarded())
	ctx, cancel := context.WithTimeout(t.Context(), 2*rawTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+conversePath, io.MultiReader(strings.NewReader(`{"messages":[{"role":"user","content":[{"text":"`), endless{}))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer x")
	response, err := h2().Do(r)
	if ctx.Err() != nil {
		t.Fatal("the server reads on and on")
	}
	if err == nil {
		defer response.Body.Close()
		if response.StatusCode < 400 || response.StatusCode == 500 {
			t.Errorf("the answer is %s", response.Status)
		}
	}
	s.honest(t)
	if peak := s.peakMB(t); peak > memoryMB(300) {
		t.Errorf("the server used %d MB", peak)
	}
}

func TestHTTP2HeadsOverTheLimit(t *testing.T) {
	s := start(t, guarded())
	h := openTube(t, s.Addr)
	block := h.fields(len(goodBody), conversePath, "x-long", strings.Repeat("a", 12<<10), "x-longer", strings.Repeat("b", 12<<10), "x-longest", strings.Repeat("c", 12<<10), "x-more", strings.Repeat("d", 12<<10))
	for at := 0; at < len(block); at += 16 << 10 {
		part, end := block[at:min(at+16<<10, len(block))], at+16<<10 >= len(block)
		var err error
		if at == 0 {
			err = h.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: part, EndHeaders: end})
		} else {
			err = h.WriteContinuation(1, end, part)
		}
		if err != nil {
			break
		}
	}
	for {
		frame, err := h.ReadFrame()
		if err != nil {
			return // closed: refused
		}
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			decoded, _ := hpack.NewDecoder(4096, nil).DecodeFull(f.HeaderBlockFragment())
			for _, field := range decoded {
				if field.Name == ":status" && field.Value < "400" {
					t.Errorf("status %s", field.Value)
				}
			}
			return
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return
		}
	}
}
