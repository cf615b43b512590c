package objects_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/objects"
	"github.com/outcrop/outcrop/outcroptest"
	"github.com/outcrop/outcrop/outcroptest/foreign"
	"github.com/outcrop/outcrop/s3store"
)

const (
	mine, other = "111122223333", "444455556666"
	region      = "us-east-1"
)

func TestMain(m *testing.M) {
	foreign.Main()
	os.Exit(m.Run())
}

func makeBucket(t *testing.T, client *http.Client, endpoint, id, secret, bucket string) {
	t.Helper()
	api := s3.New(s3.Options{BaseEndpoint: &endpoint, Region: region, UsePathStyle: true, HTTPClient: client,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, nil
		})})
	if _, err := api.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
}

func TestTheBuiltInStore(t *testing.T) {
	outcroptest.RunObjects(t, func(t *testing.T) outcroptest.ObjectsFixture {
		store := s3store.New(s3store.Options{Dir: filepath.Join(t.TempDir(), "s3"), Region: region})
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		makeBucket(t, &http.Client{Transport: store.Transport()}, "http://s3", mine, store.Secret(mine), "papers")
		all := objects.New(objects.Options{Places: []objects.Place{{Buckets: "*"}}, Builtin: store, Region: region})
		return outcroptest.ObjectsFixture{Store: all.For(mine), Stranger: all.For(other), Bucket: "papers", Owner: mine}
	})
}

func TestAnotherServerOverTheNetwork(t *testing.T) {
	address := foreign.Start(t)
	count := 0
	outcroptest.RunObjects(t, func(t *testing.T) outcroptest.ObjectsFixture {
		count++
		bucket := fmt.Sprintf("papers-%d", count)
		makeBucket(t, http.DefaultClient, "http://"+address, foreign.KeyID, foreign.Secret, bucket)
		all := objects.New(objects.Options{Places: []objects.Place{{Buckets: "*", Endpoint: "http://" + address, Region: region, PathStyle: true,
			KeyID: foreign.KeyID, Secret: identity.NewSecret(foreign.Secret)}}})
		t.Cleanup(all.Close)
		return outcroptest.ObjectsFixture{Store: all.For(mine), Bucket: bucket}
	})
}

func TestTheStoreInMemory(t *testing.T) {
	outcroptest.RunObjects(t, func(*testing.T) outcroptest.ObjectsFixture {
		all := &outcroptest.Buckets{}
		all.Make("papers", mine)
		return outcroptest.ObjectsFixture{Store: all.For(mine), Stranger: all.For(other), Bucket: "papers", Owner: mine}
	})
}

func TestTheStoreInMemoryFailsWhenItIsTold(t *testing.T) {
	broken := &outcrop.Error{Code: outcrop.CodeUnavailable, Message: "broken"}
	all := &outcroptest.Buckets{Fault: func(_ context.Context, d outcroptest.Deed) error {
		if d.Number == 2 && d.Name == "Put" && d.Done {
			return broken
		}
		return nil
	}}
	all.Make("papers", mine)
	c, r := all.For(mine), objects.Ref{Bucket: "papers", Key: "k"}
	if _, err := c.Stat(t.Context(), r); !errors.Is(err, outcrop.CodeNotFound) {
		t.Error(err)
	}
	if _, err := c.Put(t.Context(), r, []byte("x"), true); !errors.Is(err, broken) {
		t.Errorf("the outcome is told: %v", err)
	}
	if _, err := c.Put(t.Context(), r, []byte("x"), true); !errors.Is(err, objects.ErrExists) {
		t.Errorf("it was not done: %v", err)
	}
}

// answering is a store of one place that answers with this.
func answering(t *testing.T, accounts []string, handler http.HandlerFunc) *objects.Store {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	all := objects.New(objects.Options{Places: []objects.Place{
		{Buckets: "here-*", Endpoint: server.URL, Region: region, PathStyle: true, KeyID: "id", Secret: identity.NewSecret("secret"), Token: identity.NewSecret("token"), Accounts: accounts}}})
	t.Cleanup(all.Close)
	return all
}

func s3Error(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>m</Message></Error>", code)
}

