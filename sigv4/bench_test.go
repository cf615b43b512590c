package sigv4_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/outcrop/outcrop/sigv4"
)

// BenchmarkVerify is what a call costs that a cached key can verify, without
// and with the hash of its body.
func BenchmarkVerify(b *testing.B) {
	for _, size := range []int{0, 1 << 10, 8 << 10, 128 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			body := make([]byte, size)
			r := converse(sigv4.Field{Name: "Amz-Sdk-Invocation-Id", Value: "f0b2c0de-8f1e-4f6c-9d53-0f4a2a8a9d6b"}, sigv4.Field{Name: "Accept-Encoding", Value: "identity"})
			r.Fields = without(without(r.Fields, "authorization"), "x-amz-date")
			hash := sha256.Sum256(body)
			r.Fields = signer.Sign(r.Fields, r, hash, noon)
			var cache sigv4.KeyCache
			b.ReportAllocs()
			for b.Loop() {
				s, err := sigv4.Parse(r, rules, noon)
				if err != nil || !s.Verify(cache.Get(s.KeyID, 1, secret, s.Scope), sha256.Sum256(body)) {
					b.Fatal("refused")
				}
			}
		})
	}
}

// BenchmarkParse is the part of it that needs no key.
func BenchmarkParse(b *testing.B) {
	r := converse()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sigv4.Parse(r, rules, noon); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSign is what a call to an engine that wants signatures costs.
func BenchmarkSign(b *testing.B) {
	r := &sigv4.Request{Method: "POST", URI: "/model/anthropic.claude-v2%3A1/converse", Host: "localhost:8484",
		Fields: []sigv4.Field{{Name: "Content-Type", Value: "application/json"}}}
	fields := make([]sigv4.Field, 0, 8)
	hash := sha256.Sum256(body)
	b.ReportAllocs()
	for b.Loop() {
		fields = signer.Sign(fields[:0], r, hash, noon)
	}
}
