package conformance_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

func TestBoto3UsesS3WithoutAKey(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	s := start(t, simulator())
	suite(t, s.environment(t), t.TempDir(), python, script("s3.py"), "open")
}

func TestBoto3UsesS3WithAKey(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	s, mine := startWithKey(t)
	other := s.addKey(t, "--account", "444455556666")
	s.awaitKey(t, other)
	suite(t, s.environment(t, "AWS_ACCESS_KEY_ID="+mine.ID, "AWS_SECRET_ACCESS_KEY="+mine.Secret), t.TempDir(), python, script("s3.py"), "keyed", other.ID, other.Secret)
}

// startWithKey starts a server that has a key.
func startWithKey(t *testing.T) (*server, key) {
	t.Helper()
	s := start(t, "log: {level: warn}\nsim: {speed: 0}\n")
	k := s.addKey(t)
	s.awaitKey(t, k)
	return s, k
}

// TestBoto3UsesS3OverTLS is not the same again: over TLS boto3 sends bodies
// in chunks, with a checksum behind them.
func TestBoto3UsesS3OverTLS(t *testing.T) {
	t.Parallel()
	python := need(t, "bin/python")
	certFile, keyFile, _ := certificate(t)
	s := start(t, simulator(), "--tls-cert", certFile, "--tls-key", keyFile)
	suite(t, s.environment(t, "AWS_CA_BUNDLE="+certFile, "SSL_CERT_FILE="+certFile), t.TempDir(), python, script("s3.py"), "open")
}

func TestCommandLineCopiesToS3AndBack(t *testing.T) {
	t.Parallel()
	need(t, "bin/aws")
	s := start(t, simulator())
	env, folder := s.environment(t), t.TempDir()
	small, large := filepath.Join(folder, "input.jsonl"), filepath.Join(folder, "large.bin")
	writeFile(t, small, "{\"recordId\": \"1\"}\n")
	data := make([]byte, 20<<20)
	_, _ = rand.Read(data)
	if err := os.WriteFile(large, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"s3", "mb", "s3://my-batch-bucket"},
		{"s3", "cp", small, "s3://my-batch-bucket/batch-input/input.jsonl"},
		{"s3", "cp", large, "s3://my-batch-bucket/large.bin"},
		{"s3", "cp", "s3://my-batch-bucket/large.bin", large + ".back"},
		{"s3", "sync", "s3://my-batch-bucket/batch-input/", filepath.Join(folder, "synced")},
	} {
		if _, talk, ok := runAWS(t, env, args...); !ok {
			t.Fatalf("aws %s: %s", strings.Join(args, " "), talk)
		}
	}
	back, err := os.ReadFile(large + ".back")
	if err != nil || !bytes.Equal(back, data) {
		t.Errorf("the large file comes back as %d bytes, %v", len(back), err)
	}
	if text, err := os.ReadFile(filepath.Join(folder, "synced", "input.jsonl")); err != nil || !strings.Contains(string(text), "recordId") {
		t.Errorf("synced: %q, %v", text, err)
	}
	listed, talk, ok := runAWS(t, env, "s3", "ls", "--recursive", "s3://my-batch-bucket")
	if !ok || !strings.Contains(listed, "18 batch-input/input.jsonl") || !strings.Contains(listed, "20971520 large.bin") {
		t.Errorf("listed: %s%s", listed, talk)
	}
	if text, err := os.ReadFile(filepath.Join(s.Data, "s3", "my-batch-bucket", "batch-input", "input.jsonl")); err != nil || !strings.Contains(string(text), "recordId") {
		t.Errorf("the file on the disk: %q, %v", text, err)
	}
}

// TestMinIOClientSignsItsChunks: this client signs every chunk of a body, and
// with a checksum the trailer too.
func TestMinIOClientSignsItsChunks(t *testing.T) {
	t.Parallel()
	keyed, k := startWithKey(t)
	open := start(t, simulator())
	for name, c := range map[string]struct{ url, id, secret string }{"with a key": {keyed.URL, k.ID, k.Secret}, "without": {open.URL, "any", "secret"}} {
		t.Run(name, func(t *testing.T) {
			address, err := url.Parse(c.url)
			if err != nil {
				t.Fatal(err)
			}
			for kind, options := range map[string]*minio.Options{
				"chunks":  {},
				"trailer": {TrailingHeaders: true},
			} {
				options.Creds, options.Region = credentials.NewStaticV4(c.id, c.secret, ""), "us-east-1"
				client, err := minio.New(address.Host, options)
				if err != nil {
					t.Fatal(err)
				}
				minioRoundTrip(t, client, "minio-"+kind)
			}
		})
	}
}

