package outcroptest

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/objects"
)

// A Deed is one call of a Buckets' client.
type Deed struct {
	Number int    // from 1, over all clients
	Name   string // of the method: "PutPart"
	Ref    objects.Ref
	// Done says that the deed has been done and its outcome is about to be
	// told; otherwise it is about to be done.
	Done bool
}

// Buckets is an S3 in memory. It is safe for concurrent use.
type Buckets struct {
	// Fault, if it is not nil, is asked before and after each deed; it may
	// wait, and its error becomes that of the call. It must be set before the
	// first call.
	Fault func(ctx context.Context, d Deed) error

	mu      sync.Mutex
	deeds   int
	uploads int
	all     map[string]*memoryBucket
}

type memoryBucket struct {
	owner   string
	objects map[string]memoryObject
	uploads map[string]*memoryUpload
}

type memoryObject struct {
	body     []byte
	etag     string
	modified time.Time
}

type memoryUpload struct {
	key   string
	began time.Time
	parts map[int]memoryObject
}

// Make makes an empty bucket of the account.
func (b *Buckets) Make(bucket, owner string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		b.all = map[string]*memoryBucket{}
	}
	b.all[bucket] = &memoryBucket{owner: owner, objects: map[string]memoryObject{}, uploads: map[string]*memoryUpload{}}
}

// For returns a client of the account.
func (b *Buckets) For(account string) ObjectStore { return &memoryClient{b, account} }

type memoryClient struct {
	all     *Buckets
	account string
}

// do runs a deed on the bucket, under lock, with faults before and after it.
func (c *memoryClient) do(ctx context.Context, name string, r objects.Ref, deed func(*memoryBucket) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.all.mu.Lock()
	c.all.deeds++
	d := Deed{Number: c.all.deeds, Name: name, Ref: r}
	c.all.mu.Unlock()
	if err := c.all.fault(ctx, d); err != nil {
		return err
	}
	if err := c.locked(r, deed); err != nil {
		return err
	}
	d.Done = true
	return c.all.fault(ctx, d)
}

func (c *memoryClient) locked(r objects.Ref, deed func(*memoryBucket) error) error {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	b := c.all.all[r.Bucket]
	switch {
	case strings.ToLower(r.Bucket) != r.Bucket || strings.Contains(r.Bucket, "/"):
		return outcrop.Invalid("The name of the bucket is malformed.")
	case b == nil:
		return missing(r, nil)
	case b.owner != c.account, r.Owner != "" && r.Owner != b.owner:
		return &outcrop.Error{Code: outcrop.CodeAccessDenied, Message: "access to " + r.String() + " is denied"}
	}
	return deed(b)
}

func (b *Buckets) fault(ctx context.Context, d Deed) error {
	if b.Fault == nil {
		return nil
	}
	return b.Fault(ctx, d)
}

func missing(r objects.Ref, cause error) error {
	return &outcrop.Error{Code: outcrop.CodeNotFound, Message: r.String() + " does not exist", Cause: cause}
}

func conflict(r objects.Ref, cause error) error {
	return &outcrop.Error{Code: outcrop.CodeConflict, Message: r.String() + ": " + cause.Error(), Cause: cause}
}

