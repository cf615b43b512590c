package s3store_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/outcrop/outcrop/s3store"
	"github.com/outcrop/outcrop/sigv4"
)

const mine, other = "111122223333", "444455556666"

func clientOf(s *s3store.Store, account, secret string) *s3.Client {
	return s3.New(s3.Options{BaseEndpoint: aws.String("http://s3.outcrop"), Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 1,
		HTTPClient: &http.Client{Transport: s.Transport()},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: account, SecretAccessKey: secret}, nil
		})})
}

func open(t *testing.T, dir string) *s3store.Store {
	t.Helper()
	s := s3store.New(s3store.Options{Dir: dir, Region: "us-east-1"})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(t *testing.T, c *s3.Client, key, text string) {
	t.Helper()
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("papers"), Key: &key, Body: strings.NewReader(text)}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, c *s3.Client, key string) (string, error) {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("papers"), Key: &key})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	text, err := io.ReadAll(out.Body)
	return string(text), err
}

func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

func TestObjectsAreFilesThatOutliveTheStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s3")
	before, _ := os.Getwd()
	s := open(t, dir)
	c := clientOf(s, mine, s.Secret(mine))
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("papers")}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "in/a b+%ü.txt", "hello")
	if text, err := os.ReadFile(filepath.Join(dir, "papers", "in", "a b+%ü.txt")); err != nil || string(text) != "hello" {
		t.Errorf("the file: %q, %v", text, err)
	}
	info, err := os.Stat(filepath.Join(dir, "papers", "in", "a b+%ü.txt"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Getwd(); after != before {
		t.Errorf("the working directory is %s, was %s", after, before)
	}
	again := open(t, dir)
	if text, err := get(t, clientOf(again, mine, again.Secret(mine)), "in/a b+%ü.txt"); err != nil || text != "hello" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestAccountsSeeTheirOwnBucketsAlone(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s3"))
	a, b := clientOf(s, mine, s.Secret(mine)), clientOf(s, other, s.Secret(other))
	if _, err := a.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("papers")}); err != nil {
		t.Fatal(err)
	}
	put(t, a, "k", "mine")
	if text, err := get(t, b, "k"); code(err) != "AccessDenied" {
		t.Errorf("read by another: %q, %v", text, err)
	}
	list, err := b.ListBuckets(t.Context(), &s3.ListBucketsInput{})
	if err != nil || len(list.Buckets) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	owner := other
	_, err = a.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("papers"), Key: aws.String("k"), ExpectedBucketOwner: &owner})
	if code(err) != "AccessDenied" {
		t.Errorf("expected of another owner: %v", err)
	}
}

func TestCredentialsAreOfOneStoreAndAccount(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s3"))
	foreign := s3store.New(s3store.Options{})
	for name, c := range map[string]*s3.Client{
		"another account's": clientOf(s, mine, s.Secret(other)), "another store's": clientOf(s, mine, foreign.Secret(mine)),
	} {
		if _, err := c.ListBuckets(t.Context(), &s3.ListBucketsInput{}); code(err) != "SignatureDoesNotMatch" {
			t.Errorf("%s secret: %v", name, err)
		}
	}
	if _, err := clientOf(s, "AKIAEXAMPLE", s.Secret("AKIAEXAMPLE")).ListBuckets(t.Context(), &s3.ListBucketsInput{}); code(err) != "InvalidAccessKeyId" {
		t.Errorf("no account: %v", err)
	}
}

func TestNothingIsMadeBeforeTheFirstRequest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s3")
	s := open(t, dir)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder is there")
	}
	if _, err := clientOf(s, mine, s.Secret(mine)).ListBuckets(t.Context(), &s3.ListBucketsInput{}); err == nil {
		t.Error("a closed store answers")
	}
}

