package s3api

import (
	"net/http"
	"net/url"
	"strings"
)

// An operation is what a request asks of S3.
type operation struct {
	bucket, key string
	// actions are what IAM calls it; more than one if it needs several.
	actions []string
	// data says that the body is an object's, or a part of one: it may be
	// large and in chunks.
	data bool
}

// ofBucket and ofObject name what a query parameter makes of a request, as it
// stands in actions. Only one of them may be there.
var (
	ofBucket = map[string]string{
		"acl": "BucketAcl", "policy": "BucketPolicy", "cors": "BucketCORS", "versioning": "BucketVersioning", "tagging": "BucketTagging",
		"location": "BucketLocation", "object-lock": "BucketObjectLockConfiguration", "ownershipControls": "BucketOwnershipControls",
		"policyStatus": "BucketPolicyStatus", "website": "BucketWebsite", "lifecycle": "LifecycleConfiguration",
		"encryption": "EncryptionConfiguration", "replication": "ReplicationConfiguration", "publicAccessBlock": "BucketPublicAccessBlock",
		"requestPayment": "BucketRequestPayment", "logging": "BucketLogging", "notification": "BucketNotification",
		"accelerate": "AccelerateConfiguration", "analytics": "AnalyticsConfiguration", "inventory": "InventoryConfiguration",
		"metrics": "MetricsConfiguration", "intelligent-tiering": "IntelligentTieringConfiguration",
		"uploads": "", "versions": "", "delete": "",
	}
	ofObject = map[string]string{
		"acl": "ObjectAcl", "tagging": "ObjectTagging", "retention": "ObjectRetention", "legal-hold": "ObjectLegalHold",
		"attributes": "ObjectAttributes", "restore": "", "select": "", "uploads": "", "uploadId": "", "versions": "",
	}
)

// special are the actions whose names do not follow from verb and noun, by
// method and parameter.
var (
	specialOfBucket = map[string]string{
		"GET uploads": "s3:ListBucketMultipartUploads", "GET versions": "s3:ListBucketVersions", "POST delete": "s3:DeleteObject",
		"GET ": "s3:ListBucket", "HEAD ": "s3:ListBucket", "PUT ": "s3:CreateBucket", "DELETE ": "s3:DeleteBucket", "POST ": "s3:PutObject",
		"DELETE policy": "s3:DeleteBucketPolicy", "DELETE website": "s3:DeleteBucketWebsite",
	}
	specialOfObject = map[string]string{
		"GET ": "s3:GetObject", "HEAD ": "s3:GetObject", "PUT ": "s3:PutObject", "DELETE ": "s3:DeleteObject",
		"POST restore": "s3:RestoreObject", "POST select": "s3:GetObject", "POST uploads": "s3:PutObject", "POST uploadId": "s3:PutObject",
		"PUT uploadId": "s3:PutObject", "GET uploadId": "s3:ListMultipartUploadParts", "DELETE uploadId": "s3:AbortMultipartUpload",
		"DELETE tagging": "s3:DeleteObjectTagging",
	}
)

// anything is the action of what has no name: only who may do all of S3 may
// do it, and the store will refuse most of it.
const anything = "s3:Unknown"

// parse finds out what is asked. A path that the store could read as another
// one than the sender is refused: what is permitted is then what is done.
func (x *exchange) parse() error {
	raw, query, _ := strings.Cut(x.r.RequestURI, "?")
	path, err := url.PathUnescape(raw)
	if err != nil {
		return fault(http.StatusBadRequest, "InvalidURI", "The path is malformed.")
	}
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		inside := i < len(segments)-1
		if s == "." || s == ".." || s == "" && inside || strings.IndexByte(s, 0) >= 0 {
			return fault(http.StatusBadRequest, "InvalidURI", "Keys with empty segments, or with '.' or '..' for one, are not supported here.")
		}
	}
	x.op.bucket = segments[0]
	_, x.op.key, _ = strings.Cut(path[1:], "/")
	return x.classify(query)
}

func (x *exchange) classify(query string) error {
	op, nouns, special := &x.op, ofBucket, specialOfBucket
	if op.key != "" {
		nouns, special = ofObject, specialOfObject
	}
	parameter, version := "", false
	for piece := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(piece, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return fault(http.StatusBadRequest, "InvalidURI", "The query is malformed.")
		}
		version = version || name == "versionId"
		if _, known := nouns[name]; known && op.bucket != "" {
			if parameter != "" && parameter != name {
				return fault(http.StatusBadRequest, "InvalidArgument", "Conflicting values provided in this request: "+parameter+" and "+name+".")
			}
			parameter = name
		}
	}
	method := x.r.Method
	op.actions = []string{actionOf(method, parameter, nouns[parameter], special)}
	if op.bucket == "" {
		op.actions = []string{"s3:ListAllMyBuckets"}
	}
	if version && op.key != "" && parameter == "" && method != http.MethodPut {
		op.actions[0] += "Version"
	}
	copies := x.r.Header.Get("X-Amz-Copy-Source") != ""
	if copies {
		op.actions = append(op.actions, "s3:GetObject")
	}
	op.data = method == http.MethodPut && op.key != "" && (parameter == "" || parameter == "uploadId") && !copies
	return nil
}

func actionOf(method, parameter, noun string, special map[string]string) string {
	if action, known := special[method+" "+parameter]; known {
		return action
	}
	if noun == "" {
		return anything
	}
	switch method {
	case http.MethodGet, http.MethodHead:
		return "s3:Get" + noun
	case http.MethodPut, http.MethodDelete:
		return "s3:Put" + noun
	}
	return anything
}
