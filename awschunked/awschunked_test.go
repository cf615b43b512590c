package awschunked_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop/awschunked"
)

// chain plays signatures: each is the hash of the one before and of what it
// signs.
type chain struct{ last string }

func (c *chain) sign(kind string, hash [32]byte) string {
	sum := sha256.Sum256([]byte(kind + c.last + hex.EncodeToString(hash[:])))
	c.last = hex.EncodeToString(sum[:])
	return c.last
}

func (c *chain) Chunk(signature string, hash [32]byte) bool {
	return c.sign("chunk", hash) == signature
}
func (c *chain) Trailer(signature string, hash [32]byte) bool {
	return c.sign("trailer", hash) == signature
}

const (
	field = "x-amz-checksum-crc32c:sOO8/Q=="
	sig   = "x-amz-trailer-signature:"
)

// encoded is the body of these chunks, signed.
func encoded(trailer bool, chunks ...string) string {
	var b strings.Builder
	c := &chain{}
	for _, data := range append(chunks, "") {
		fmt.Fprintf(&b, "%x;chunk-signature=%s\r\n%s", len(data), c.sign("chunk", sha256.Sum256([]byte(data))), data)
		if data != "" {
			b.WriteString("\r\n")
		}
	}
	if trailer {
		b.WriteString(field + "\r\n" + sig + c.sign("trailer", sha256.Sum256([]byte(field+"\n"))) + "\r\n")
	}
	return b.String() + "\r\n"
}

func read(body string, o awschunked.Options) (string, error) {
	got, err := io.ReadAll(awschunked.NewReader(strings.NewReader(body), o))
	return string(got), err
}

