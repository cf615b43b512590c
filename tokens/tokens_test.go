package tokens_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/tokens"
	"pgregory.net/rapid"
)

func TestCountsOfKnownTexts(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want int
	}{
		{``, 0},
		{`Hello`, 1},
		{`Hello, how are you?`, 6},
		{`a b c`, 3},
		{`simulated`, 2},
		{`1234567`, 3},
		{`a\nb`, 3},
		{`a\n\n\nb`, 3},
		{`\"quoted\"`, 3},
		{`\u0041bc`, 1},
		{`你好世界`, 4},
		{`\u4f60\u597d`, 2},
		{`\ud83d\ude00\ud83d\ude00`, 2},
		{`----------`, 3},
		{`привет`, 2},
	} {
		if got := tokens.Count([]byte(c.raw)); got != c.want {
			t.Errorf("Count(%q) = %d, want %d", c.raw, got, c.want)
		}
	}
}

func TestEnglishHasAboutFourBytesToAToken(t *testing.T) {
	const prose = `The engine reads its weights once for each step, whatever the number of sequences that
take part in it; a long prompt is cut into chunks so that those which already answer are not held up. When
memory runs short, the youngest sequence gives way and begins again later, and nothing that was said is lost.`
	per := float64(len(prose)) / float64(tokens.Count(outcrop.Quote(prose)))
	if per < 3.5 || per > 5 {
		t.Errorf("%.2f bytes a token, want about 4", per)
	}
}

func TestPiecesAreWhatCountCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ToValidUTF8(rapid.OneOf(rapid.String(), rapid.StringMatching(`[ a-z\n",.0-9é你😀\t-]*`)).Draw(t, "text"), "?")
		var joined strings.Builder
		n := 0
		for p := range tokens.Pieces(text) {
			if p == "" {
				t.Fatalf("an empty piece in %q", text)
			}
			joined.WriteString(p)
			n++
		}
		if joined.String() != text {
			t.Fatalf("the pieces of %q join to %q", text, joined.String())
		}
		if got := tokens.Count(outcrop.Quote(text)); got != n {
			t.Fatalf("Count(%q) = %d, but there are %d pieces", text, got, n)
		}
	})
}

func TestCutIsTheBeginningWithSoManyPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ToValidUTF8(rapid.String().Draw(t, "text"), "?")
		n := rapid.IntRange(0, 20).Draw(t, "n")
		head, count := tokens.Cut(text, n)
		if !strings.HasPrefix(text, head) || count > n || count < n && head != text {
			t.Fatalf("Cut(%q, %d) = %q, %d", text, n, head, count)
		}
		if got := tokens.Count(outcrop.Quote(head)); got != count {
			t.Fatalf("Count(%q) = %d, want %d", head, got, count)
		}
	})
}

// Escaped characters take the long way round, plain words the short one.
func TestEscapesCountAsTheCharactersThatTheyStandFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ a-zA-Z\\n",.0-9é你\t-]*`).Draw(t, "text")
		var escaped []byte
		for _, r := range text {
			escaped = fmt.Appendf(escaped, `\u%04x`, r)
		}
		if plain, long := tokens.Count(outcrop.Quote(text)), tokens.Count(escaped); plain != long {
			t.Fatalf("%q has %d tokens, escaped %d", text, plain, long)
		}
	})
}

func TestCountDoesNotAllocate(t *testing.T) {
	raw := []byte(strings.Repeat(`Hello \u00e9 w\u00f6rld, 你好. \n`, 100))
	if n := testing.AllocsPerRun(100, func() { tokens.Count(raw) }); n != 0 {
		t.Errorf("Count allocates %v times", n)
	}
}

func FuzzCount(f *testing.F) {
	f.Add([]byte(`Hello \ud83d\ude00 \u12 \`))
	f.Add([]byte("\xff\xfe \\ud800"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		sum := 0
		for i := 0; i < len(raw); sum++ {
			n := tokens.Next(raw[i:])
			if n <= 0 || n > len(raw)-i {
				t.Fatalf("Next returns %d of %d bytes", n, len(raw)-i)
			}
			i += n
		}
		if got := tokens.Count(raw); got != sum || got > len(raw) {
			t.Fatalf("Count = %d, pieces %d, bytes %d", got, sum, len(raw))
		}
		if s := string(raw); utf8.ValidString(s) {
			n := 0
			for range tokens.Pieces(s) {
				n++
			}
			if got := tokens.Count(outcrop.Quote(s)); got != n {
				t.Fatalf("Count = %d, pieces %d", got, n)
			}
		}
	})
}

func BenchmarkCount(b *testing.B) {
	raw := outcrop.Quote(strings.Repeat("The quick brown fox, aged 7, jumps over the lazy dog.\n", 2400))
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		tokens.Count(raw)
	}
}
