package config

import "strconv"

// S3 says where objects are: without any key of it, in the built-in store.
type S3 struct {
	// Whether the server answers S3's API itself, with objects as files below its data folder.
	Builtin bool `yaml:"builtin" default:"true" since:"0.3" aka:"embedded enabled"`
	// Address of another S3 in which batch jobs find their buckets, for example https://s3.eu-central-1.amazonaws.com or http://minio:9000. Without it they are in the built-in store.
	Endpoint string `yaml:"endpoint" form:"url" since:"0.3" aka:"url endpoint_url"`
	// Region of that S3; the server's own without it.
	Region string `yaml:"region" form:"region" since:"0.3" aka:"aws_region"`
	// Access key id for that S3.
	AccessKey Secret `yaml:"access_key" since:"0.3" aka:"aws_access_key_id access_key_id"`
	// Secret access key that goes with access_key.
	SecretKey Secret `yaml:"secret_key" since:"0.3" aka:"aws_secret_access_key secret_access_key"`
	// Session token that goes with temporary keys.
	SessionToken Secret `yaml:"session_token" since:"0.3" aka:"aws_session_token"`
	// Whether the bucket stands in the path of an address, as MinIO has it, and not in its host.
	PathStyle bool `yaml:"path_style" default:"true" since:"0.3" aka:"force_path_style"`
	// Accounts whose jobs may use that S3; all without any. The built-in store keeps accounts apart by itself; elsewhere all of them act with the one access key.
	Accounts []string `yaml:"accounts" form:"account" since:"0.3"`
	// Buckets that are elsewhere than the rest. The first whose name fits decides.
	Buckets []Bucket `yaml:"buckets" since:"0.3"`
}

// A Bucket is one that lies elsewhere than the rest, or several.
type Bucket struct {
	// Name of the bucket; * stands for any run of characters.
	Name string `yaml:"name" form:"word" need:"yes" since:"0.3" aka:"bucket"`
	// Address of the S3 that has the bucket; the built-in store without it.
	Endpoint string `yaml:"endpoint" form:"url" since:"0.3" aka:"url endpoint_url"`
	// Region of that S3; the server's own without it.
	Region string `yaml:"region" form:"region" since:"0.3" aka:"aws_region"`
	// Access key id for that S3.
	AccessKey Secret `yaml:"access_key" since:"0.3" aka:"aws_access_key_id access_key_id"`
	// Secret access key that goes with access_key.
	SecretKey Secret `yaml:"secret_key" since:"0.3" aka:"aws_secret_access_key secret_access_key"`
	// Session token that goes with temporary keys.
	SessionToken Secret `yaml:"session_token" since:"0.3" aka:"aws_session_token"`
	// Whether the bucket stands in the path of an address, and not in its host.
	PathStyle bool `yaml:"path_style" default:"true" since:"0.3" aka:"force_path_style"`
	// Accounts whose jobs may use the bucket; all without any.
	Accounts []string `yaml:"accounts" form:"account" since:"0.3"`
}

// rest are the keys of S3 that a Bucket has, too, as a Bucket of every name.
func (s *S3) rest() Bucket {
	return Bucket{Name: "*", Endpoint: s.Endpoint, Region: s.Region, AccessKey: s.AccessKey, SecretKey: s.SecretKey,
		SessionToken: s.SessionToken, PathStyle: s.PathStyle, Accounts: s.Accounts}
}

// All returns where buckets are, in the order in which their names are to be
// tried; the last one fits every name.
func (s *S3) All() []Bucket {
	all := append([]Bucket{}, s.Buckets...)
	return append(all, s.rest())
}

func (b *binder) checkS3(s *S3) {
	for i := range s.Buckets {
		b.checkBucket(&s.Buckets[i], "s3.buckets["+strconv.Itoa(i)+"]", s.Builtin)
	}
	rest := s.rest()
	b.checkBucket(&rest, "s3", true)
}

func (b *binder) checkBucket(k *Bucket, at string, builtin bool) {
	for _, key := range []string{"endpoint", "access_key", "secret_key", "session_token"} {
		if b.wrong(at + "." + key) {
			return
		}
	}
	signed := k.AccessKey.IsSet() || k.SecretKey.IsSet()
	switch {
	case k.AccessKey.IsSet() != k.SecretKey.IsSet():
		b.reportAt(at, "has one of access_key and secret_key but not the other", "")
	case k.SessionToken.IsSet() && !signed:
		b.reportAt(at+".session_token", "stands without access_key and secret_key", "")
	case k.Endpoint == "" && signed:
		b.reportAt(at+".access_key", "stands without endpoint", "the built-in store needs no keys of its own")
	case k.Endpoint != "" && !signed:
		b.reportAt(at+".endpoint", "needs access_key and secret_key beside it", "write each as { file: /path/to/file } or { env: NAME }")
	case k.Endpoint == "" && !builtin:
		b.reportAt(at, "is in the built-in store, which is switched off", "write an endpoint, or s3.builtin: true")
	}
}
