package records

import (
	"path"
	"strings"
)

// A Location is a bucket and a key, or what keys begin with.
type Location struct{ Bucket, Key string }

// ParseURI reads s3://bucket/key; ok is false for anything else. The key may
// be empty.
func ParseURI(uri string) (l Location, ok bool) {
	rest, found := strings.CutPrefix(uri, "s3://")
	l.Bucket, l.Key, _ = strings.Cut(rest, "/")
	return l, found && l.Bucket != ""
}

// String returns the URI.
func (l Location) String() string { return "s3://" + l.Bucket + "/" + l.Key }

// IsFile reports whether the key is that of a file of records and not what
// keys begin with.
func (l Location) IsFile() bool { return IsInput(l.Key) }

// IsInput reports whether the object with the key holds records.
func IsInput(key string) bool { return strings.HasSuffix(key, ".jsonl") }

// Folder returns what the keys of a job's output begin with.
func (l Location) Folder(job string) string {
	return under(l.Key, job) + "/"
}

// Prefix returns what the keys in the location begin with, as a folder.
func (l Location) Prefix() string {
	if l.Key == "" || strings.HasSuffix(l.Key, "/") {
		return l.Key
	}
	return l.Key + "/"
}

// OutputName returns the name of the output for an input with the key, in the
// job's folder: with the folders that the key has below the input's location,
// so that files of the same name do not meet.
func OutputName(input Location, key string) string {
	if input.IsFile() {
		return path.Base(key) + ".out"
	}
	return strings.TrimPrefix(key, input.Prefix()) + ".out"
}

func under(folder, name string) string {
	if folder = strings.TrimRight(folder, "/"); folder == "" {
		return name
	}
	return folder + "/" + name
}
