package eventstream_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	sdk "github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/outcrop/outcrop/eventstream"
)

func frame(h eventstream.Head, payload string) []byte {
	b := append(eventstream.Begin(nil, h), payload...)
	return eventstream.Seal(b, 0)
}

// sdkFrame is what AWS's own encoder makes of names and string values.
func sdkFrame(t testing.TB, payload string, pairs ...string) []byte {
	t.Helper()
	var m sdk.Message
	for i := 0; i < len(pairs); i += 2 {
		m.Headers.Set(pairs[i], sdk.StringValue(pairs[i+1]))
	}
	m.Payload = []byte(payload)
	var b bytes.Buffer
	if err := sdk.NewEncoder().Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var payloads = []string{`{}`, `{"contentBlockIndex":0,"delta":{"text":"Hi"},"p":"abc"}`, ``, strings.Repeat("x", 100_000)}

func TestFramesAreThoseOfTheSDK(t *testing.T) {
	for _, p := range payloads {
		for _, c := range []struct{ got, want []byte }{
			{frame(eventstream.EventHead("contentBlockDelta"), p),
				sdkFrame(t, p, ":event-type", "contentBlockDelta", ":content-type", "application/json", ":message-type", "event")},
			{frame(eventstream.ExceptionHead("throttlingException"), p),
				sdkFrame(t, p, ":exception-type", "throttlingException", ":content-type", "application/json", ":message-type", "exception")},
			{frame(eventstream.ErrorHead("Broken", "It broke."), p),
				sdkFrame(t, p, ":message-type", "error", ":error-code", "Broken", ":error-message", "It broke.")},
		} {
			if !bytes.Equal(c.got, c.want) {
				t.Errorf("payload of %d bytes: got\n%q\nwant\n%q", len(p), c.got[:min(len(c.got), 200)], c.want[:min(len(c.want), 200)])
			}
		}
	}
}

func TestFramesFollowOneAnother(t *testing.T) {
	var b []byte
	for _, p := range payloads {
		start := len(b)
		b = append(eventstream.Begin(b, eventstream.EventHead("chunk")), p...)
		b = eventstream.Seal(b, start)
	}
	for _, p := range payloads {
		m, n, err := eventstream.Decode(b)
		if err != nil || n == 0 || string(m.Payload) != p || m.EventType != "chunk" || m.MessageType != "event" || m.ContentType != "application/json" {
			t.Fatalf("got %.100v, %d, %v", m, n, err)
		}
		b = b[n:]
	}
	if len(b) != 0 {
		t.Errorf("%d bytes left over", len(b))
	}
}

func TestDecodeTellsExceptionsAndErrors(t *testing.T) {
	m, _, err := eventstream.Decode(frame(eventstream.ExceptionHead("modelStreamErrorException"), `{"message":"no"}`))
	if err != nil || m.MessageType != "exception" || m.ExceptionType != "modelStreamErrorException" || string(m.Payload) != `{"message":"no"}` {
		t.Errorf("got %+v, %v", m, err)
	}
	m, _, err = eventstream.Decode(frame(eventstream.ErrorHead("Broken", "It broke."), ""))
	if err != nil || m.MessageType != "error" || m.ErrorCode != "Broken" || m.ErrorMessage != "It broke." || len(m.Payload) != 0 {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestErrorTextsTooLongForAHeaderAreCut(t *testing.T) {
	m, n, err := eventstream.Decode(frame(eventstream.ErrorHead("Broken", strings.Repeat("x", 1<<17)), ""))
	if err != nil || n == 0 || len(m.ErrorMessage) != 1<<16-1 {
		t.Errorf("got %d bytes, %d, %v", len(m.ErrorMessage), n, err)
	}
}

func TestDecodeSkipsHeadersOfAllTypes(t *testing.T) {
	var m sdk.Message
	for name, v := range map[string]sdk.Value{
		"t": sdk.BoolValue(true), "f": sdk.BoolValue(false), "b": sdk.Int8Value(1), "s": sdk.Int16Value(1), "i": sdk.Int32Value(1),
		"l": sdk.Int64Value(1), "y": sdk.BytesValue("abc"), "u": sdk.UUIDValue{}, "d": sdk.TimestampValue{}, ":event-type": sdk.StringValue("odd"),
	} {
		m.Headers.Set(name, v)
	}
	m.Payload = []byte("{}")
	var b bytes.Buffer
	if err := sdk.NewEncoder().Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	got, n, err := eventstream.Decode(b.Bytes())
	if err != nil || n != b.Len() || got.EventType != "odd" || string(got.Payload) != "{}" {
		t.Errorf("got %+v, %d, %v", got, n, err)
	}
}

func TestEveryPrefixNeedsMore(t *testing.T) {
	b := frame(eventstream.EventHead("messageStop"), `{"stopReason":"end_turn"}`)
	for i := range b {
		if m, n, err := eventstream.Decode(b[:i]); n != 0 || err != nil {
			t.Fatalf("of %d bytes: %+v, %d, %v", i, m, n, err)
		}
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	b := frame(eventstream.EventHead("messageStop"), `{"stopReason":"end_turn"}`)
	for i := range len(b) * 8 {
		bad := bytes.Clone(b)
		bad[i/8] ^= 1 << (i % 8)
		if m, n, err := eventstream.Decode(bad); err == nil {
			t.Fatalf("bit %d: got %+v, %d", i, m, n)
		}
	}
}

// prelude has a right checksum over wrong lengths.
func prelude(total, headers uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, total)
	b = binary.BigEndian.AppendUint32(b, headers)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func TestImpossibleLengthsAreToldAtOnce(t *testing.T) {
	for _, l := range [][2]uint32{{0, 0}, {15, 0}, {16, 1}, {100, 85}, {100, 1<<32 - 1}, {1<<24 + 1, 0}, {1<<32 - 1, 0}, {1 << 24, 128<<10 + 1}} {
		if _, _, err := eventstream.Decode(prelude(l[0], l[1])); !errors.Is(err, eventstream.ErrLength) {
			t.Errorf("lengths %v: %v", l, err)
		}
	}
}

func TestMalformedHeadersAreRefused(t *testing.T) {
	for _, headers := range []string{"\x00\x07\x00\x01x", "\x01", "\x05abcd", "\x01a", "\x01a\x07", "\x01a\x07\x00", "\x01a\x07\x00\x02x", "\x01a\x0a", "\x01a\xff", "\x01a\x04\x00"} {
		b := append(prelude(uint32(16+len(headers)), uint32(len(headers))), headers...)
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
		if m, _, err := eventstream.Decode(b); !errors.Is(err, eventstream.ErrHeader) {
			t.Errorf("headers %q: %+v, %v", headers, m, err)
		}
	}
}

// readAll returns the payloads of a stream, and the error that ended it.
func readAll(r *eventstream.Reader, src io.Reader) (all []string, err error) {
	for {
		for m, ok := r.Next(); ok; m, ok = r.Next() {
			all = append(all, string(m.Payload))
		}
		if err := r.Fill(src); err != nil {
			return all, err
		}
	}
}

func stream() (b []byte) {
	for _, p := range payloads {
		b = append(b, frame(eventstream.EventHead("chunk"), p)...)
	}
	return b
}

func TestReaderDoesNotCareHowBytesCome(t *testing.T) {
	var r eventstream.Reader
	for name, src := range map[string]io.Reader{
		"at once": bytes.NewReader(stream()), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream())),
		"half": iotest.HalfReader(bytes.NewReader(stream())), "end with data": iotest.DataErrReader(bytes.NewReader(stream())),
	} {
		r.Reset()
		got, err := readAll(&r, src)
		if err != io.EOF || strings.Join(got, "|") != strings.Join(payloads, "|") {
			t.Errorf("%s: %d messages, %v", name, len(got), err)
		}
	}
}

func TestReaderTellsWhereAStreamWasCut(t *testing.T) {
	whole := append(frame(eventstream.EventHead("messageStart"), "{}"), frame(eventstream.EventHead("messageStop"), "{}")...)
	for i := range len(whole) + 1 {
		var r eventstream.Reader
		got, err := readAll(&r, bytes.NewReader(whole[:i]))
		want := io.ErrUnexpectedEOF
		if i == 0 || i == len(whole) || i == len(frame(eventstream.EventHead("messageStart"), "{}")) {
			want = io.EOF
		}
		if err != want {
			t.Fatalf("cut at %d of %d: %d messages, %v", i, len(whole), len(got), err)
		}
	}
}

func TestReaderTellsWhatIsMalformed(t *testing.T) {
	good := frame(eventstream.EventHead("messageStart"), "{}")
	bad := bytes.Clone(good)
	bad[20] ^= 1
	var r eventstream.Reader
	got, err := readAll(&r, bytes.NewReader(append(append(good, bad...), good...)))
	if len(got) != 1 || !errors.Is(err, eventstream.ErrChecksum) {
		t.Errorf("got %d messages, %v", len(got), err)
	}
	if _, err := readAll(&r, bytes.NewReader(good)); !errors.Is(err, eventstream.ErrChecksum) {
		t.Errorf("and then %v", err)
	}
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func TestReaderGivesUpOnASourceThatReturnsNothing(t *testing.T) {
	var r eventstream.Reader
	if _, err := readAll(&r, silent{}); err != io.ErrNoProgress {
		t.Errorf("got %v", err)
	}
}

func TestReaderKeepsNoMoreThanAFrame(t *testing.T) {
	var r eventstream.Reader
	src := bytes.NewReader(bytes.Repeat(frame(eventstream.EventHead("chunk"), strings.Repeat("x", 1<<16)), 300))
	var err error
	for err == nil {
		err = r.Fill(src) // and never Next
	}
	if err != io.ErrShortBuffer {
		t.Errorf("got %v", err)
	}
}

func TestFramingAllocatesNothing(t *testing.T) {
	head, b := eventstream.EventHead("contentBlockDelta"), make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		b = append(eventstream.Begin(b[:0], head), payloads[1]...)
		b = eventstream.Seal(b, 0)
		if _, n, err := eventstream.Decode(b); n == 0 || err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(frame(eventstream.EventHead("contentBlockDelta"), `{"delta":{"text":"Hi"}}`), uint(7))
	f.Add(frame(eventstream.ExceptionHead("throttlingException"), `{}`), uint(0))
	f.Add(frame(eventstream.ErrorHead("a", "b"), ``), uint(100))
	f.Add(prelude(1<<31, 0), uint(1))
	f.Fuzz(func(t *testing.T, b []byte, split uint) {
		m, n, err := eventstream.Decode(b)
		if n < 0 || n > len(b) || err != nil && n != 0 || len(m.Payload) > n {
			t.Fatalf("got %d of %d, %v", n, len(b), err)
		}
		if n > 0 {
			sdkAgrees(t, m, b[:n])
		}
		var whole, parts eventstream.Reader
		at := int(split % uint(len(b)+1))
		all, err := readAll(&whole, bytes.NewReader(b))
		again, second := readAll(&parts, io.MultiReader(bytes.NewReader(b[:at]), bytes.NewReader(b[at:])))
		if err != second || strings.Join(all, "|") != strings.Join(again, "|") {
			t.Fatalf("split at %d: %q, %v instead of %q, %v", at, again, second, all, err)
		}
	})
}

// sdkAgrees fails the test if AWS's own decoder refuses what ours took.
func sdkAgrees(t *testing.T, m eventstream.Message, b []byte) {
	theirs, err := sdk.NewDecoder().Decode(bytes.NewReader(b), nil)
	if err != nil {
		t.Fatalf("the SDK refuses %q: %v", b, err)
	}
	if !bytes.Equal(theirs.Payload, m.Payload) {
		t.Fatalf("payload %q, the SDK has %q", m.Payload, theirs.Payload)
	}
}

func FuzzEncodedIsDecoded(f *testing.F) {
	f.Add("contentBlockDelta", "{}")
	f.Fuzz(func(t *testing.T, kind, payload string) {
		b := frame(eventstream.EventHead(kind), payload)
		m, n, err := eventstream.Decode(append(b, "next"...))
		if len(kind) < 1<<16 && len(b) < eventstream.MaxFrame && (err != nil || n != len(b) || m.EventType != kind || string(m.Payload) != payload) {
			t.Fatalf("got %+v, %d, %v", m, n, err)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	head, buf, payload := eventstream.EventHead("contentBlockDelta"), make([]byte, 0, 1024), payloads[1]
	b.ReportAllocs()
	for b.Loop() {
		buf = append(eventstream.Begin(buf[:0], head), payload...)
		buf = eventstream.Seal(buf, 0)
	}
}

func BenchmarkDecode(b *testing.B) {
	f := frame(eventstream.EventHead("contentBlockDelta"), payloads[1])
	b.ReportAllocs()
	for b.Loop() {
		if _, n, _ := eventstream.Decode(f); n == 0 {
			b.Fatal("not decoded")
		}
	}
}
