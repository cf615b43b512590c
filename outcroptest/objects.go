package outcroptest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/objects"
)

// An ObjectStore is what objects.Client promises.
type ObjectStore interface {
	List(ctx context.Context, prefix objects.Ref, from string, max int) (objects.Page, error)
	Stat(ctx context.Context, r objects.Ref) (objects.Object, error)
	ReadRange(ctx context.Context, r objects.Ref, etag string, offset, length int64) (io.ReadCloser, error)
	Put(ctx context.Context, r objects.Ref, body []byte, ifAbsent bool) (etag string, err error)
	Delete(ctx context.Context, r objects.Ref) error
	Begin(ctx context.Context, r objects.Ref) (upload string, err error)
	PutPart(ctx context.Context, r objects.Ref, upload string, number int, body []byte) (objects.Part, error)
	Complete(ctx context.Context, r objects.Ref, upload string, parts []objects.Part, ifAbsent bool) (etag string, err error)
	Abort(ctx context.Context, r objects.Ref, upload string) error
	Parts(ctx context.Context, r objects.Ref, upload string) ([]objects.Part, error)
	Uploads(ctx context.Context, prefix objects.Ref) ([]objects.Upload, error)
}

// An ObjectsFixture is an ObjectStore to test, with an empty bucket of its
// account.
type ObjectsFixture struct {
	Store  ObjectStore
	Bucket string
	Owner  string // account of the bucket
	// Stranger is another account's; nil if the store does not know accounts.
	Stranger ObjectStore
}

func (f *ObjectsFixture) ref(key string) objects.Ref {
	return objects.Ref{Bucket: f.Bucket, Key: key, Owner: f.Owner}
}

// RunObjects checks that the store of the fixture keeps the contract of
// objects.Client. Each part gets a fixture of its own.
func RunObjects(t *testing.T, fixture func(t *testing.T) ObjectsFixture) {
	for _, part := range []struct {
		name string
		run  func(t *testing.T, f ObjectsFixture)
	}{
		{"what was written is read", readsWhatWasWritten},
		{"ranges", ranges},
		{"a changed object is told", changedObject},
		{"an object is written once", writtenOnce},
		{"listings come in pages", listings},
		{"odd keys", oddKeys},
		{"what is not there", notThere},
		{"multipart uploads", multipart},
		{"an interrupted upload goes on", resumed},
		{"uploads end once", uploadsEnd},
		{"an upload is completed once", completedOnce},
		{"bad uploads are refused", badUploads},
		{"strangers", strangers},
		{"another owner than expected", otherOwner},
		{"a context that has ended", endedContext},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, fixture(t)) })
	}
}