func etagOf(body []byte) string {
	sum := md5.Sum(body)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// List implements ObjectStore.
func (c *memoryClient) List(ctx context.Context, prefix objects.Ref, from string, most int) (page objects.Page, err error) {
	err = c.do(ctx, "List", prefix, func(b *memoryBucket) error {
		var keys []string
		for key := range b.objects {
			if strings.HasPrefix(key, prefix.Key) && key > from {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		if len(keys) > most {
			keys, page.Next = keys[:most], keys[most-1]
		}
		for _, key := range keys {
			page.Objects = append(page.Objects, b.objects[key].listed(key))
		}
		return nil
	})
	return page, err
}

func (o memoryObject) listed(key string) objects.Object {
	return objects.Object{Key: key, Size: int64(len(o.body)), ETag: o.etag, Modified: o.modified}
}

// Stat implements ObjectStore.
func (c *memoryClient) Stat(ctx context.Context, r objects.Ref) (found objects.Object, err error) {
	err = c.do(ctx, "Stat", r, func(b *memoryBucket) error {
		o, known := b.objects[r.Key]
		if !known {
			return missing(r, nil)
		}
		found = o.listed(r.Key)
		return nil
	})
	return found, err
}

// ReadRange implements ObjectStore.
func (c *memoryClient) ReadRange(ctx context.Context, r objects.Ref, etag string, offset, length int64) (body io.ReadCloser, err error) {
	err = c.do(ctx, "ReadRange", r, func(b *memoryBucket) error {
		o, known := b.objects[r.Key]
		size := int64(len(o.body))
		switch {
		case !known:
			return missing(r, nil)
		case etag != "" && etag != o.etag:
			return conflict(r, objects.ErrChanged)
		case length == 0:
			length = 0
		case offset >= size:
			return outcrop.Invalid("the range begins behind the end of " + r.String())
		case length < 0 || offset+length > size:
			length = size - offset
		}
		body = io.NopCloser(bytes.NewReader(o.body[min(offset, size):min(offset+length, size)]))
		return nil
	})
	return body, err
}

// Put implements ObjectStore.
func (c *memoryClient) Put(ctx context.Context, r objects.Ref, body []byte, ifAbsent bool) (etag string, err error) {
	err = c.do(ctx, "Put", r, func(b *memoryBucket) error {
		if _, there := b.objects[r.Key]; there && ifAbsent {
			return conflict(r, objects.ErrExists)
		}
		etag = etagOf(body)
		b.objects[r.Key] = memoryObject{bytes.Clone(body), etag, time.Now()}
		return nil
	})
	return etag, err
}

// Delete implements ObjectStore.
func (c *memoryClient) Delete(ctx context.Context, r objects.Ref) error {
	return c.do(ctx, "Delete", r, func(b *memoryBucket) error {
		delete(b.objects, r.Key)
		return nil
	})
}

// Begin implements ObjectStore.
func (c *memoryClient) Begin(ctx context.Context, r objects.Ref) (upload string, err error) {
	err = c.do(ctx, "Begin", r, func(b *memoryBucket) error {
		c.all.uploads++
		upload = "upload-" + strconv.Itoa(c.all.uploads)
		b.uploads[upload] = &memoryUpload{key: r.Key, began: time.Now(), parts: map[int]memoryObject{}}
		return nil
	})
	return upload, err
}

func (b *memoryBucket) upload(r objects.Ref, id string) (*memoryUpload, error) {
	u := b.uploads[id]
	if u == nil || u.key != r.Key {
		return nil, missing(r, objects.ErrNoUpload)
	}
	return u, nil
}

// PutPart implements ObjectStore.
func (c *memoryClient) PutPart(ctx context.Context, r objects.Ref, upload string, number int, body []byte) (part objects.Part, err error) {
	err = c.do(ctx, "PutPart", r, func(b *memoryBucket) error {
		u, err := b.upload(r, upload)
		if err != nil {
			return err
		}
		part = objects.Part{Number: number, Size: int64(len(body)), ETag: etagOf(body)}
		u.parts[number] = memoryObject{bytes.Clone(body), part.ETag, time.Now()}
		return nil
	})
	return part, err
}

// Complete implements ObjectStore.
func (c *memoryClient) Complete(ctx context.Context, r objects.Ref, upload string, parts []objects.Part, ifAbsent bool) (etag string, err error) {
	err = c.do(ctx, "Complete", r, func(b *memoryBucket) error {
		u, err := b.upload(r, upload)
		if err != nil {
			return err
		}
		body, err := u.assemble(parts)
		if err != nil {
			return err
		}
		if _, there := b.objects[r.Key]; there && ifAbsent {
			return conflict(r, objects.ErrExists)
		}
		etag = strings.TrimSuffix(etagOf(body), `"`) + "-" + strconv.Itoa(len(parts)) + `"`
		b.objects[r.Key] = memoryObject{body, etag, time.Now()}
		delete(b.uploads, upload)
		return nil
	})
	return etag, err
}

func (u *memoryUpload) assemble(parts []objects.Part) ([]byte, error) {
	var body []byte
	last := 0
	for i, p := range parts {
		have, known := u.parts[p.Number]
		if !known || have.etag != p.ETag || p.Number <= last || i < len(parts)-1 && len(have.body) < objects.MinPart {
			return nil, outcrop.Invalid("part " + strconv.Itoa(p.Number) + " is missing, too small, another one, or not in order")
		}
		last = p.Number
		body = append(body, have.body...)
	}
	if len(parts) == 0 {
		return nil, outcrop.Invalid("an upload has at least one part")
	}
	return body, nil
}

// Abort implements ObjectStore.
func (c *memoryClient) Abort(ctx context.Context, r objects.Ref, upload string) error {
	return c.do(ctx, "Abort", r, func(b *memoryBucket) error {
		delete(b.uploads, upload)
		return nil
	})
}

// Parts implements ObjectStore.
func (c *memoryClient) Parts(ctx context.Context, r objects.Ref, upload string) (parts []objects.Part, err error) {
	err = c.do(ctx, "Parts", r, func(b *memoryBucket) error {
		u, err := b.upload(r, upload)
		if err != nil {
			return err
		}
		for number, p := range u.parts {
			parts = append(parts, objects.Part{Number: number, Size: int64(len(p.body)), ETag: p.etag})
		}
		slices.SortFunc(parts, func(a, b objects.Part) int { return a.Number - b.Number })
		return nil
	})
	return parts, err
}

// Uploads implements ObjectStore.
func (c *memoryClient) Uploads(ctx context.Context, prefix objects.Ref) (all []objects.Upload, err error) {
	err = c.do(ctx, "Uploads", prefix, func(b *memoryBucket) error {
		for id, u := range b.uploads {
			if strings.HasPrefix(u.key, prefix.Key) {
				all = append(all, objects.Upload{Ref: objects.Ref{Bucket: prefix.Bucket, Key: u.key, Owner: prefix.Owner}, ID: id, Began: u.began})
			}
		}
		return nil
	})
	return all, err
}
