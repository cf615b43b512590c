package conformance_test

import (
	"bytes"
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

func TestBoto3UsesS3WithoutAKey(t *testing.T) {
	python := need(t, "bin/python")
	s := start(t, simulator())
	suite(t, s.environment(t), t.TempDir(), python, script("s3.py"), "open")
}

func TestBoto3UsesS3WithAKey(t *testing.T) {
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
	python := need(t, "bin/python")
	certFile, keyFile, _ := certificate(t)
	s := start(t, simulator(), "--tls-cert", certFile, "--tls-key", keyFile)
	suite(t, s.environment(t, "AWS_CA_BUNDLE="+certFile, "SSL_CERT_FILE="+certFile), t.TempDir(), python, script("s3.py"), "open")
}

func TestCommandLineCopiesToS3AndBack(t *testing.T) {
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