func TestErrorsOfS3HaveTheirClass(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   outcrop.Code
	}{
		{403, "AccessDenied", outcrop.CodeAccessDenied},
		{403, "InvalidAccessKeyId", outcrop.CodeAccessDenied},
		{400, "ExpiredToken", outcrop.CodeAccessDenied},
		{404, "NoSuchBucket", outcrop.CodeNotFound},
		{409, "ConditionalRequestConflict", outcrop.CodeUnavailable},
		{412, "PreconditionFailed", outcrop.CodeConflict},
		{400, "InvalidRequest", outcrop.CodeValidation},
		{400, "IncompleteBody", outcrop.CodeUnavailable},
		{400, "BadDigest", outcrop.CodeUnavailable},
		{301, "PermanentRedirect", outcrop.CodeValidation},
		{307, "TemporaryRedirect", outcrop.CodeUnavailable},
		{400, "BadDigest", outcrop.CodeUnavailable},
		{501, "NotImplemented", outcrop.CodeValidation},
		{503, "SlowDown", outcrop.CodeUnavailable},
		{500, "InternalError", outcrop.CodeUnavailable},
	} {
		all := answering(t, nil, func(w http.ResponseWriter, _ *http.Request) { s3Error(w, c.status, c.code) })
		_, err := all.For(mine).Put(t.Context(), objects.Ref{Bucket: "here-a", Key: "k"}, nil, true)
		var e *outcrop.Error
		if !errors.As(err, &e) || e.Code != c.want || e.Status != c.status || e.Original != c.code {
			t.Errorf("%d %s: %v", c.status, c.code, err)
			continue
		}
		if !strings.Contains(e.Message, "s3://here-a/k") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s says %s", c.code, err)
		}
	}
}

func TestAShortFailureIsTriedAgain(t *testing.T) {
	var calls atomic.Int32
	all := answering(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			s3Error(w, 503, "SlowDown")
			return
		}
		if r.Header.Get("X-Amz-Security-Token") != "token" || r.Header.Get("X-Amz-Expected-Bucket-Owner") != mine {
			t.Errorf("asked with %v", r.Header)
		}
		w.Header().Set("ETag", `"1"`)
	})
	etag, err := all.For(mine).Put(t.Context(), objects.Ref{Bucket: "here-a", Key: "k", Owner: mine}, []byte("x"), false)
	if err != nil || etag != `"1"` || calls.Load() != 2 {
		t.Errorf("%s, %v after %d calls", etag, err, calls.Load())
	}
}

func TestABodyThatBreaksOffIsAnError(t *testing.T) {
	all := answering(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write([]byte("half"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	body, err := all.For(mine).ReadRange(t.Context(), objects.Ref{Bucket: "here-a", Key: "k"}, `"1"`, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); string(got) != "half" || !errors.Is(err, outcrop.CodeUnavailable) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAnUnreachableS3IsUnavailable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	all := objects.New(objects.Options{Places: []objects.Place{{Buckets: "*", Endpoint: "http://" + l.Addr().String(), Region: region, PathStyle: true}}})
	defer all.Close()
	if _, err := all.For(mine).Stat(t.Context(), objects.Ref{Bucket: "bucket", Key: "k"}); !errors.Is(err, outcrop.CodeUnavailable) {
		t.Error(err)
	}
}

func TestAContextThatEndsIsToldAsSuch(t *testing.T) {
	release := make(chan struct{})
	all := answering(t, nil, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := all.For(mine).Stat(ctx, objects.Ref{Bucket: "here-a", Key: "k"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestPlacesAreForTheirBucketsAndAccounts(t *testing.T) {
	var asked atomic.Int32
	all := answering(t, []string{mine}, func(w http.ResponseWriter, _ *http.Request) { asked.Add(1) })
	if _, err := all.For(mine).Stat(t.Context(), objects.Ref{Bucket: "here-a", Key: "k"}); err != nil || asked.Load() != 1 {
		t.Errorf("%v after %d calls", err, asked.Load())
	}
	if _, err := all.For(other).Stat(t.Context(), objects.Ref{Bucket: "here-a", Key: "k"}); !errors.Is(err, outcrop.CodeAccessDenied) {
		t.Errorf("another account: %v", err)
	}
	if _, err := all.For(mine).Stat(t.Context(), objects.Ref{Bucket: "there", Key: "k"}); !errors.Is(err, outcrop.CodeNotFound) {
		t.Errorf("another bucket: %v", err)
	}
	if asked.Load() != 1 {
		t.Errorf("%d calls", asked.Load())
	}
}

// TestKeysThatLeaveTheirBucketAreRefused before they are asked for: servers
// tidy paths, and who may use one bucket of a place may not use all.
func TestKeysThatLeaveTheirBucketAreRefused(t *testing.T) {
	all := answering(t, nil, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked for", r.URL) })
	for _, key := range []string{"../there/k", "a/../../there/k", "..", "a/./b"} {
		if _, err := all.For(mine).Stat(t.Context(), objects.Ref{Bucket: "here-a", Key: key}); !errors.Is(err, outcrop.CodeValidation) {
			t.Errorf("%s: %v", key, err)
		}
	}
}
