// Package objects is the server's own client of S3: of the built-in store, of
// AWS, or of anything that speaks S3, by bucket. What is asked for, is asked
// on behalf of an account.
//
// Errors are *outcrop.Error, with these codes:
//
//	AccessDenied   the account may not, or the credentials are refused
//	NotFound       no such bucket, object or upload (ErrNoUpload)
//	Conflict       the object is another one than was read before
//	               (ErrChanged), or is there already (ErrExists)
//	Validation     the request cannot be right: a range behind the end, parts
//	               that are too small, a name that no bucket has
//	Unavailable    S3 cannot be reached, fails, or asks to slow down: another
//	               try may succeed. Whether a write was done is not known.
//
// or those of the context, if that has ended. Short failures are tried again
// before they become errors.
package objects

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/identity"
)

// Errors that tell failures of one code apart, for errors.Is.
var (
	// ErrChanged: the object has another ETag than was asked for.
	ErrChanged = errors.New("the object has changed")
	// ErrExists: the object is there already. After an earlier attempt whose
	// outcome is not known it may be one's own.
	ErrExists = errors.New("the object exists")
	// ErrNoUpload: the multipart upload was completed or aborted, or never
	// was.
	ErrNoUpload = errors.New("no such upload")
)

// A Place is an S3 that has buckets.
type Place struct {
	// Buckets is the name of the bucket; '*' stands for any run of characters.
	Buckets string
	// Endpoint is the address; empty means the built-in store, and the rest
	// then counts for nothing but Accounts.
	Endpoint  string
	Region    string
	KeyID     string
	Secret    identity.Secret
	Token     identity.Secret // session token; may be empty
	PathStyle bool
	// Accounts are those that may use the buckets; all if it is empty.
	Accounts []string
}

// A Builtin is the built-in store.
type Builtin interface {
	Transport() http.RoundTripper
	// Secret returns the secret access key of the account, whose access key
	// id is its own.
	Secret(account string) string
}

// Options set up a Store.
type Options struct {
	// Places are tried in order; the first whose Buckets match has a bucket.
	Places []Place
	// Builtin may be nil if no place needs it.
	Builtin Builtin
	Region  string // of the built-in store
}

// A Ref names an object.
type Ref struct {
	Bucket, Key string
	// Owner is the account that the bucket is expected to belong to; if it
	// belongs to another one, access is denied. Empty expects nothing.
	Owner string
}

// String returns the S3 URI.
func (r Ref) String() string { return "s3://" + r.Bucket + "/" + r.Key }

// An Object is what a listing or Stat tells of one.
type Object struct {
	Key      string
	Size     int64
	ETag     string // as S3 writes it, quotes included
	Modified time.Time
}

// A Page is a piece of a listing, in the order of the keys' bytes.
type Page struct {
	Objects []Object
	Next    string // to be passed to List for what follows; empty at the end
}

// List returns objects whose keys begin with prefix, at most max of them (S3
// gives up to 1000), from where the page before ended; from is empty at the
// beginning.
func (c *Client) List(ctx context.Context, prefix Ref, from string, max int) (Page, error) {
	api, err := c.at(prefix)
	if err != nil {
		return Page{}, err
	}
	in := &s3.ListObjectsV2Input{Bucket: &prefix.Bucket, Prefix: optional(prefix.Key), ContinuationToken: optional(from),
		MaxKeys: aws.Int32(int32(max)), ExpectedBucketOwner: optional(prefix.Owner)}
	out, err := api.ListObjectsV2(ctx, in)
	if err != nil {
		return Page{}, failure(ctx, err, "list", prefix, nil)
	}
	page := Page{Objects: make([]Object, len(out.Contents)), Next: aws.ToString(out.NextContinuationToken)}
	for i, o := range out.Contents {
		page.Objects[i] = Object{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), ETag: aws.ToString(o.ETag), Modified: aws.ToTime(o.LastModified)}
	}
	return page, nil
}

// Stat returns what there is to know of an object.
func (c *Client) Stat(ctx context.Context, r Ref) (Object, error) {
	api, err := c.at(r)
	if err != nil {
		return Object{}, err
	}
	out, err := api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &r.Bucket, Key: &r.Key, ExpectedBucketOwner: optional(r.Owner)})
	if err != nil {
		return Object{}, failure(ctx, err, "look at", r, nil)
	}
	return Object{Key: r.Key, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag), Modified: aws.ToTime(out.LastModified)}, nil
}

// ReadRange opens length bytes of the object from offset on, or up to its end
// if length is negative or reaches beyond it. The object must have the ETag;
// otherwise ErrChanged. The caller must Close the result; errors of reading it
// are of the same kinds, and it ends with io.EOF only if it is whole.
func (c *Client) ReadRange(ctx context.Context, r Ref, etag string, offset, length int64) (io.ReadCloser, error) {
	if length == 0 {
		return http.NoBody, nil
	}
	api, err := c.at(r)
	if err != nil {
		return nil, err
	}
	span := "bytes=" + strconv.FormatInt(offset, 10) + "-"
	if length > 0 {
		span += strconv.FormatInt(offset+length-1, 10)
	}
	out, err := api.GetObject(ctx, &s3.GetObjectInput{Bucket: &r.Bucket, Key: &r.Key, Range: &span, IfMatch: optional(etag), ExpectedBucketOwner: optional(r.Owner)})
	if err != nil {
		return nil, failure(ctx, err, "read", r, ErrChanged)
	}
	return &reader{ctx: ctx, ref: r, body: out.Body}, nil
}

// A reader gives errors of the connection their code.
type reader struct {
	ctx  context.Context
	ref  Ref
	body io.ReadCloser
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if err != nil && err != io.EOF {
		err = failure(r.ctx, err, "read", r.ref, nil)
	}
	return n, err
}

// Close implements io.Closer.
func (r *reader) Close() error { return r.body.Close() }

// Put writes the object whole and returns its ETag. With ifAbsent it must not
// be there yet; otherwise ErrExists.
func (c *Client) Put(ctx context.Context, r Ref, body []byte, ifAbsent bool) (etag string, err error) {
	api, err := c.at(r)
	if err != nil {
		return "", err
	}
	out, err := api.PutObject(ctx, &s3.PutObjectInput{Bucket: &r.Bucket, Key: &r.Key, Body: bytes.NewReader(body),
		ContentLength: aws.Int64(int64(len(body))), IfNoneMatch: absent(ifAbsent), ExpectedBucketOwner: optional(r.Owner)})
	if err != nil {
		return "", failure(ctx, err, "write", r, ErrExists)
	}
	return aws.ToString(out.ETag), nil
}

// Delete deletes the object; it is no error if there is none.
func (c *Client) Delete(ctx context.Context, r Ref) error {
	api, err := c.at(r)
	if err != nil {
		return err
	}
	_, err = api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &r.Bucket, Key: &r.Key, ExpectedBucketOwner: optional(r.Owner)})
	if err = failure(ctx, err, "delete", r, nil); errors.Is(err, outcrop.CodeNotFound) {
		return nil
	}
	return err
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func absent(ifAbsent bool) *string {
	if ifAbsent {
		return aws.String("*")
	}
	return nil
}