func TestDataComesWithoutItsFraming(t *testing.T) {
	body := encoded(false, "hello ", "world")
	for name, o := range map[string]awschunked.Options{"verified": {Signatures: &chain{}, Length: 11}, "unverified": {Length: 11}} {
		if got, err := read(body, o); got != "hello world" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestATrailerStaysAndItsSignatureGoes(t *testing.T) {
	want := "6\r\nhello \r\n5\r\nworld\r\n0\r\n" + field + "\r\n\r\n"
	body := encoded(true, "hello ", "world")
	empty := strings.Replace(body, field+"\r\n", field+"\n\r\n", 1)
	for name, body := range map[string]string{"plain": body, "with an empty line": empty} {
		for verified, o := range map[string]awschunked.Options{"verified": {Signatures: &chain{}, Length: 11, Trailer: true}, "unverified": {Length: 11, Trailer: true}} {
			if got, err := read(body, o); got != want || err != nil {
				t.Errorf("%s, %s: %q, %v", name, verified, got, err)
			}
		}
	}
}

func TestAnEmptyBodyIsVerified(t *testing.T) {
	if got, err := read(encoded(false), awschunked.Options{Signatures: &chain{}}); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := read("0;chunk-signature=00\r\n\r\n", awschunked.Options{Signatures: &chain{}}); !errors.Is(err, awschunked.ErrSignature) {
		t.Errorf("a forged one: %v", err)
	}
}

func TestForgedBodiesNeverComeWhole(t *testing.T) {
	for _, trailer := range []bool{false, true} {
		honest := encoded(trailer, "hello ", "world")
		forged := map[string]string{
			"data":         strings.Replace(honest, "world", "w0rld", 1),
			"first chunk":  strings.Replace(honest, "hello", "hallo", 1),
			"no signature": strings.Replace(honest, ";chunk-signature", ";chunk-s1gnature", 1),
			"last chunk":   honest[:strings.LastIndex(honest, "0;chunk")] + "0;chunk-signature=00\r\n" + honest[strings.LastIndex(honest, "0;chunk")+83:],
		}
		if trailer {
			forged["field"] = strings.Replace(honest, "sOO8", "sOO9", 1)
			forged["no field"] = strings.Replace(honest, field+"\r\n", "", 1)
			forged["another field"] = strings.Replace(honest, sig, "x-amz-meta-a:b\r\n"+sig, 1)
		}
		for name, body := range forged {
			got, err := read(body, awschunked.Options{Signatures: &chain{}, Length: 11, Trailer: trailer})
			if err == nil || !trailer && len(got) >= 11 || trailer && strings.HasSuffix(got, "\r\n\r\n") {
				t.Errorf("%s, trailer %v: %q, %v", name, trailer, got, err)
			}
		}
	}
}

func TestMalformedBodiesAreErrors(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		length int64
	}{
		"nothing":               {"", 5},
		"cut in a chunk":        {"5\r\nhel", 5},
		"no end":                {"5\r\nhello\r\n", 5},
		"cut in the end":        {"5\r\nhello\r\n0\r\n", 5},
		"longer than it says":   {"5\r\nhello!\r\n0\r\n\r\n", 6},
		"longer than declared":  {"5\r\nhello\r\n0\r\n\r\n", 4},
		"shorter than declared": {"5\r\nhello\r\n0\r\n\r\n", 6},
		"negative":              {"-5\r\nhello\r\n0\r\n\r\n", 5},
		"a sign":                {"+5\r\nhello\r\n0\r\n\r\n", 5},
		"no size":               {"\r\nhello\r\n0\r\n\r\n", 5},
		"huge":                  {"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", 5},
		"endless line":          {strings.Repeat("1", 1<<20), 5},
		"something behind":      {"5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n", 5},
		"fields without notice": {"5\r\nhello\r\n0\r\na:b\r\n\r\n", 5},
	} {
		if got, err := read(c.body, awschunked.Options{Length: c.length}); !errors.Is(err, awschunked.ErrMalformed) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := read("0\r\n"+strings.Repeat("\r\n", 100)+"a:b\r\n\r\n", awschunked.Options{Trailer: true}); !errors.Is(err, awschunked.ErrMalformed) {
		t.Errorf("an endless trailer: %v", err)
	}
}

func TestAnErrorOfTheBodyComesThrough(t *testing.T) {
	cut := errors.New("cut")
	body := encoded(false, "hello ", "world")
	for n := range len(body) {
		_, err := io.ReadAll(awschunked.NewReader(io.MultiReader(strings.NewReader(body[:n]), iotest.ErrReader(cut)), awschunked.Options{Signatures: &chain{}, Length: 11}))
		if !errors.Is(err, cut) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

// TestAnyChunksInAnyPieces reads what any chunks make, whatever pieces the
// body comes in and the reader asks for.
func TestAnyChunksInAnyPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunks := rapid.SliceOf(rapid.StringN(1, 300, -1)).Draw(t, "chunks")
		whole := strings.Join(chunks, "")
		var body io.Reader = strings.NewReader(encoded(false, chunks...))
		if rapid.Bool().Draw(t, "single bytes") {
			body = iotest.OneByteReader(body)
		}
		r := awschunked.NewReader(body, awschunked.Options{Signatures: &chain{}, Length: int64(len(whole))})
		var got bytes.Buffer
		piece := make([]byte, rapid.IntRange(1, 500).Draw(t, "piece"))
		for {
			n, err := r.Read(piece)
			got.Write(piece[:n])
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if got.String() != whole {
			t.Fatalf("%q, want %q", got.String(), whole)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add(encoded(false, "hello ", "world"), int64(11), false)
	f.Add(encoded(true, "hello ", "world"), int64(11), true)
	f.Add("5\r\nhello\r\n0\r\n\r\n", int64(5), false)
	f.Fuzz(func(t *testing.T, body string, length int64, trailer bool) {
		got, err := read(body, awschunked.Options{Length: length, Trailer: trailer})
		if err == nil && !trailer && int64(len(got)) != length {
			t.Errorf("%d bytes, declared %d", len(got), length)
		}
		if err != nil && !trailer && length > 0 && int64(len(got)) >= length {
			t.Errorf("a bad body came whole: %v", err)
		}
		if len(got) > len(body)+64 {
			t.Errorf("%d bytes out of %d", len(got), len(body))
		}
	})
}
