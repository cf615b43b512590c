package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/batch"
	"github.com/outcrop/outcrop/objects"
)

// batchFiles is S3 as batch jobs see it: for one account, with buckets that
// belong to owner, if that is not empty.
type batchFiles struct {
	client *objects.Client
	owner  string
}

// batchObjects implements batch.Options.Objects.
func (s *Server) batchObjects(account, owner string) batch.Objects {
	return batchFiles{s.objects.For(account), owner}
}

func (f batchFiles) ref(bucket, key string) objects.Ref {
	return objects.Ref{Bucket: bucket, Key: key, Owner: f.owner}
}

// told gives err the class that batch jobs tell apart.
func told(err error) error {
	class := error(nil)
	switch {
	case errors.Is(err, objects.ErrNoUpload): // it was ended, maybe by a try of which nobody heard: the next one begins another
	case errors.Is(err, objects.ErrChanged), outOfRange(err):
		class = batch.ErrChanged
	case errors.Is(err, objects.ErrExists):
		class = batch.ErrExists
	case errors.Is(err, outcrop.CodeNotFound):
		class = batch.ErrNoObject
	case errors.Is(err, outcrop.CodeAccessDenied):
		class = batch.ErrDenied
	case errors.Is(err, outcrop.CodeValidation):
		class = batch.ErrRefused
	}
	if class == nil {
		return err
	}
	return fmt.Errorf("%w: %w", class, err)
}

// outOfRange reports whether an object ends before what was to be read of it.
func outOfRange(err error) bool {
	var e *outcrop.Error
	return errors.As(err, &e) && e.Status == http.StatusRequestedRangeNotSatisfiable
}

// listed is how many objects a page of a list holds, as S3 has it.
const listed = 1000

// List implements batch.Objects.
func (f batchFiles) List(ctx context.Context, bucket, prefix, from string) ([]batch.Object, string, error) {
	p, err := f.client.List(ctx, f.ref(bucket, prefix), from, listed)
	page := make([]batch.Object, len(p.Objects))
	for i, o := range p.Objects {
		page[i] = batch.Object{Key: o.Key, ETag: o.ETag, Size: o.Size}
	}
	return page, p.Next, told(err)
}

// Stat implements batch.Objects.
func (f batchFiles) Stat(ctx context.Context, bucket, key string) (batch.Object, error) {
	o, err := f.client.Stat(ctx, f.ref(bucket, key))
	return batch.Object{Key: o.Key, ETag: o.ETag, Size: o.Size}, told(err)
}

// Read implements batch.Objects.
func (f batchFiles) Read(ctx context.Context, bucket, key, etag string, from, to int64) (io.ReadCloser, error) {
	r, err := f.client.ReadRange(ctx, f.ref(bucket, key), etag, from, to-from)
	return r, told(err)
}

// Put implements batch.Objects.
func (f batchFiles) Put(ctx context.Context, bucket, key string, body []byte, exclusive bool) error {
	_, err := f.client.Put(ctx, f.ref(bucket, key), body, exclusive)
	return told(err)
}

// Begin implements batch.Objects.
func (f batchFiles) Begin(ctx context.Context, bucket, key string) (string, error) {
	upload, err := f.client.Begin(ctx, f.ref(bucket, key))
	return upload, told(err)
}

// Part implements batch.Objects.
func (f batchFiles) Part(ctx context.Context, bucket, key, upload string, n int, body []byte) (string, error) {
	p, err := f.client.PutPart(ctx, f.ref(bucket, key), upload, n, body)
	return p.ETag, told(err)
}

// Complete implements batch.Objects.
func (f batchFiles) Complete(ctx context.Context, bucket, key, upload string, etags []string) error {
	parts := make([]objects.Part, len(etags))
	for i, etag := range etags {
		parts[i] = objects.Part{Number: i + 1, ETag: etag}
	}
	_, err := f.client.Complete(ctx, f.ref(bucket, key), upload, parts, false)
	return told(err)
}

// Abort implements batch.Objects.
func (f batchFiles) Abort(ctx context.Context, bucket, key, upload string) error {
	return told(f.client.Abort(ctx, f.ref(bucket, key), upload))
}

// Uploads implements batch.Objects.
func (f batchFiles) Uploads(ctx context.Context, bucket, prefix string) ([]batch.Upload, error) {
	all, err := f.client.Uploads(ctx, f.ref(bucket, prefix))
	uploads := make([]batch.Upload, len(all))
	for i, u := range all {
		uploads[i] = batch.Upload{Key: u.Ref.Key, ID: u.ID}
	}
	return uploads, told(err)
}

// Delete implements batch.Objects.
func (f batchFiles) Delete(ctx context.Context, bucket, key string) error {
	return told(f.client.Delete(ctx, f.ref(bucket, key)))
}
