package s3api

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/outcrop/outcrop/awschunked"
	"github.com/outcrop/outcrop/identity"
	"github.com/outcrop/outcrop/sigv4"
)

// The words of X-Amz-Content-Sha256 that are no hash.
const (
	unsigned         = "UNSIGNED-PAYLOAD"
	unsignedTrailer  = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	streaming        = "STREAMING-"
	streamingSigned  = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingTrailer = streamingSigned + "-TRAILER"
)

const metadata = "X-Amz-Meta-"

// maxDocument bounds the bodies that are no object's, which the store holds
// in memory. The largest that SDKs send are lists of 10,000 parts.
const maxDocument = 8 << 20

// Header fields that end here: in either direction, and those of the caller's
// signature.
var (
	hops = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect", "Server"}
	own  = []string{"Authorization", "X-Amz-Date", "Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "Content-Length"}
)

// signers hold the signer of each account that calls.
type signers struct {
	options Options
	all     sync.Map
}

func (s *signers) of(account string) *sigv4.Signer {
	if known, ok := s.all.Load(account); ok {
		return known.(*sigv4.Signer)
	}
	fresh := &sigv4.Signer{KeyID: account, Secret: s.options.Store.Secret(account), Region: s.options.Region,
		Service: identity.ServiceS3, Path: sigv4.PathAsSent}
	known, _ := s.all.LoadOrStore(account, fresh)
	return known.(*sigv4.Signer)
}

// forward has the store answer.
func (x *exchange) forward() error {
	out, err := x.outgoing()
	if err != nil {
		return err
	}
	defer func() { _ = out.Body.Close() }() // the transport may still be reading
	answer, err := x.api.options.Store.Transport().RoundTrip(out)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	return x.answer(answer)
}

// outgoing is the request as the store gets it: path, query and host as they
// were sent, signed by the account.
func (x *exchange) outgoing() (*http.Request, error) {
	path, query, _ := cutTarget(x.r.RequestURI)
	out := &http.Request{Method: x.r.Method, Host: x.r.Host, Header: x.r.Header.Clone(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		URL: &url.URL{Scheme: "http", Host: "s3", Opaque: path, RawQuery: withoutCredentials(query)}}
	for _, name := range slices.Concat(hops, own) {
		out.Header.Del(name)
	}
	content, err := x.body(out)
	if err != nil {
		return nil, err
	}
	if x.caller.Principal != nil && x.r.Method != http.MethodOptions {
		x.sign(out, content)
	}
	// The store does not look for the end of chunks that it refuses, so that
	// what is left of them would be the next request on the connection.
	out.Close = out.ContentLength < 0
	return out.WithContext(x.r.Context()), nil
}

// sign signs the head: the host and what of the header is Amazon's.
func (x *exchange) sign(out *http.Request, content string) {
	head := sigv4.Request{Method: out.Method, URI: out.URL.RequestURI(), Host: out.Host}
	for name, values := range out.Header {
		if strings.HasPrefix(name, "X-Amz-") {
			for _, v := range values {
				head.Fields = append(head.Fields, sigv4.Field{Name: name, Value: v})
			}
		}
	}
	for _, f := range x.api.signers.of(x.caller.Principal.Account).SignPayload(nil, &head, content, time.Now()) {
		out.Header.Set(f.Name, f.Value)
	}
}

// withoutCredentials takes those of a presigned URL out of the query.
func withoutCredentials(query string) string {
	if !strings.Contains(query, "X-Amz-") {
		return query
	}
	kept := make([]string, 0, 8)
	for piece := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(piece, "=")
		switch name {
		case "X-Amz-Algorithm", queryCredential, "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Content-Sha256":
		default:
			kept = append(kept, piece)
		}
	}
	return strings.Join(kept, "&")
}

// body gives out the caller's body, and returns what its head is to say of
// it. Chunks with signatures are verified here and go on without.
func (x *exchange) body(out *http.Request) (content string, err error) {
	x.in = &paced{body: x.r.Body, control: x.control, patience: x.api.patience, length: x.r.ContentLength}
	out.Body, out.ContentLength = x.in, x.r.ContentLength
	content = x.caller.Content
	switch {
	case content == streamingSigned, content == streamingTrailer:
		return x.dechunk(out, content == streamingTrailer)
	case strings.HasPrefix(content, streaming) && content != unsignedTrailer:
		return "", fault(http.StatusNotImplemented, "NotImplemented", content+" is not implemented.")
	case content == "":
		content = unsigned
	}
	if !x.op.data {
		if x.r.ContentLength > maxDocument {
			return "", tooLarge()
		}
		x.in.most = maxDocument
	}
	if x.r.ContentLength == 0 {
		out.Body = http.NoBody
	}
	return content, nil
}

func tooLarge() *failure {
	return fault(http.StatusBadRequest, "MaxMessageLengthExceeded", "Your request was too large.")
}

func (x *exchange) dechunk(out *http.Request, trailer bool) (content string, err error) {
	length, err := strconv.ParseInt(x.r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
	if err != nil || length < 0 {
		return "", fault(http.StatusLengthRequired, "MissingContentLength", "You must provide the X-Amz-Decoded-Content-Length HTTP header.")
	}
	if !x.op.data {
		return "", fault(http.StatusBadRequest, "InvalidRequest", "Only objects and parts may be sent in signed chunks.")
	}
	o := awschunked.Options{Length: length, Trailer: trailer}
	if x.caller.Chunks != nil {
		o.Signatures = x.caller.Chunks
	}
	body := awschunked.NewReader(x.in, o)
	out.Body = readCloser{body, x.in}
	if trailer {
		out.ContentLength = -1
		return unsignedTrailer, nil
	}
	out.ContentLength = length
	out.Header.Del("X-Amz-Decoded-Content-Length")
	withoutChunks(out.Header)
	if length > 0 {
		return unsigned, nil
	}
	out.Body = http.NoBody
	if _, err := body.Read(make([]byte, 1)); err != io.EOF { // its end is signed, too
		return "", err
	}
	return unsigned, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// withoutChunks takes the encoding that was only for the way off the
// encodings of the object.
func withoutChunks(h http.Header) {
	var kept []string
	for _, e := range strings.Split(h.Get("Content-Encoding"), ",") {
		if e = strings.TrimSpace(e); e != "" && e != "aws-chunked" {
			kept = append(kept, e)
		}
	}
	h.Del("Content-Encoding")
	if len(kept) > 0 {
		h.Set("Content-Encoding", strings.Join(kept, ","))
	}
}

// answer passes the store's answer on.
func (x *exchange) answer(from *http.Response) error {
	h := x.w.Header()
	for name, values := range from.Header {
		switch {
		case slices.Contains(hops, name):
		case strings.HasPrefix(name, metadata):
			h[strings.ToLower(name)] = values // S3 keeps these names in lower case, and clients show them as they come
		default:
			h[name] = values
		}
	}
	x.status, x.storeID = from.StatusCode, from.Header.Get("X-Amz-Request-Id")
	x.hangUp()
	x.bound()
	x.w.WriteHeader(from.StatusCode)
	if x.r.Method == http.MethodHead {
		return nil
	}
	buffer := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buffer)
	n, err := io.CopyBuffer(writer{x}, from.Body, buffer[:])
	x.out = n
	return err
}

func cutTarget(uri string) (path, query string, found bool) { return strings.Cut(uri, "?") }

// headOf is what of r is authenticated.
func headOf(r *http.Request) sigv4.Request {
	fields := sigv4.AppendFields(nil, r.Header)
	if r.ContentLength >= 0 && r.Header.Get("Content-Length") == "" {
		fields = append(fields, sigv4.Field{Name: "Content-Length", Value: strconv.FormatInt(r.ContentLength, 10)})
	}
	if len(r.TransferEncoding) > 0 {
		fields = append(fields, sigv4.Field{Name: "Transfer-Encoding", Value: strings.Join(r.TransferEncoding, ",")})
	}
	return sigv4.Request{Method: r.Method, URI: r.RequestURI, Host: r.Host, Fields: fields}
}
