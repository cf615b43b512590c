package outcrop_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outcrop/outcrop"
)

func TestParseARN(t *testing.T) {
	cases := map[string]outcrop.ARN{
		"arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0": {
			Partition: "aws", Service: "bedrock", Region: "us-east-1", Type: "foundation-model", ID: "anthropic.claude-3-haiku-20240307-v1:0"},
		"arn:aws:bedrock:us-west-2:111122223333:provisioned-model/abcdefghij12": {
			Partition: "aws", Service: "bedrock", Region: "us-west-2", Account: "111122223333", Type: "provisioned-model", ID: "abcdefghij12"},
		"arn:aws-cn:bedrock:cn-north-1:111122223333:custom-model/amazon.titan/abc": {
			Partition: "aws-cn", Service: "bedrock", Region: "cn-north-1", Account: "111122223333", Type: "custom-model", ID: "amazon.titan/abc"},
		"arn:aws:iam::111122223333:user/someone": {
			Partition: "aws", Service: "iam", Account: "111122223333", Type: "user", ID: "someone"},
	}
	for text, want := range cases {
		got, ok := outcrop.ParseARN(text)
		if !ok || !cmp.Equal(got, want) {
			t.Errorf("%s: %v %s", text, ok, cmp.Diff(want, got))
		}
		if got.String() != text {
			t.Errorf("%s came back as %s", text, got)
		}
	}
}

func TestMalformedARNs(t *testing.T) {
	for _, text := range []string{
		"", "arn", "arn:aws:bedrock", "arn:aws:bedrock:us-east-1:111122223333:provisioned-model", "arn:aws:bedrock:us-east-1:111122223333:provisioned-model/",
		"arn:aws:bedrock:us-east-1:111122223333:/abc", "ARN:aws:bedrock:us-east-1::foundation-model/x", "arn:gcp:bedrock:us-east-1::foundation-model/x",
		"arn:aws::us-east-1::foundation-model/x", "arn:aws:bedrock:us-east-1:1111:foundation-model/x", "arn:aws:bedrock:us-east-1:11112222333x:foundation-model/x",
		"arn:aws:bedrock:US-EAST-1::foundation-model/x", "arn:aws:bedrock:us east::foundation-model/x", "arn:aws:bed\nrock:us-east-1::foundation-model/x",
		"arn:aws:bedrock:us-east-1::foundation-model/..", "arn:aws:bedrock:us-east-1::foundation-model/a/../b", "arn:aws:bedrock:us-east-1::foundation-model/./a",
		"arn:aws:bedrock:us-east-1::foundation-model/a//b", "arn:aws:bedrock:us-east-1::foundation-model/a\x00", "arn:aws:bedrock:us-east-1::foundation-model/a b",
		"arn:aws:bedrock:us-east-1::../a", "arn:aws:bedrock:us-east-1::foundation-model/%2e%2e", "arn:aws:bedrock:us-east-1::foundation-model/a'", "arn:aws:bedrock:us-east-1::foundation-model/ü",
	} {
		if a, ok := outcrop.ParseARN(text); ok {
			t.Errorf("%q was taken as %+v", text, a)
		}
	}
}

func TestValidModelID(t *testing.T) {
	for _, id := range []string{"amazon.nova-lite-v1:0", "us.anthropic.claude-3-7-sonnet-20250219-v1:0", "a", "a_b", "global.x", strings.Repeat("a", 2048),
		"arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.amazon.nova-lite-v1:0"} {
		if !outcrop.ValidModelID(id) {
			t.Errorf("%.60q was refused", id)
		}
	}
	for _, id := range []string{"", ".", "..", "a..b", "a/b", "a b", "a\n", "a\x00", "a'", "a%3A0", "ü", "a?b", "a#b", "arn:", "arn:aws:bedrock", strings.Repeat("a", 2049)} {
		if outcrop.ValidModelID(id) {
			t.Errorf("%.60q was taken", id)
		}
	}
}

func FuzzParseARN(f *testing.F) {
	f.Add("arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abcdefghij12")
	f.Add("arn:aws:bedrock:us-east-1::foundation-model/a/b:c")
	f.Add("arn:aws:bedrock:::x/..")
	f.Fuzz(func(t *testing.T, text string) {
		a, ok := outcrop.ParseARN(text)
		if !ok {
			if a != (outcrop.ARN{}) {
				t.Fatalf("%q was refused with %+v", text, a)
			}
			return
		}
		if a.String() != text {
			t.Fatalf("%q came back as %q", text, a)
		}
		checkNameable(t, text)
		if strings.Contains("/"+a.ID+"/", "/../") || strings.Contains("/"+a.ID+"/", "/./") || strings.Contains(a.ID, "//") {
			t.Fatalf("%q traverses", text)
		}
	})
}

func FuzzValidModelID(f *testing.F) {
	f.Add("amazon.nova-lite-v1:0")
	f.Add("a..b")
	f.Fuzz(func(t *testing.T, id string) {
		if outcrop.ValidModelID(id) {
			checkNameable(t, id)
		}
	})
}

// checkNameable checks that s can stand in paths, labels, headers and logs.
func checkNameable(t *testing.T, s string) {
	t.Helper()
	if s == "" || s == "." || s == ".." {
		t.Fatalf("%q is no name", s)
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`%'"\?#&<>;`, c) >= 0 {
			t.Fatalf("%q holds %q", s, c)
		}
	}
}
