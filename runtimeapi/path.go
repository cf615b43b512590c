package runtimeapi

import (
	"net/url"
	"strings"

	"github.com/outcrop/outcrop"
)

var operations = map[string]outcrop.Operation{
	"converse":                    outcrop.OpConverse,
	"converse-stream":             outcrop.OpConverseStream,
	"invoke":                      outcrop.OpInvokeModel,
	"invoke-with-response-stream": outcrop.OpInvokeModelStream,
	"count-tokens":                outcrop.OpCountTokens,
}

// ParsePath splits the escaped path of a request target, such as
// "/model/amazon.nova-lite-v1%3A0/converse", into operation and model id. The
// id is decoded: SDKs encode it whole, curl users not at all, and some
// proxies encode it twice. ok is false if the path is not the runtime's; the
// id may still be no valid one.
func ParsePath(escaped string) (op outcrop.Operation, modelID string, ok bool) {
	rest, ok := strings.CutPrefix(escaped, "/model/")
	if !ok {
		return "", "", false
	}
	i := strings.LastIndexByte(rest, '/')
	if i <= 0 {
		return "", "", false
	}
	if op, ok = operations[rest[i+1:]]; !ok {
		return "", "", false
	}
	return op, decodeID(rest[:i]), true
}

// decodeID undoes up to two percent-encodings. No valid id holds a '%', so
// what still has one after that is refused as an id later.
func decodeID(s string) string {
	for range 2 {
		if strings.IndexByte(s, '%') < 0 {
			return s
		}
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return s
		}
		s = decoded
	}
	return s
}
