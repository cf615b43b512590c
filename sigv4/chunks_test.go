package sigv4_test

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/outcrop/outcrop/sigv4"
)

const (
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
)

// streamed is the head of the example of AWS's page "Transferring Payload in
// Multiple Chunks", with its seed signature.
func streamed(signed, mac, payload string, more ...sigv4.Field) *sigv4.Request {
	return &sigv4.Request{Method: "PUT", URI: "/examplebucket/chunkObject.txt", Host: "s3.amazonaws.com", Fields: append([]sigv4.Field{
		{Name: "X-Amz-Date", Value: "20130524T000000Z"},
		{Name: "X-Amz-Storage-Class", Value: "REDUCED_REDUNDANCY"},
		{Name: "Authorization", Value: sigv4.Algorithm + " Credential=" + exampleKey + "/20130524/us-east-1/s3/aws4_request, SignedHeaders=" + signed + ", Signature=" + mac},
		{Name: "X-Amz-Content-Sha256", Value: payload},
		{Name: "Content-Encoding", Value: "aws-chunked"},
		{Name: "X-Amz-Decoded-Content-Length", Value: "66560"},
	}, more...)}
}

func verified(t *testing.T, r *sigv4.Request) *sigv4.Chunks {
	t.Helper()
	now := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	s, err := sigv4.Parse(r, sigv4.Rules{Region: "us-east-1", Service: "s3", Path: sigv4.PathAsSent, StreamingPayload: true}, now)
	if err != nil {
		t.Fatal(err)
	}
	key := sigv4.Derive(exampleSecret, s.Scope)
	if !s.Verify(key, [sha256.Size]byte{}) {
		t.Fatal("the seed signature is refused")
	}
	return s.Chunks(key)
}

func hashOf(n int) [sha256.Size]byte { return sha256.Sum256(bytes.Repeat([]byte("a"), n)) }

func TestChunksOfAWSsExample(t *testing.T) {
	r := streamed("content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
		"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
		sigv4.Field{Name: "Content-Length", Value: "66824"})
	c := verified(t, r)
	for _, chunk := range []struct {
		size int
		mac  string
	}{
		{64 << 10, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"},
		{1 << 10, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"},
		{0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"},
	} {
		if !c.Chunk(chunk.mac, hashOf(chunk.size)) {
			t.Errorf("the chunk of %d bytes is refused", chunk.size)
		}
	}
}

func TestTrailerOfAWSsExample(t *testing.T) {
	r := streamed("content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
		"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
		sigv4.Field{Name: "X-Amz-Trailer", Value: "x-amz-checksum-crc32c"})
	c := verified(t, r)
	for _, chunk := range []struct {
		size int
		mac  string
	}{
		{64 << 10, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"},
		{1 << 10, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"},
		{0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"},
	} {
		if !c.Chunk(chunk.mac, hashOf(chunk.size)) {
			t.Errorf("the chunk of %d bytes is refused", chunk.size)
		}
	}
	if !c.Trailer("d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435", sha256.Sum256([]byte("x-amz-checksum-crc32c:sOO8/Q==\n"))) {
		t.Error("the trailer is refused")
	}
}

func TestChunksInAnotherOrderOrWithOtherDataAreRefused(t *testing.T) {
	head := func() *sigv4.Chunks {
		return verified(t, streamed("content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
			"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
			sigv4.Field{Name: "Content-Length", Value: "66824"}))
	}
	first, second := "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
	if head().Chunk(second, hashOf(1<<10)) {
		t.Error("the second chunk passes for the first")
	}
	if head().Chunk(first, hashOf(64<<10-1)) {
		t.Error("other data passes")
	}
	if c := head(); !c.Chunk(first, hashOf(64<<10)) || c.Chunk(first, hashOf(64<<10)) {
		t.Error("a chunk passes twice")
	}
	if head().Trailer(first, hashOf(64<<10)) {
		t.Error("a chunk passes for a trailer")
	}
	if head().Chunk("", hashOf(64<<10)) {
		t.Error("no signature passes")
	}
}