func minioRoundTrip(t *testing.T, client *minio.Client, bucket string) {
	t.Helper()
	if err := client.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 64 << 10, 200_000, 17 << 20} {
		data := make([]byte, size)
		_, _ = rand.Read(data)
		if _, err := client.PutObject(t.Context(), bucket, "an object", bytes.NewReader(data), int64(size), minio.PutObjectOptions{}); err != nil {
			t.Errorf("%s: writing %d bytes: %v", bucket, size, err)
			continue
		}
		object, err := client.GetObject(t.Context(), bucket, "an object", minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if _, err := got.ReadFrom(object); err != nil || !bytes.Equal(got.Bytes(), data) {
			t.Errorf("%s: %d bytes come back as %d, %v", bucket, size, got.Len(), err)
		}
		_ = object.Close()
	}
}

func s3Of(s *server, client *http.Client) *s3.Client {
	return s3.New(s3.Options{BaseEndpoint: aws.String(s.URL), Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 1, HTTPClient: client,
		Credentials: awscredentials.NewStaticCredentialsProvider("a", "b", "")})
}

func TestGoSDKUsesS3OverBothProtocols(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := certificate(t)
	s := start(t, simulator(), "--tls-cert", certFile, "--tls-key", keyFile)
	for _, two := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: two}
		client := s3Of(s, &http.Client{Transport: transport})
		bucket := fmt.Sprintf("protocol-%v", two)
		if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, 3<<20)
		_, _ = rand.Read(data)
		if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("k/ü +"), Body: bytes.NewReader(data)}); err != nil {
			t.Fatal(err)
		}
		out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("k/ü +")})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(out.Body)
		_ = out.Body.Close()
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("HTTP/2 %v: %d bytes come back, %v", two, len(got), err)
		}
		_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("k/ü +"), Body: bytes.NewReader(data), IfNoneMatch: aws.String("*")})
		if codeOf(err) != "PreconditionFailed" {
			t.Errorf("HTTP/2 %v: written twice: %v", two, err)
		}
		transport.CloseIdleConnections()
	}
}

// s3Head is the head of a request to S3 in open mode.
func s3Head(method, target, more string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: localhost\r\nX-Amz-Date: 20260101T000000Z\r\nX-Amz-Content-Sha256: UNSIGNED-PAYLOAD\r\n" +
		"Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=" + strings.Repeat("0", 64) + "\r\n" + more + "\r\n"
}

// sends returns what the server answers before it closes the connection.
func (s *server) sends(t *testing.T, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(takeEffect))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	answers, _ := io.ReadAll(conn)
	return string(answers)
}

func TestHalfAnUploadIsNoObject(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	client := s3Of(s, http.DefaultClient)
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("papers")}); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, s3Head("PUT", "/papers/half", "Content-Length: 1000000\r\n")+strings.Repeat("x", 500_000)); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(closedForWriting(conn)); err != nil || !strings.Contains(string(answer), "IncompleteBody") {
		t.Errorf("it is answered with %q, %v", answer, err)
	}
	_ = conn.Close()
	if _, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("papers"), Key: aws.String("half")}); codeOf(err) != "NotFound" {
		t.Errorf("it is there: %v", err)
	}
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("papers"), Key: aws.String("whole"), Body: strings.NewReader("x")}); err != nil {
		t.Errorf("the server is hurt: %v", err)
	}
}

func closedForWriting(conn net.Conn) net.Conn {
	_ = conn.(*net.TCPConn).CloseWrite()
	return conn
}

var statusLine = regexp.MustCompile(`HTTP/1\.[01] \d{3} `)

