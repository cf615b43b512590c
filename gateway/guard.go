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

// origins tells what a browser sends for the page of another site.
var origins http.CrossOriginProtection

// samePage refuses calls that a web page of another site makes through the
// browser of somebody on this machine. It may not read the answers, but with
// no key to ask for, it could use the engines. A server with keys needs no such
// guard: pages do not have them.
func samePage(r *http.Request) error {
	if origins.Check(r) == nil {
		return nil
	}
	return &outcrop.Error{Code: outcrop.CodeAccessDenied, Message: "Without a key, web pages of other sites may not call this server."}
}

// escapedPath is the path of the request target exactly as it was sent: what
// is authenticated is what is routed.
func escapedPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path
}
