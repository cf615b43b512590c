package outcrop

import "strings"

// An ARN is an Amazon resource name of the form
// arn:partition:service:region:account:resource.
type ARN struct {
	Partition, Service, Region, Account string
	Type                                string // "foundation-model", "provisioned-model", ...
	ID                                  string // what follows the first '/' of the resource
}

// maxModelID is the longest modelId that the runtime accepts [botocore model].
const maxModelID = 2048

// ParseARN parses s; ok is false if s is not a well-formed ARN whose resource
// is type/id. Neither part may hold control characters, and no segment of the
// id may be "." or "..".
func ParseARN(s string) (a ARN, ok bool) {
	p := strings.SplitN(s, ":", 6)
	if len(p) != 6 || p[0] != "arn" || !strings.HasPrefix(p[1], "aws") || p[2] == "" {
		return ARN{}, false
	}
	kind, id, found := strings.Cut(p[5], "/")
	if !found || kind == "" || id == "" || !safeResource(id) || !safeResource(kind) {
		return ARN{}, false
	}
	if p[4] != "" && !isAccount(p[4]) {
		return ARN{}, false
	}
	if !allOf(p[1]+p[2]+p[3], "-abcdefghijklmnopqrstuvwxyz0123456789") {
		return ARN{}, false
	}
	return ARN{Partition: p[1], Service: p[2], Region: p[3], Account: p[4], Type: kind, ID: id}, true
}

// String returns the ARN in its wire form.
func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Type + "/" + a.ID
}

// ValidModelID reports whether s may name a model on the runtime: a plain id
// of the letters that Bedrock allows, or a bedrock ARN. It does not say that
// such a model exists.
func ValidModelID(s string) bool {
	if s == "" || len(s) > maxModelID {
		return false
	}
	if strings.HasPrefix(s, "arn:") {
		_, ok := ParseARN(s)
		return ok
	}
	return plainID(s) && !strings.Contains(s, "..")
}

func plainID(s string) bool {
	for i := range len(s) {
		if !idByte(s[i]) {
			return false
		}
	}
	return s != "."
}

func idByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == ':' || c == '_'
}

func safeResource(s string) bool {
	for segment := range strings.SplitSeq(s, "/") {
		if segment == "" || segment == "." || segment == ".." || !plainID(segment) {
			return false
		}
	}
	return true
}

func isAccount(s string) bool { return len(s) == 12 && allOf(s, "0123456789") }

func allOf(s, set string) bool {
	for i := range len(s) {
		if strings.IndexByte(set, s[i]) < 0 {
			return false
		}
	}
	return true
}