func TestNothingHidesBehindARequestToS3(t *testing.T) {
	t.Parallel()
	s := start(t, simulator())
	second := s3Head("GET", "/", "")
	for name, first := range map[string]string{
		"chunks":                s3Head("PUT", "/papers/k", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n",
		"both lengths":          s3Head("PUT", "/papers/k", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n",
		"a body of a reading":   s3Head("GET", "/papers/k", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n",
		"HTTP/1.0":              strings.Replace(s3Head("GET", "/", "Connection: keep-alive\r\n"), "HTTP/1.1", "HTTP/1.0", 1),
		"an absolute target":    s3Head("GET", "http://evil.example/", ""),
		"a refused body":        s3Head("PUT", "/papers/a//b", "Content-Length: 400\r\n"),
		"a way out of a bucket": s3Head("GET", "/papers/%2e%2e/outcrop.db", "Connection: close\r\n"),
	} {
		if answers := s.sends(t, first+second); len(statusLine.FindAllString(answers, -1)) != 1 {
			t.Errorf("%s: %s", name, answers)
		}
	}
	if answers := s.sends(t, second+s3Head("GET", "/", "Connection: close\r\n")); strings.Count(answers, "HTTP/1.1 200") != 2 {
		t.Errorf("two requests in a row: %s", answers)
	}
}

func TestUploadsNeedLittleMemory(t *testing.T) {
	t.Parallel()
	if raceEnabled {
		t.Skip("the race detector keeps memory")
	}
	s := start(t, simulator())
	client := s3Of(s, http.DefaultClient)
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("papers")}); err != nil {
		t.Fatal(err)
	}
	before := s.peakMB(t)
	size := int64(256 << 20)
	head := s3Head("PUT", "/papers/large", fmt.Sprintf("Content-Length: %d\r\n", size))
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, head)
	if _, err := io.CopyN(conn, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", answer, err)
	}
	out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("papers"), Key: aws.String("large")})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if n, err := io.Copy(io.Discard, out.Body); n != size || err != nil {
		t.Errorf("%d bytes come back, %v", n, err)
	}
	if grown := s.peakMB(t) - before; grown > 40 {
		t.Errorf("the server grows by %d MB over an object of 256 MB", grown)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestObjectsOutliveTheServersSuddenEnd kills the server in the middle of
// uploads: what it has confirmed is there, and nothing is there by halves.
func TestObjectsOutliveTheServersSuddenEnd(t *testing.T) {
	t.Parallel()
	s := launch(t, simulator())
	if !s.ready() {
		t.Fatal(s.err)
	}
	if _, err := s3Of(s, http.DefaultClient).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("papers")}); err != nil {
		t.Fatal(err)
	}
	confirmed := map[string]bool{}
	for round := range 3 {
		confirmed = s.writeUntilKilled(t, round, confirmed)
		s = &server{Data: s.Data, Config: s.Config, out: &output{}, err: &output{}, ended: make(chan struct{})}
		if s.run(t); !s.ready() {
			t.Fatal(s.err)
		}
		s.checkObjects(t, confirmed)
	}
	s.stop()
	if len(confirmed) < 10 {
		t.Errorf("only %d objects were written", len(confirmed))
	}
}

// contentOf is what the object of a key holds: a megabyte that the key tells.
func contentOf(key string) []byte {
	return bytes.Repeat([]byte(key+" "), (1<<20)/(len(key)+1))
}

func (s *server) writeUntilKilled(t *testing.T, round int, confirmed map[string]bool) map[string]bool {
	t.Helper()
	var mu sync.Mutex
	var writers sync.WaitGroup
	enough := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			client := s3Of(s, &http.Client{Transport: transport})
			for i := 0; ; i++ {
				key := fmt.Sprintf("round-%d/writer-%d/%d", round, w, i)
				if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("papers"), Key: &key, Body: bytes.NewReader(contentOf(key)), IfNoneMatch: aws.String("*")}); err != nil {
					return
				}
				mu.Lock()
				confirmed[key] = true
				if w == 0 && i == 5 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	select {
	case <-enough:
	case <-time.After(startTimeout):
		t.Error("nothing is written")
	}
	_ = s.command.Process.Kill()
	<-s.ended
	writers.Wait()
	return confirmed
}

func (s *server) checkObjects(t *testing.T, confirmed map[string]bool) {
	t.Helper()
	client := s3Of(s, http.DefaultClient)
	found := map[string]bool{}
	for pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: aws.String("papers")}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			found[*o.Key] = true
			out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("papers"), Key: o.Key, IfMatch: o.ETag})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(out.Body); err != nil || !bytes.Equal(got, contentOf(*o.Key)) {
				t.Errorf("%s holds %d bytes, %v", *o.Key, len(got), err)
			}
			_ = out.Body.Close()
		}
	}
	for key := range confirmed {
		if !found[key] {
			t.Errorf("%s is lost", key)
		}
	}
}