func must[V any](t *testing.T) func(v V, err error) V {
	t.Helper()
	return func(v V, err error) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wants expects an *outcrop.Error of the code and with the sentinel, if there
// is one.
func wants(t *testing.T, err error, code outcrop.Code, sentinel error) {
	t.Helper()
	var e *outcrop.Error
	if !errors.As(err, &e) || e.Code != code || e.Message == "" || sentinel != nil && !errors.Is(err, sentinel) {
		t.Errorf("error %v, want %s, %v", err, code, sentinel)
	}
}

func (f *ObjectsFixture) read(t *testing.T, r objects.Ref, etag string, offset, length int64) string {
	t.Helper()
	body := must[io.ReadCloser](t)(f.Store.ReadRange(t.Context(), r, etag, offset, length))
	defer body.Close()
	return string(must[[]byte](t)(io.ReadAll(body)))
}

func readsWhatWasWritten(t *testing.T, f ObjectsFixture) {
	r := f.ref("in/a.jsonl")
	etag := must[string](t)(f.Store.Put(t.Context(), r, []byte("hello"), false))
	o := must[objects.Object](t)(f.Store.Stat(t.Context(), r))
	if etag == "" || o.ETag != etag || o.Size != 5 || o.Key != r.Key || o.Modified.IsZero() {
		t.Errorf("%+v, written as %s", o, etag)
	}
	if got := f.read(t, r, etag, 0, -1); got != "hello" {
		t.Errorf("read %q", got)
	}
	if again := must[string](t)(f.Store.Put(t.Context(), r, []byte("hello, world"), false)); again == etag {
		t.Error("another content has the same ETag")
	}
	if err := f.Store.Delete(t.Context(), r); err != nil {
		t.Error(err)
	}
	_, err := f.Store.Stat(t.Context(), r)
	wants(t, err, outcrop.CodeNotFound, nil)
	empty := must[string](t)(f.Store.Put(t.Context(), f.ref("empty"), nil, true))
	if o := must[objects.Object](t)(f.Store.Stat(t.Context(), f.ref("empty"))); o.Size != 0 || o.ETag != empty {
		t.Errorf("an empty object: %+v", o)
	}
}

func ranges(t *testing.T, f ObjectsFixture) {
	r := f.ref("digits")
	etag := must[string](t)(f.Store.Put(t.Context(), r, []byte("0123456789"), false))
	for _, c := range []struct {
		offset, length int64
		want           string
	}{{0, 1, "0"}, {3, 4, "3456"}, {9, 1, "9"}, {8, 100, "89"}, {5, -1, "56789"}, {4, 0, ""}} {
		if got := f.read(t, r, etag, c.offset, c.length); got != c.want {
			t.Errorf("%d bytes from %d on: %q", c.length, c.offset, got)
		}
	}
	_, err := f.Store.ReadRange(t.Context(), r, etag, 10, 1)
	wants(t, err, outcrop.CodeValidation, nil)
}

func changedObject(t *testing.T, f ObjectsFixture) {
	r := f.ref("k")
	etag := must[string](t)(f.Store.Put(t.Context(), r, []byte("before"), false))
	must[string](t)(f.Store.Put(t.Context(), r, []byte("after!"), false))
	_, err := f.Store.ReadRange(t.Context(), r, etag, 0, 3)
	wants(t, err, outcrop.CodeConflict, objects.ErrChanged)
	if got := f.read(t, r, "", 0, -1); got != "after!" {
		t.Errorf("read whatever there is: %q", got)
	}
}

func writtenOnce(t *testing.T, f ObjectsFixture) {
	r := f.ref("manifest")
	must[string](t)(f.Store.Put(t.Context(), r, []byte("first"), true))
	_, err := f.Store.Put(t.Context(), r, []byte("second"), true)
	wants(t, err, outcrop.CodeConflict, objects.ErrExists)
	if got := f.read(t, r, "", 0, -1); got != "first" {
		t.Errorf("it holds %q", got)
	}
}

func listings(t *testing.T, f ObjectsFixture) {
	var want []string
	for _, key := range []string{"in/1", "in/2", "in/3/a", "in/3/b", "in/Z", "in/z", "other"} {
		must[string](t)(f.Store.Put(t.Context(), f.ref(key), []byte(key), false))
		if strings.HasPrefix(key, "in/") {
			want = append(want, key)
		}
	}
	slices.Sort(want)
	for _, most := range []int{1, 2, 1000} {
		var got []string
		for from := ""; ; {
			page := must[objects.Page](t)(f.Store.List(t.Context(), f.ref("in/"), from, most))
			if len(page.Objects) > most {
				t.Errorf("%d objects on a page of %d", len(page.Objects), most)
			}
			for _, o := range page.Objects {
				got = append(got, o.Key)
				if o.Size != int64(len(o.Key)) || o.ETag == "" || o.Modified.IsZero() {
					t.Errorf("listed as %+v", o)
				}
			}
			if from = page.Next; from == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %q, want %q", most, got, want)
		}
	}
	if page := must[objects.Page](t)(f.Store.List(t.Context(), f.ref("nothing/"), "", 10)); len(page.Objects) != 0 || page.Next != "" {
		t.Errorf("of nothing: %+v", page)
	}
}

func oddKeys(t *testing.T, f ObjectsFixture) {
	for _, key := range []string{"a b", "a+b", "a%20b", "ü/日本", "a=b&c=d?e#f", "(!*')", "a;b", strings.Repeat("k", 200) + "/" + strings.Repeat("k", 200)} {
		etag := must[string](t)(f.Store.Put(t.Context(), f.ref(key), []byte(key), true))
		if got := f.read(t, f.ref(key), etag, 0, -1); got != key {
			t.Errorf("%q holds %q", key, got)
		}
		if page := must[objects.Page](t)(f.Store.List(t.Context(), f.ref(key), "", 10)); len(page.Objects) != 1 || page.Objects[0].Key != key {
			t.Errorf("%q is listed as %+v", key, page)
		}
	}
}

func notThere(t *testing.T, f ObjectsFixture) {
	r := f.ref("nothing")
	_, err := f.Store.Stat(t.Context(), r)
	wants(t, err, outcrop.CodeNotFound, nil)
	_, err = f.Store.ReadRange(t.Context(), r, "", 0, 1)
	wants(t, err, outcrop.CodeNotFound, nil)
	if err := f.Store.Delete(t.Context(), r); err != nil {
		t.Errorf("deleting it: %v", err)
	}
	nowhere := objects.Ref{Bucket: "no-such-bucket-anywhere", Key: "k"}
	_, err = f.Store.Stat(t.Context(), nowhere)
	wants(t, err, outcrop.CodeNotFound, nil)
	_, err = f.Store.Put(t.Context(), nowhere, nil, false)
	wants(t, err, outcrop.CodeNotFound, nil)
	_, err = f.Store.List(t.Context(), nowhere, "", 10)
	wants(t, err, outcrop.CodeNotFound, nil)
	_, err = f.Store.Stat(t.Context(), objects.Ref{Bucket: "Not/A.Bucket", Key: "k"})
	wants(t, err, outcrop.CodeValidation, nil)
}

// partOf is the content of a part: large enough for one that is not the last.
func partOf(number int) []byte { return bytes.Repeat([]byte{byte('a' + number)}, objects.MinPart) }

func multipart(t *testing.T, f ObjectsFixture) {
	r := f.ref("out/big")
	upload := must[string](t)(f.Store.Begin(t.Context(), r))
	second := must[objects.Part](t)(f.Store.PutPart(t.Context(), r, upload, 2, []byte("the end")))
	must[objects.Part](t)(f.Store.PutPart(t.Context(), r, upload, 1, partOf(9))) // replaced
	first := must[objects.Part](t)(f.Store.PutPart(t.Context(), r, upload, 1, partOf(1)))
	_, err := f.Store.Stat(t.Context(), r)
	wants(t, err, outcrop.CodeNotFound, nil)
	etag := must[string](t)(f.Store.Complete(t.Context(), r, upload, []objects.Part{first, second}, true))
	o := must[objects.Object](t)(f.Store.Stat(t.Context(), r))
	if o.ETag != etag || o.Size != objects.MinPart+7 {
		t.Errorf("%+v, completed as %s", o, etag)
	}
	if got := f.read(t, r, etag, objects.MinPart-2, -1); got != "bbthe end" {
		t.Errorf("across the parts: %q", got)
	}
}

func resumed(t *testing.T, f ObjectsFixture) {
	r := f.ref("out/big")
	upload := must[string](t)(f.Store.Begin(t.Context(), r))
	must[objects.Part](t)(f.Store.PutPart(t.Context(), r, upload, 1, partOf(1)))
	other := must[string](t)(f.Store.Begin(t.Context(), f.ref("elsewhere")))
	found := must[[]objects.Upload](t)(f.Store.Uploads(t.Context(), f.ref("out/")))
	if len(found) != 1 || found[0].ID != upload || found[0].Ref != r || found[0].Began.IsZero() {
		t.Fatalf("found %+v", found)
	}
	parts := must[[]objects.Part](t)(f.Store.Parts(t.Context(), r, upload))
	if len(parts) != 1 || parts[0].Number != 1 || parts[0].Size != objects.MinPart || parts[0].ETag == "" {
		t.Fatalf("it has %+v", parts)
	}
	last := must[objects.Part](t)(f.Store.PutPart(t.Context(), r, upload, 2, []byte("x")))
	must[string](t)(f.Store.Complete(t.Context(), r, upload, append(parts, last), false))
	if err := f.Store.Abort(t.Context(), f.ref("elsewhere"), other); err != nil {
		t.Error(err)
	}
	if left := must[[]objects.Upload](t)(f.Store.Uploads(t.Context(), f.ref(""))); len(left) != 0 {
		t.Errorf("left over: %+v", left)
	}
}

func uploadsEnd(t *testing.T, f ObjectsFixture) {
	r := f.ref("k")
	aborted := must[string](t)(f.Store.Begin(t.Context(), r))
	part := must[objects.Part](t)(f.Store.PutPart(t.Context(), r, aborted, 1, []byte("x")))
	for range 2 {
		if err := f.Store.Abort(t.Context(), r, aborted); err != nil {
			t.Fatal(err)
		}
	}
	_, err := f.Store.PutPart(t.Context(), r, aborted, 1, []byte("x"))
	wants(t, err, outcrop.CodeNotFound, objects.ErrNoUpload)
	_, err = f.Store.Parts(t.Context(), r, aborted)
	wants(t, err, outcrop.CodeNotFound, objects.ErrNoUpload)
	_, err = f.Store.Complete(t.Context(), r, aborted, []objects.Part{part}, false)
	wants(t, err, outcrop.CodeNotFound, objects.ErrNoUpload)
}

func completedOnce(t *testing.T, f ObjectsFixture) {
	r := f.ref("k")
	must[string](t)(f.Store.Put(t.Context(), r, []byte("first"), false))
	upload := must[string](t)(f.Store.Begin(t.Context(), r))
	part := must[objects.Part](t)(f.Store.PutPart(t.Context(), r, upload, 1, []byte("second")))
	_, err := f.Store.Complete(t.Context(), r, upload, []objects.Part{part}, true)
	wants(t, err, outcrop.CodeConflict, objects.ErrExists)
	if got := f.read(t, r, "", 0, -1); got != "first" {
		t.Errorf("it holds %q", got)
	}
	must[string](t)(f.Store.Complete(t.Context(), r, upload, []objects.Part{part}, false))
	if got := f.read(t, r, "", 0, -1); got != "second" {
		t.Errorf("after all it holds %q", got)
	}
}

func badUploads(t *testing.T, f ObjectsFixture) {
	r := f.ref("k")
	upload := must[string](t)(f.Store.Begin(t.Context(), r))
	small := must[objects.Part](t)(f.Store.PutPart(t.Context(), r, upload, 1, []byte("too small")))
	last := must[objects.Part](t)(f.Store.PutPart(t.Context(), r, upload, 2, []byte("the last")))
	for name, parts := range map[string][]objects.Part{
		"a small part":       {small, last},
		"the wrong order":    {last, small},
		"a part of no sort":  {{Number: 7, ETag: small.ETag}},
		"another ETag":       {{Number: 1, ETag: `"00000000000000000000000000000000"`}},
		"no part whatsoever": nil,
	} {
		if _, err := f.Store.Complete(t.Context(), r, upload, parts, false); !errors.Is(err, outcrop.CodeValidation) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := f.Store.Stat(t.Context(), r)
	wants(t, err, outcrop.CodeNotFound, nil)
}

func strangers(t *testing.T, f ObjectsFixture) {
	if f.Stranger == nil {
		t.Skip("the store does not know accounts")
	}
	r := objects.Ref{Bucket: f.Bucket, Key: "k"}
	etag := must[string](t)(f.Store.Put(t.Context(), r, []byte("mine"), false))
	for name, try := range map[string]func() error{
		"stat":   func() error { _, err := f.Stranger.Stat(t.Context(), r); return err },
		"read":   func() error { _, err := f.Stranger.ReadRange(t.Context(), r, etag, 0, 1); return err },
		"write":  func() error { _, err := f.Stranger.Put(t.Context(), r, nil, false); return err },
		"list":   func() error { _, err := f.Stranger.List(t.Context(), r, "", 1); return err },
		"begin":  func() error { _, err := f.Stranger.Begin(t.Context(), r); return err },
		"delete": func() error { return f.Stranger.Delete(t.Context(), r) },
	} {
		if err := try(); !errors.Is(err, outcrop.CodeAccessDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := f.read(t, r, etag, 0, -1); got != "mine" {
		t.Errorf("it holds %q", got)
	}
}

func otherOwner(t *testing.T, f ObjectsFixture) {
	if f.Stranger == nil {
		t.Skip("the store does not know accounts")
	}
	r := f.ref("k")
	must[string](t)(f.Store.Put(t.Context(), r, []byte("mine"), false))
	r.Owner = "999988887777"
	_, err := f.Store.Stat(t.Context(), r)
	wants(t, err, outcrop.CodeAccessDenied, nil)
	_, err = f.Store.Put(t.Context(), r, nil, false)
	wants(t, err, outcrop.CodeAccessDenied, nil)
	_, err = f.Store.List(t.Context(), r, "", 1)
	wants(t, err, outcrop.CodeAccessDenied, nil)
}

func endedContext(t *testing.T, f ObjectsFixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Store.Put(ctx, f.ref("k"), nil, false); !errors.Is(err, context.Canceled) {
		t.Errorf("writing: %v", err)
	}
	if _, err := f.Store.List(ctx, f.ref(""), "", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("listing: %v", err)
	}
	_, err := f.Store.Stat(t.Context(), f.ref("k"))
	wants(t, err, outcrop.CodeNotFound, nil)
}
