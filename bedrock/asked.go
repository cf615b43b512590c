package bedrock

import (
	"bytes"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// Asked returns the service tier and the latency that a Converse body asks for
// which is not decoded because it passes untouched, unchecked; empty where it
// names none. Of a name that stands twice the last counts, as for most who read
// JSON. It looks no further if neither name can stand in the body.
func Asked(body []byte) (tier outcrop.ServiceTier, latency outcrop.Latency) {
	return outcrop.ServiceTier(wordIn(body, "serviceTier", "type")), outcrop.Latency(wordIn(body, "performanceConfig", "latency"))
}

// escaped begins the escape of every letter that needs none, as in a name that
// is to be overlooked.
var escaped = []byte(`\u00`)

// wordIn returns the string member of the object that is a member of body.
func wordIn(body []byte, object, member string) string {
	if !bytes.Contains(body, []byte(object)) && !bytes.Contains(body, escaped) {
		return ""
	}
	s := jsonscan.Scanner{B: lastOf(lastOf(body, object), member)}
	text, _ := s.Text()
	return outcrop.Text(text).String()
}

// lastOf returns the last value of the name in the object v; nil if there is
// none or v is no object.
func lastOf(v []byte, name string) (last []byte) {
	s := jsonscan.Scanner{B: v}
	if !s.Eat('{') {
		return nil
	}
	for n := 0; ; {
		key, more, ok := s.Key(&n)
		if !ok || !more {
			return last
		}
		s.Space()
		from := s.I
		if !s.Skip() {
			return last
		}
		if string(key) == name || bytes.IndexByte(key, '\\') >= 0 && outcrop.Text(key).String() == name {
			last = s.B[from:s.I]
		}
	}
}
