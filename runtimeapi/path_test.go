package runtimeapi_test

import (
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/runtimeapi"
)

func TestPathsOfEverySDKAndOfCurl(t *testing.T) {
	const arn = "arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abcdefghij12"
	cases := []struct {
		path, id string
		op       outcrop.Operation
	}{
		{"/model/amazon.nova-lite-v1%3A0/converse", "amazon.nova-lite-v1:0", outcrop.OpConverse},
		{"/model/amazon.nova-lite-v1:0/converse-stream", "amazon.nova-lite-v1:0", outcrop.OpConverseStream},
		{"/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A111122223333%3Aprovisioned-model%2Fabcdefghij12/invoke", arn, outcrop.OpInvokeModel},
		{"/model/" + arn + "/invoke-with-response-stream", arn, outcrop.OpInvokeModelStream},
		{"/model/arn%253Aaws%253Abedrock%253Aus-east-1%253A111122223333%253Aprovisioned-model%252Fabcdefghij12/count-tokens", arn, outcrop.OpCountTokens},
	}
	for _, c := range cases {
		op, id, ok := runtimeapi.ParsePath(c.path)
		if !ok || op != c.op || id != c.id {
			t.Errorf("%s: %s %q %v", c.path, op, id, ok)
		}
		if !outcrop.ValidModelID(id) {
			t.Errorf("%q is not valid", id)
		}
	}
}

func TestPathsThatAreNotTheRuntimes(t *testing.T) {
	for _, path := range []string{"/", "/model", "/model/", "/model/x", "/model//converse", "/models/x/converse", "/model/x/converse/", "/model/x/Converse", "/foundation-models"} {
		if _, _, ok := runtimeapi.ParsePath(path); ok {
			t.Errorf("%s was taken", path)
		}
	}
}

func TestTraversalIsNoModelID(t *testing.T) {
	for _, id := range []string{"..", "%2e%2e", "%252e%252e", "a%2F..%2Fb", "a%00", "a%0a", "%27", "arn:aws:bedrock:us-east-1::foundation-model/..", "a b", "%25252e"} {
		_, decoded, ok := runtimeapi.ParsePath("/model/" + id + "/converse")
		if ok && outcrop.ValidModelID(decoded) {
			t.Errorf("%s became the valid id %q", id, decoded)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	f.Add("/model/a%3A0/converse")
	f.Add("/model/arn:aws:bedrock:us-east-1::foundation-model/x/invoke")
	f.Fuzz(func(t *testing.T, path string) {
		_, id, ok := runtimeapi.ParsePath(path)
		if !ok || !outcrop.ValidModelID(id) {
			return
		}
		for _, c := range []byte(id) {
			if c <= ' ' || c >= 0x7f || c == '%' || c == '\'' || c == '"' {
				t.Fatalf("%q became the id %q", path, id)
			}
		}
	})
}