func TestASecondStoreOfAProcessSaysSo(t *testing.T) {
	first, second := open(t, filepath.Join(t.TempDir(), "s3")), open(t, filepath.Join(t.TempDir(), "s3"))
	if _, err := clientOf(first, mine, first.Secret(mine)).ListBuckets(t.Context(), &s3.ListBucketsInput{}); err != nil {
		t.Fatal(err)
	}
	if _, err := clientOf(second, mine, second.Secret(mine)).ListBuckets(t.Context(), &s3.ListBucketsInput{}); err == nil || !strings.Contains(err.Error(), "another S3 store") {
		t.Errorf("the second: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := clientOf(second, mine, second.Secret(mine)).ListBuckets(t.Context(), &s3.ListBucketsInput{}); err != nil {
		t.Errorf("after the first: %v", err)
	}
}

// TestMetadataBesideTheFilesWhereTheyCannotHoldIt plays a file system without
// extended attributes by the folder that an earlier run would have made.
func TestMetadataBesideTheFilesWhereTheyCannotHoldIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s3")
	if err := os.MkdirAll(dir+".meta", 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	c := clientOf(s, mine, s.Secret(mine))
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("papers")}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "k", "hello")
	if text, err := get(t, c, "k"); err != nil || text != "hello" {
		t.Errorf("%q, %v", text, err)
	}
	if found, err := filepath.Glob(filepath.Join(dir+".meta", "papers", "k", "*", "*")); err != nil || len(found) == 0 {
		t.Errorf("nothing lies beside: %v, %v", found, err)
	}
}

// TestAnEarlyRefusalIsHeard sends more than the store reads of an object that
// it refuses.
func TestAnEarlyRefusalIsHeard(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s3"))
	c := clientOf(s, mine, s.Secret(mine))
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("papers")}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "k", "first")
	large := strings.NewReader(strings.Repeat("x", 8<<20))
	for range 20 {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("papers"), Key: aws.String("k"), Body: large, IfNoneMatch: aws.String("*")})
		if code(err) != "PreconditionFailed" {
			t.Fatal(err)
		}
	}
}

// TestABodyThatBreaksOffIsNoObject does so at several places, with and without
// a hash that would betray it.
func TestABodyThatBreaksOffIsNoObject(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "s3"))
	c := clientOf(s, mine, s.Secret(mine))
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("papers")}); err != nil {
		t.Fatal(err)
	}
	signer := &sigv4.Signer{KeyID: mine, Secret: s.Secret(mine), Region: "us-east-1", Service: "s3", Path: sigv4.PathAsSent}
	upload, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("papers"), Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range []int{0, 1, 100, 8 << 10, 64 << 10, 500_000, 999_999, 0, 1, 100, 64 << 10, 500_000, 999_999, 0, 1, 100, 8 << 10, 64 << 10, 500_000, 999_999} {
		target, text, content := "/papers/k", strings.Repeat("x", n), "UNSIGNED-PAYLOAD"
		if i%2 == 1 {
			target += "?partNumber=1&uploadId=" + *upload.UploadId
		}
		if i%3 == 2 {
			text, content = "f4240\r\n"+text, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
		}
		r, err := http.NewRequestWithContext(t.Context(), "PUT", "http://s3"+target, io.MultiReader(strings.NewReader(text), iotest.ErrReader(io.ErrUnexpectedEOF)))
		if err != nil {
			t.Fatal(err)
		}
		head := sigv4.Request{Method: "PUT", URI: target, Host: "s3"}
		if r.ContentLength = 1_000_000; i%3 == 2 {
			r.ContentLength, r.Close = -1, true
			head.Fields = []sigv4.Field{{Name: "X-Amz-Trailer", Value: "x-amz-checksum-crc32"}, {Name: "X-Amz-Decoded-Content-Length", Value: "1000000"}}
		}
		for _, f := range signer.SignPayload(head.Fields, &head, content, time.Now()) {
			r.Header.Set(f.Name, f.Value)
		}
		if response, err := s.Transport().RoundTrip(r); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				t.Errorf("%s, %d bytes: it is written", target, n)
			}
		}
	}
	if text, err := get(t, c, "k"); code(err) != "NoSuchKey" {
		t.Errorf("%d bytes are there, %v", len(text), err)
	}
	parts, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String("papers"), Key: aws.String("k"), UploadId: upload.UploadId})
	if err != nil || len(parts.Parts) != 0 {
		t.Errorf("parts are there: %v, %v", parts, err)
	}
}
