package gateway

import (
	"net/http"
	"strings"

	"github.com/outcrop/outcrop"
)

// framing refuses the request forms in which two HTTP parsers can disagree on
// where a request ends or whom it is for. No AWS SDK sends them:
//
//   - HTTP/1.0, whose Transfer-Encoding net/http ignores, so that a body would
//     run as a second request;
//   - chunked bodies over HTTP/1.1, since net/http silently drops a
//     Content-Length beside them;
//   - absolute-form targets, whose authority replaces the Host header;
//   - encoded bodies, which hide their size.
//
// After a refusal the connection must be closed.
func framing(r *http.Request) error {
	switch {
	case r.ProtoMajor == 1 && r.ProtoMinor == 0:
		return outcrop.Invalid("HTTP/1.0 is not supported. Use HTTP/1.1 or HTTP/2.")
	case r.ProtoMajor == 1 && len(r.TransferEncoding) > 0:
		return outcrop.Invalid("Transfer-Encoding is not supported. Send a Content-Length.")
	case !strings.HasPrefix(r.RequestURI, "/"):
		return outcrop.Invalid("The request target must be a path.")
	case r.Header.Get("Content-Encoding") != "":
		return outcrop.Invalid("Content-Encoding is not supported in requests.")
	}
	return nil
}

// escapedPath is the path of the request target exactly as it was sent: what
// is authenticated is what is routed.
func escapedPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path
}
