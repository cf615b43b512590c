package objects

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// MinPart is the least size of every part of an upload but its last.
const MinPart = 5 << 20

// A Part is one of a multipart upload.
type Part struct {
	Number int // from 1 to 10,000
	Size   int64
	ETag   string
}

// An Upload is a multipart upload that was neither completed nor aborted.
type Upload struct {
	Ref   Ref
	ID    string
	Began time.Time
}

// Begin starts a multipart upload of the object and returns its id. Nothing of
// it is an object before Complete; what is neither completed nor aborted stays
// until somebody aborts it.
func (c *Client) Begin(ctx context.Context, r Ref) (upload string, err error) {
	api, err := c.at(r)
	if err != nil {
		return "", err
	}
	out, err := api.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &r.Bucket, Key: &r.Key, ExpectedBucketOwner: optional(r.Owner)})
	if err != nil {
		return "", failure(ctx, err, "begin to write", r, nil)
	}
	return aws.ToString(out.UploadId), nil
}

// PutPart writes a part; one of the same number that was there is replaced.
func (c *Client) PutPart(ctx context.Context, r Ref, upload string, number int, body []byte) (Part, error) {
	api, err := c.at(r)
	if err != nil {
		return Part{}, err
	}
	out, err := api.UploadPart(ctx, &s3.UploadPartInput{Bucket: &r.Bucket, Key: &r.Key, UploadId: &upload, PartNumber: aws.Int32(int32(number)),
		Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))), ExpectedBucketOwner: optional(r.Owner)})
	if err != nil {
		return Part{}, failure(ctx, err, "write a part of", r, nil)
	}
	return Part{Number: number, Size: int64(len(body)), ETag: aws.ToString(out.ETag)}, nil
}

// Complete makes the parts, in ascending order of their numbers, the object,
// and returns its ETag. The upload ends by it. With ifAbsent the object must
// not be there yet; otherwise ErrExists, and the upload goes on. After an
// attempt whose outcome is not known, ErrNoUpload can mean that it succeeded:
// Stat tells.
func (c *Client) Complete(ctx context.Context, r Ref, upload string, parts []Part, ifAbsent bool) (etag string, err error) {
	api, err := c.at(r)
	if err != nil {
		return "", err
	}
	all := make([]types.CompletedPart, len(parts))
	for i, p := range parts {
		all[i] = types.CompletedPart{PartNumber: aws.Int32(int32(p.Number)), ETag: aws.String(p.ETag)}
	}
	out, err := api.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &r.Bucket, Key: &r.Key, UploadId: &upload,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: all}, IfNoneMatch: absent(ifAbsent), ExpectedBucketOwner: optional(r.Owner)})
	if err != nil {
		return "", failure(ctx, err, "complete", r, ErrExists)
	}
	return aws.ToString(out.ETag), nil
}

// Abort ends the upload and drops its parts; it is no error if it has ended
// already.
func (c *Client) Abort(ctx context.Context, r Ref, upload string) error {
	api, err := c.at(r)
	if err != nil {
		return err
	}
	_, err = api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &r.Bucket, Key: &r.Key, UploadId: &upload, ExpectedBucketOwner: optional(r.Owner)})
	if err = failure(ctx, err, "abort", r, nil); errors.Is(err, ErrNoUpload) {
		return nil
	}
	return err
}

// Parts returns the parts that the upload has, in ascending order of their
// numbers.
func (c *Client) Parts(ctx context.Context, r Ref, upload string) ([]Part, error) {
	api, err := c.at(r)
	if err != nil {
		return nil, err
	}
	in := &s3.ListPartsInput{Bucket: &r.Bucket, Key: &r.Key, UploadId: &upload, ExpectedBucketOwner: optional(r.Owner)}
	var parts []Part
	for pages := s3.NewListPartsPaginator(api, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, failure(ctx, err, "list the parts of", r, nil)
		}
		for _, p := range page.Parts {
			parts = append(parts, Part{Number: int(aws.ToInt32(p.PartNumber)), Size: aws.ToInt64(p.Size), ETag: aws.ToString(p.ETag)})
		}
	}
	return parts, nil
}

// Uploads returns the uploads of objects whose keys begin with prefix.
func (c *Client) Uploads(ctx context.Context, prefix Ref) ([]Upload, error) {
	api, err := c.at(prefix)
	if err != nil {
		return nil, err
	}
	in := &s3.ListMultipartUploadsInput{Bucket: &prefix.Bucket, Prefix: optional(prefix.Key), ExpectedBucketOwner: optional(prefix.Owner)}
	var uploads []Upload
	for pages := s3.NewListMultipartUploadsPaginator(api, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, failure(ctx, err, "list the uploads to", prefix, nil)
		}
		for _, u := range page.Uploads {
			uploads = append(uploads, Upload{Ref: Ref{Bucket: prefix.Bucket, Key: aws.ToString(u.Key), Owner: prefix.Owner},
				ID: aws.ToString(u.UploadId), Began: aws.ToTime(u.Initiated)})
		}
	}
	return uploads, nil
}
