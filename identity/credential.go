package identity

import (
	"strings"

	"github.com/outcrop/outcrop/sigv4"
)

// A credential is a way of saying who calls.
type credential uint8

const (
	credentialUnknown   credential = iota // several at once, or none that we know
	credentialNone                        // nothing at all
	credentialSignature                   // AWS signature in the Authorization header
	credentialPresigned                   // AWS signature in the query
	credentialAPIKey                      // long-term API key, as bearer token
	credentialShortKey                    // short-term API key, as bearer token
)

const shortKeyPrefix = "bedrock-api-key-"

// classify says which credentials the request carries, and the bearer token
// if it is one.
func classify(r *sigv4.Request) (c credential, token string) {
	authorization, n := "", 0
	for i := range r.Fields {
		if f := &r.Fields[i]; len(f.Name) == len("authorization") && strings.EqualFold(f.Name, "authorization") {
			authorization = strings.Trim(f.Value, " \t")
			n++
		}
	}
	query := amzQuery(r.URI)
	switch {
	case n > 1, n == 1 && query:
		return credentialUnknown, ""
	case n == 0 && query:
		return credentialPresigned, ""
	case n == 0:
		return credentialNone, ""
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	switch {
	case strings.HasPrefix(scheme, "AWS4-"):
		return credentialSignature, ""
	case !strings.EqualFold(scheme, "bearer"), token == "":
		return credentialUnknown, ""
	case strings.HasPrefix(token, shortKeyPrefix):
		return credentialShortKey, token
	}
	return credentialAPIKey, token
}

// amzQuery reports whether a parameter of the query says anything about a
// signature.
func amzQuery(uri string) bool {
	_, query, found := strings.Cut(uri, "?")
	if !found {
		return false
	}
	for piece := range strings.SplitSeq(query, "&") {
		if len(piece) >= 6 && strings.EqualFold(piece[:6], "x-amz-") {
			return true
		}
	}
	return false
}

// Hosted reports whether host, the value of a Host header, is one of the
// server's own. Authenticate asks itself; it is for what needs no credentials,
// so that a web page whose name was made to point here cannot read that.
func (a *Authenticator) Hosted(host string) bool {
	if len(a.options.Hosts) == 0 {
		return true
	}
	for _, own := range a.options.Hosts {
		if strings.EqualFold(host, own) || strings.EqualFold(withoutPort(host), own) {
			return true
		}
	}
	return false
}

// withoutPort takes the port off a host; an IPv6 address keeps its brackets.
func withoutPort(host string) string {
	at := strings.LastIndexByte(host, ':')
	if at < 0 || strings.IndexByte(host[at:], ']') >= 0 {
		return host
	}
	return host[:at]
}
