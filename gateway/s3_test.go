package gateway_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/objects"
)

func (h *house) s3(t *testing.T, id, secret string) *s3.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return s3.New(s3.Options{BaseEndpoint: aws.String(h.URL), Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 1,
		HTTPClient: &http.Client{Transport: transport}, Credentials: credentials.NewStaticCredentialsProvider(id, secret, "")})
}

func s3Code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

func putPaper(t *testing.T, c *s3.Client) error {
	t.Helper()
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("papers")}); err != nil {
		return err
	}
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("papers"), Key: aws.String("in/a.jsonl"), Body: strings.NewReader("{}\n")})
	return err
}

func TestTheServerReadsWhatItsCallersWroteToS3(t *testing.T) {
	h := start(t, fast)
	if err := putPaper(t, h.s3(t, "anything", "at all")); err != nil {
		t.Fatal(err)
	}
	r := objects.Ref{Bucket: "papers", Key: "in/a.jsonl"}
	if o, err := h.Objects().For(identity.OpenAccount).Stat(t.Context(), r); err != nil || o.Size != 3 {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := h.Objects().For("111122223333").Stat(t.Context(), r); !errors.Is(err, outcrop.CodeAccessDenied) {
		t.Errorf("for another account: %v", err)
	}
	if lines := h.log.lines(t, "invocation"); len(lines) != 0 {
		t.Errorf("recorded as invocations: %v", lines)
	}
}

func TestS3AsksForTheSameKeys(t *testing.T) {
	cfg := load(t, fast)
	id, secret := aKey(t, cfg.Data, nil)
	sameID, sameSecret := aKey(t, cfg.Data, nil)
	otherID, otherSecret := aKey(t, cfg.Data, func(k *identity.Key) { k.Principal.Account = "444455556666" })
	narrowID, narrowSecret := aKey(t, cfg.Data, func(k *identity.Key) { k.Principal.Actions = []string{"bedrock:*", "s3:GetObject"} })
	h := startOn(t, cfg)
	if err := putPaper(t, h.s3(t, id, secret)); err != nil {
		t.Fatal(err)
	}
	get := func(id, secret string) error {
		out, err := h.s3(t, id, secret).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("papers"), Key: aws.String("in/a.jsonl")})
		if err == nil {
			_ = out.Body.Close()
		}
		return err
	}
	for name, c := range map[string]struct{ id, secret, code string }{
		"the same account's":  {sameID, sameSecret, ""},
		"one that may read":   {narrowID, narrowSecret, ""},
		"another account's":   {otherID, otherSecret, "AccessDenied"},
		"with a wrong secret": {id, secret + "x", "SignatureDoesNotMatch"},
		"one of nobody":       {"AKIAUNKNOWNUNKNOWN12", secret, "InvalidAccessKeyId"},
	} {
		if err := get(c.id, c.secret); s3Code(err) != c.code || err != nil && c.code == "" {
			t.Errorf("the key %s: %v", name, err)
		}
	}
	_, err := h.s3(t, narrowID, narrowSecret).PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("papers"), Key: aws.String("b"), Body: strings.NewReader("")})
	if s3Code(err) != "AccessDenied" {
		t.Errorf("writing with a key that may read: %v", err)
	}
}

func TestS3CanBeSwitchedOffAndBeElsewhere(t *testing.T) {
	h := start(t, fast+`
s3:
  builtin: false
  endpoint: http://127.0.0.1:1
  access_key: {env: ENGINE_ID}
  secret_key: {env: ENGINE_KEY}
  accounts: ["111122223333"]
  buckets:
    - {name: "logs-*", endpoint: "http://127.0.0.1:2", access_key: {env: ENGINE_ID}, secret_key: {env: ENGINE_KEY}}
`)
	if err := putPaper(t, h.s3(t, "a", "b")); err == nil || strings.Contains(err.Error(), "InvalidAccessKeyId") {
		t.Errorf("S3 answers: %v", err)
	}
	if _, err := h.Objects().For("444455556666").Stat(t.Context(), objects.Ref{Bucket: "papers", Key: "k"}); !errors.Is(err, outcrop.CodeAccessDenied) {
		t.Errorf("an account that may not: %v", err)
	}
	_, err := h.Objects().For("444455556666").Stat(t.Context(), objects.Ref{Bucket: "logs-1", Key: "k"})
	if !errors.Is(err, outcrop.CodeUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:2") {
		t.Errorf("a bucket of its own place: %v", err)
	}
}

func TestWhatNobodyElseServesIsLookedForInS3(t *testing.T) {
	h := start(t, fast)
	if err := putPaper(t, h.s3(t, "a", "b")); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, &http.Transport{})
	for path, want := range map[string]string{"/papers/in/a.jsonl": "{}\n", "/healthz": "ok", "/foundation-models": "modelSummaries"} {
		r, _ := http.NewRequest("GET", h.URL+path, nil)
		if got := do(t, client, r); got.status != 200 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %.200s", path, got.status, got.body)
		}
	}
	r, _ := http.NewRequest("GET", h.URL+"/papers/in/a.jsonl", nil)
	r.Host = "evil.example"
	if got := do(t, client, r); got.status != 403 || strings.Contains(got.body, "{}") {
		t.Errorf("by a foreign name: %d %s", got.status, got.body)
	}
}

// TestABucketMayBeCalledModel: its paths begin like those of invocations.
func TestABucketMayBeCalledModel(t *testing.T) {
	h := start(t, fast)
	c := h.s3(t, "a", "b")
	bucket, key := aws.String("model"), aws.String("m/converse")
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	upload, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	part, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: upload.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("hello")})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is no such upload
		_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: upload.UploadId,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}}})
		if err != nil && s3Code(err) != "NoSuchUpload" {
			t.Fatal(err)
		}
	}
	if o, err := h.Objects().For(identity.OpenAccount).Stat(t.Context(), objects.Ref{Bucket: "model", Key: *key}); err != nil || o.Size != 5 {
		t.Errorf("%+v, %v", o, err)
	}
	client := newClient(t, &http.Transport{})
	if r := h.ask(t, client, "POST", conversePath, hello); r.status != 200 {
		t.Errorf("an invocation: %d %s", r.status, r.body)
	}
}
