package conformance_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// A signed is a request that can be changed after it was signed.
type signed struct {
	method, target, body string
	header               map[string]string
}

// signedWith is a converse request, signed by the SDK's own signer.
func signedWith(t *testing.T, s *server, k key, service, region string, at time.Time) *signed {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+conversePath, strings.NewReader(goodBody))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Amz-Custom", "value")
	sum := sha256.Sum256([]byte(goodBody))
	credentials := aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret}
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, r, hex.EncodeToString(sum[:]), service, region, at); err != nil {
		t.Fatal(err)
	}
	all := &signed{method: r.Method, target: conversePath, body: goodBody, header: map[string]string{"Host": s.Addr, "Content-Length": strconv.Itoa(len(goodBody))}}
	for name := range r.Header {
		all.header[name] = r.Header.Get(name)
	}
	return all
}

func (r *signed) bytes() []byte {
	var lines []string
	for name, value := range r.header {
		lines = append(lines, name+": "+value)
	}
	sort.Strings(lines)
	return []byte(r.method + " " + r.target + " HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\nConnection: close\r\n\r\n" + r.body)
}

// forgeries are the changes of a signed request that must break it.
func forgeries(k key, now time.Time) map[string]func(*signed) {
	authorization := func(old, new string) func(*signed) {
		return func(r *signed) { r.header["Authorization"] = strings.Replace(r.header["Authorization"], old, new, 1) }
	}
	return map[string]func(*signed){
		"a byte of the body": func(r *signed) { r.body = strings.Replace(r.body, "Hello", "Hellp", 1) },
		"the body's white space": func(r *signed) {
			r.body = strings.Replace(r.body, "{", "{ ", 1)
			r.header["Content-Length"] = strconv.Itoa(len(r.body))
		},
		"the model":                   func(r *signed) { r.target = strings.Replace(r.target, "haiku", "opusx", 1) },
		"the path's encoding":         func(r *signed) { r.target = strings.Replace(r.target, "%3A", ":", 1) },
		"the encoding's case":         func(r *signed) { r.target = strings.Replace(r.target, "%3A", "%3a", 1) },
		"the operation":               func(r *signed) { r.target += "-stream" },
		"a query":                     func(r *signed) { r.target += "?a=b" },
		"an empty query":              func(r *signed) { r.target += "?=" },
		"a signed header":             func(r *signed) { r.header["Content-Type"] = "text/plain" },
		"a signed header's presence":  func(r *signed) { delete(r.header, "X-Amz-Custom") },
		"the host":                    func(r *signed) { r.header["Host"] = "elsewhere:80" },
		"the date":                    func(r *signed) { r.header["X-Amz-Date"] = now.Add(time.Second).UTC().Format("20060102T150405Z") },
		"the scope's region":          authorization("us-east-1", "us-west-2"),
		"the scope's service":         authorization("/bedrock/", "/s3/"),
		"the scope's day":             authorization(now.UTC().Format("20060102")+"/", now.Add(-24*time.Hour).UTC().Format("20060102")+"/"),
		"the signature's first digit": func(r *signed) { flip(r, 0) },
		"the signature's last digit":  func(r *signed) { flip(r, 63) },
		"the key id":                  authorization(k.ID, "AKIAIOSFODNN7EXAMPLE"),
		"an unsigned x-amz header":    func(r *signed) { r.header["X-Amz-Security-Token"] = "token" },
		"an unsigned payload":         func(r *signed) { r.header["X-Amz-Content-Sha256"] = "UNSIGNED-PAYLOAD" },
		"a streaming payload":         func(r *signed) { r.header["X-Amz-Content-Sha256"] = "STREAMING-UNSIGNED-PAYLOAD-TRAILER" },
		"two dates":                   func(r *signed) { r.header["x-amz-date"] = r.header["X-Amz-Date"] },
		"two authorizations":          func(r *signed) { r.header["authorization"] = r.header["Authorization"] },
		"the order of signed headers": authorization("content-length;content-type", "content-type;content-length"),
		"no host among the signed":    authorization("host;", ""),
		"another algorithm":           authorization("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
		"the terminator":              authorization("aws4_request", "aws5_request"),
		"credentials in the query too": func(r *signed) {
			r.target += "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + k.ID + "&X-Amz-Signature=00&X-Amz-SignedHeaders=host&X-Amz-Date=20200101T000000Z&X-Amz-Expires=60"
		},
	}
}

// TestSignaturesHoldWhatTheySign changes one thing at a time of a request
// with a valid signature.
func TestSignaturesHoldWhatTheySign(t *testing.T) {
	s := start(t, "keys: required\nsim: {speed: 0}\n")
	k := s.addKey(t)
	s.awaitKey(t, k)
	now := time.Now()
	for name, change := range forgeries(k, now) {
		t.Run(name, func(t *testing.T) {
			r := signedWith(t, s, k, "bedrock", "us-east-1", now)
			before := string(r.bytes())
			change(r)
			if string(r.bytes()) == before {
				t.Fatal("nothing is changed")
			}
			e := speak(t, s.Addr, r.bytes())
			if len(e.answers) != 1 || e.answers[0].status != 403 && e.answers[0].status != 400 {
				t.Errorf("%+v", e.answers)
			}
		})
	}
	for name, r := range map[string]*signed{
		"signed six minutes ago":     signedWith(t, s, k, "bedrock", "us-east-1", now.Add(-6*time.Minute)),
		"signed in six minutes":      signedWith(t, s, k, "bedrock", "us-east-1", now.Add(6*time.Minute)),
		"signed yesterday":           signedWith(t, s, k, "bedrock", "us-east-1", now.Add(-24*time.Hour)),
		"signed for another service": signedWith(t, s, k, "sts", "us-east-1", now),
		"signed for another region":  signedWith(t, s, k, "bedrock", "eu-central-1", now),
	} {
		t.Run(name, func(t *testing.T) {
			if e := speak(t, s.Addr, r.bytes()); len(e.answers) != 1 || e.answers[0].status != http.StatusForbidden {
				t.Errorf("%+v", e.answers)
			}
		})
	}
	// What is signed for S3 is S3's, whatever its path looks like.
	if e := speak(t, s.Addr, signedWith(t, s, k, "s3", "us-east-1", now).bytes()); len(e.answers) != 1 || e.answers[0].status != http.StatusBadRequest ||
		e.answers[0].header.Get("Content-Type") != "application/xml" {
		t.Errorf("signed for S3: %+v", e.answers)
	}
	accepted := map[string]func(*signed){
		"nothing":                func(*signed) {},
		"the case of a name":     func(r *signed) { r.header["content-type"] = r.header["Content-Type"]; delete(r.header, "Content-Type") },
		"an unsigned header":     func(r *signed) { r.header["X-Other"] = "a" },
		"space around a value":   func(r *signed) { r.header["X-Amz-Custom"] = "  value  " },
		"signed a minute ago":    func(r *signed) { *r = *signedWith(t, s, k, "bedrock", "us-east-1", now.Add(-time.Minute)) },
		"sent for a second time": func(*signed) {},
	}
	for name, change := range accepted {
		t.Run("accepted: "+name, func(t *testing.T) {
			r := signedWith(t, s, k, "bedrock", "us-east-1", now)
			change(r)
			if e := speak(t, s.Addr, r.bytes()); len(e.answers) != 1 || e.answers[0].status != http.StatusOK {
				t.Errorf("%+v", e.answers)
			}
		})
	}
}

// flip changes one hexadecimal digit of the signature.
func flip(r *signed, digit int) {
	const mark = "Signature="
	at := strings.Index(r.header["Authorization"], mark) + len(mark) + digit
	b := []byte(r.header["Authorization"])
	b[at] = fmt.Sprintf("%x", (strings.IndexByte("0123456789abcdef", b[at])+1)%16)[0]
	r.header["Authorization"] = string(b)
}

func TestPresignedRequests(t *testing.T) {
	s := start(t, "keys: required\nsim: {speed: 0}\n")
	k := s.addKey(t)
	s.awaitKey(t, k)
	presign := func(method, path, body string) string {
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path+"?X-Amz-Expires=60", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(body))
		uri, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret}, r, hex.EncodeToString(sum[:]), "bedrock", "us-east-1", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(uri, s.URL)
	}
	head := []string{"Host: " + s.Addr, "Connection: close", "Content-Length: " + strconv.Itoa(len(goodBody))}
	if e := speak(t, s.Addr, request(presign("POST", conversePath, goodBody), goodBody, head...)); len(e.answers) != 1 || e.answers[0].status != http.StatusOK {
		t.Errorf("a presigned converse gets %+v", e.answers)
	}
	other := strings.Replace(goodBody, "Hello", "Hellp", 1)
	if e := speak(t, s.Addr, request(presign("POST", conversePath, goodBody), other, head...)); len(e.answers) != 1 || e.answers[0].status != http.StatusForbidden {
		t.Errorf("another body gets %+v", e.answers)
	}
	control := "GET " + presign("GET", "/foundation-models", "") + " HTTP/1.1\r\nHost: " + s.Addr + "\r\nConnection: close\r\n\r\n"
	if e := speak(t, s.Addr, []byte(control)); len(e.answers) != 1 || e.answers[0].status < 400 {
		t.Errorf("a presigned request opens the control plane: %+v", e.answers)
	}
}
