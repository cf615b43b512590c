package h1server_test

import (
	"bufio"
	"bytes"
	"net/http"
	"reflect"
	"testing"

	"github.com/outcrop/outcrop/h1server"
)

// What the loop takes means the same to net/http.
func FuzzParse(f *testing.F) {
	for _, c := range append(foreign(), taken()...) {
		f.Add([]byte(c.request))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := h1server.Parse(b, takes, 0)
		if got.Foreign || got.Size == 0 {
			return
		}
		want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", b, err)
		}
		if got.Method != want.Method || got.Target != want.RequestURI || got.Host != want.Host || got.Length != want.ContentLength {
			t.Errorf("%q: got %+v, net/http says %s %s for %s, length %d", b, got, want.Method, want.RequestURI, want.Host, want.ContentLength)
		}
		if !reflect.DeepEqual(got.Header, want.Header) {
			t.Errorf("%q: header %v, net/http says %v", b, got.Header, want.Header)
		}
	})
}

func TestAHeadIsTheSameHoweverItArrives(t *testing.T) {
	for _, c := range taken() {
		whole := []byte(c.request)
		want := h1server.Parse(whole, takes, 0)
		for n := range whole[:want.Size] {
			if got := h1server.Parse(whole[:n], takes, max(0, n-1)); got.Foreign || got.Size != 0 {
				t.Fatalf("%s: after %d bytes: %+v", c.name, n, got)
			}
			if got := h1server.Parse(whole, takes, n); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: going on after %d bytes: %+v, want %+v", c.name, n, got, want)
			}
		}
	}
}
