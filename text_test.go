package outcrop_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/outcrop/outcrop"
)

func TestQuoteIsTheInsideOfAJSONString(t *testing.T) {
	cases := map[string]string{
		"":                      "",
		"plain":                 "plain",
		`say "hi" \ there`:      `say \"hi\" \\ there`,
		"a\nb\rc\td":            `a\nb\rc\td`,
		"\x00\x01\x08\x0b\x1f":  `\u0000\u0001\u0008\u000b\u001f`,
		"\x7f</script>/&":       "\x7f</script>/&",
		"grün 漢字 🙂 \u2028":      "grün 漢字 🙂 \u2028",
		"bad \xff\xc3( end\xe2": "bad \ufffd\ufffd( end\ufffd",
		"\xed\xa0\x80":          "\ufffd\ufffd\ufffd", // a surrogate in UTF-8
	}
	for plain, want := range cases {
		if got := string(outcrop.Quote(plain)); got != want {
			t.Errorf("Quote(%q) = %q, want %q", plain, got, want)
		}
	}
}

func TestAppendQuoteKeepsWhatStandsBefore(t *testing.T) {
	if got := string(outcrop.AppendQuote([]byte(`{"a":"`), "b\n")); got != `{"a":"b\n` {
		t.Errorf("got %s", got)
	}
}

func TestStringResolvesEveryEscape(t *testing.T) {
	cases := map[string]string{
		"":                         "",
		"plain grün":               "plain grün",
		`\"\\\/\b\f\n\r\t`:         "\"\\/\b\f\n\r\t",
		`\u0041\u00fc\u6f22`:       "Aü漢",
		`\ud83d\ude42`:             "🙂",
		`\uD83D\uDE42 and \u000A`:  "🙂 and \n",
		`a \\u0041 is no escape`:   `a \u0041 is no escape`,
		`half a pair \ud83d stays`: "half a pair \ufffd stays",
	}
	for escaped, want := range cases {
		if got := outcrop.Text(escaped).String(); got != want {
			t.Errorf("%s means %q, want %q", escaped, got, want)
		}
	}
}

func TestStringOfWhatIsNoTextIsItself(t *testing.T) {
	for _, broken := range []string{`a\`, `\x`, `\u12`, "a\n\\n", `"\n`} {
		if got := outcrop.Text(broken).String(); got != broken {
			t.Errorf("%q became %q", broken, got)
		}
	}
}

func TestCloneIsIndependent(t *testing.T) {
	buffer := []byte("borrowed")
	clone := outcrop.Text(buffer).Clone()
	copy(buffer, "********")
	if string(clone) != "borrowed" {
		t.Errorf("the clone changed to %s", clone)
	}
}

func TestBlank(t *testing.T) {
	for _, blank := range []string{"", " ", " \t", `\n`, `\r\n\t `, `\u0020`, `\u0009\u000a\u000D`, `\f`, `\u000b\u000C`} {
		if !outcrop.Text(blank).Blank() {
			t.Errorf("%q is not blank", blank)
		}
	}
	for _, text := range []string{"a", " a", `\\n`, `\"`, `\u0041`, `\u0000`, `\b`, ".", "\u00a0", `\`, `\u00`, `\u002`} {
		if outcrop.Text(text).Blank() {
			t.Errorf("%q is blank", text)
		}
	}
}

// anyString draws strings that are not all valid UTF-8.
func anyString() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "valid") {
			return rapid.String().Draw(t, "s")
		}
		return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	})
}

func TestQuoteAndStringAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkQuote(t, anyString().Draw(t, "s")) })
}

func FuzzQuote(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\x1f\"\\\x7f\xff\xed\xa0\x80\u2028🙂")
	f.Fuzz(func(t *testing.T, s string) { checkQuote(t, s) })
}

func checkQuote(t rapid.TB, s string) {
	text := outcrop.Quote(s)
	quoted := `"` + string(text) + `"`
	if !json.Valid([]byte(quoted)) || !utf8.Valid(text) {
		t.Fatalf("Quote(%q) = %q is not the inside of a JSON string", s, text)
	}
	var oracle string
	if err := json.Unmarshal([]byte(quoted), &oracle); err != nil {
		t.Fatal(err)
	}
	want := strings.ToValidUTF8(s, "\ufffd")
	if !utf8.ValidString(s) {
		want = string([]rune(s)) // one replacement for each broken byte
	}
	if oracle != want {
		t.Fatalf("Quote(%q) stands for %q", s, oracle)
	}
	if got := text.String(); got != oracle {
		t.Fatalf("String of %q = %q, encoding/json says %q", text, got, oracle)
	}
}

func FuzzTextString(f *testing.F) {
	f.Add(`\"\\\/\b\f\n\r\t\u00fc\ud83d\ude42`)
	f.Add(`\ud800 \udc00\ud800`)
	f.Fuzz(func(t *testing.T, inside string) {
		var oracle string
		if json.Unmarshal([]byte(`"`+inside+`"`), &oracle) != nil || !utf8.ValidString(inside) {
			return
		}
		text := outcrop.Text(inside)
		if got := text.String(); got != oracle {
			t.Fatalf("%q means %q, encoding/json says %q", inside, got, oracle)
		}
		if got, want := text.Blank(), strings.Trim(oracle, " \t\n\r\f\v") == ""; got != want {
			t.Fatalf("Blank of %q is %v", inside, got)
		}
	})
}
