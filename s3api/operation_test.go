package s3api_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/outcrop/outcrop/s3api"
)

func asked(method, target string, header ...string) *http.Request {
	r := &http.Request{Method: method, RequestURI: target, Header: http.Header{}, ProtoMajor: 1, ProtoMinor: 1}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestWhatRequestsAreCalled(t *testing.T) {
	for _, c := range []struct {
		method, target, actions string
		data                    bool
	}{
		{"GET", "/", "ListAllMyBuckets", false},
		{"PUT", "/b", "CreateBucket", false},
		{"PUT", "/b/", "CreateBucket", false},
		{"HEAD", "/b", "ListBucket", false},
		{"GET", "/b?list-type=2&prefix=acl", "ListBucket", false},
		{"GET", "/b?location", "GetBucketLocation", false},
		{"GET", "/b?uploads=", "ListBucketMultipartUploads", false},
		{"GET", "/b?versions", "ListBucketVersions", false},
		{"DELETE", "/b", "DeleteBucket", false},
		{"POST", "/b?delete", "DeleteObject", false},
		{"PUT", "/b?policy", "PutBucketPolicy", false},
		{"PUT", "/b?%70olicy", "PutBucketPolicy", false},
		{"DELETE", "/b?policy", "DeleteBucketPolicy", false},
		{"DELETE", "/b?cors", "PutBucketCORS", false},
		{"GET", "/b/k", "GetObject", false},
		{"GET", "/b/k?versionId=1", "GetObjectVersion", false},
		{"HEAD", "/b/k", "GetObject", false},
		{"PUT", "/b/k", "PutObject", true},
		{"PUT", "/b%2Fk", "PutObject", true},
		{"PUT", "/b/policy?x-id=PutObject", "PutObject", true},
		{"PUT", "/b/k?partNumber=1&uploadId=u", "PutObject", true},
		{"PUT", "/b/k?tagging", "PutObjectTagging", false},
		{"DELETE", "/b/k?tagging", "DeleteObjectTagging", false},
		{"POST", "/b/k?uploads", "PutObject", false},
		{"POST", "/b/k?uploadId=u", "PutObject", false},
		{"GET", "/b/k?uploadId=u", "ListMultipartUploadParts", false},
		{"DELETE", "/b/k?uploadId=u", "AbortMultipartUpload", false},
		{"DELETE", "/b/k", "DeleteObject", false},
		{"DELETE", "/b/k?versionId=1", "DeleteObjectVersion", false},
		{"PATCH", "/b/k", "Unknown", false},
		{"GET", "/b?delete", "Unknown", false},
	} {
		actions, data, err := s3api.ActionsOf(asked(c.method, c.target))
		if err != nil || !slices.Equal(actions, []string{"s3:" + c.actions}) || data != c.data {
			t.Errorf("%s %s: %v, data %v, %v", c.method, c.target, actions, data, err)
		}
	}
	actions, data, err := s3api.ActionsOf(asked("PUT", "/b/k", "X-Amz-Copy-Source", "/a/k"))
	if err != nil || !slices.Equal(actions, []string{"s3:PutObject", "s3:GetObject"}) || data {
		t.Errorf("a copy: %v, data %v, %v", actions, data, err)
	}
}

func TestWhichRequestsAreForS3(t *testing.T) {
	v4 := func(service string) string {
		return "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/" + service + "/aws4_request, SignedHeaders=host, Signature=00"
	}
	for name, c := range map[string]struct {
		r                    *http.Request
		addressed, anonymous bool
	}{
		"signed for S3":                   {asked("GET", "/b", "Authorization", v4("s3")), true, false},
		"signed without blanks":           {asked("GET", "/b", "Authorization", strings.ReplaceAll(v4("s3"), ", ", ",")), true, false},
		"signed for Bedrock":              {asked("POST", "/model/m/converse", "Authorization", v4("bedrock")), false, false},
		"signed, the scope elsewhere":     {asked("POST", "/model/m/converse", "Authorization", v4("bedrock")+"/s3/aws4_request"), false, false},
		"presigned for S3":                {asked("GET", "/b/k?X-Amz-Credential=AKIA%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=1"), true, false},
		"presigned for S3, plain slashes": {asked("GET", "/b/k?a=b&X-Amz-Credential=AKIA/20260101/us-east-1/s3/aws4_request"), true, false},
		"presigned for Bedrock":           {asked("POST", "/model/m/converse?X-Amz-Credential=AKIA%2F20260101%2Fus-east-1%2Fbedrock%2Faws4_request"), false, false},
		"signature version 2":             {asked("GET", "/b/k", "Authorization", "AWS AKIA:00"), true, false},
		"presigned, version 2":            {asked("GET", "/b/k?AWSAccessKeyId=AKIA&Signature=0&Expires=1"), true, false},
		"an API key":                      {asked("GET", "/b/k", "Authorization", "Bearer ABSK"), false, false},
		"nothing":                         {asked("GET", "/bucket/k"), false, true},
		"a question of a browser":         {asked("OPTIONS", "/bucket/k"), false, true},
		"nothing, to write":               {asked("PUT", "/bucket/k"), false, false},
		"nothing, at the root":            {asked("GET", "/"), false, false},
		"nothing, no bucket's name":       {asked("GET", "/Model/k"), false, false},
	} {
		if got := s3api.Addressed(c.r); got != c.addressed {
			t.Errorf("%s: addressed %v", name, got)
		}
		if got := s3api.Anonymous(c.r); got != c.anonymous {
			t.Errorf("%s: anonymous %v", name, got)
		}
	}
}

// FuzzActions looks for targets that pass although the store could read them
// as others, or that are nobody's to permit.
func FuzzActions(f *testing.F) {
	for _, target := range []string{"/b/k?uploadId=u&partNumber=1", "/b/%2e%2e/k", "/b//k", "/b/k?acl&%61cl=", "/?x", "/b%2fk?policy;acl"} {
		f.Add("PUT", target)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		if !strings.HasPrefix(target, "/") {
			return
		}
		actions, _, err := s3api.ActionsOf(asked(method, target))
		if err != nil {
			return
		}
		if len(actions) == 0 || !strings.HasPrefix(actions[0], "s3:") {
			t.Errorf("%s %s needs %q", method, target, actions)
		}
		path, _, _ := strings.Cut(target, "?")
		decoded, err := url.PathUnescape(path)
		if err != nil || slices.Contains(strings.Split(decoded, "/"), "..") || strings.Contains(decoded, "//") {
			t.Errorf("%s passes", target)
		}
	})
}
