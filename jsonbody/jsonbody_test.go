package jsonbody_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonbody"
)

type inner struct {
	Size *int `json:"size"`
}

type body struct {
	Name  string  `json:"name"`
	Inner inner   `json:"inner"`
	List  []inner `json:"list"`
}

func TestMistakesAreToldByPointerInBedrocksWords(t *testing.T) {
	cases := map[string]struct {
		body   string
		strict bool
		want   string
	}{
		"no object":      {`[]`, false, "#: expected type: JSONObject, found: JSONArray"},
		"cut short":      {`{"name":`, false, "Malformed input request, please"},
		"twice":          {`{"name":"a","name":"b"}`, false, "#: duplicate key [name]"},
		"unknown":        {`{"inner":{"odd":1}}`, true, "#/inner: extraneous key [odd] is not permitted"},
		"wrong type":     {`{"list":[{"size":"1"}]}`, false, "#/list/0/size: expected type: Integer, found: String"},
		"lone surrogate": {`{"name":"\ud800"}`, false, "Malformed input request"},
		"other case":     {`{"NAME":"a"}`, true, "extraneous key [NAME]"},
	}
	for name, c := range cases {
		var b body
		err := jsonbody.Decode([]byte(c.body), &b, c.strict)
		var told *outcrop.Error
		if !errors.As(err, &told) || told.Code != outcrop.CodeValidation || !strings.Contains(told.Message, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknownMembersAreIgnoredUnlessStrict(t *testing.T) {
	var b body
	if err := jsonbody.Decode([]byte(`{"name":"a","odd":[{}]}`), &b, false); err != nil || b.Name != "a" {
		t.Fatal(b, err)
	}
}

func TestCallersNamesAreBounded(t *testing.T) {
	var b body
	err := jsonbody.Decode([]byte(`{"`+strings.Repeat("x", 5000)+`":1}`), &b, true)
	if err == nil || len(err.Error()) > 300 {
		t.Fatalf("%d bytes of message", len(err.Error()))
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"a","inner":{"size":1},"list":[{}]}`), true)
	f.Add([]byte(`{"name":1}`), false)
	f.Fuzz(func(t *testing.T, in []byte, strict bool) {
		var b body
		err := jsonbody.Decode(in, &b, strict)
		if err != nil && (!errors.Is(err, outcrop.CodeValidation) || len(err.Error()) > 1000) {
			t.Fatalf("%v", err)
		}
	})
}

// TestABodyOfCountlessValuesIsRefusedUndecoded has 17 MB of nothing, which took
// more than 3 GB once decoded. What stands in strings does not count.
func TestABodyOfCountlessValuesIsRefusedUndecoded(t *testing.T) {
	for _, value := range []string{"{}", "null", `""`, "[]", `{"size":1}`} {
		var b body
		err := jsonbody.Decode([]byte(`{"list":[`+strings.Repeat(value+",", 100_000)+value+`]}`), &b, false)
		if err == nil || !strings.Contains(err.Error(), "maxValues: 100000") || b.List != nil {
			t.Errorf("%s: %v, decoded %d", value, err, len(b.List))
		}
	}
	var b body
	text := strings.Repeat(`,{[\"`, 100_000)
	if err := jsonbody.Decode([]byte(`{"name":"`+text+`"}`), &b, false); err != nil || len(b.Name) != 400_000 {
		t.Errorf("in a string: %v, %d bytes", err, len(b.Name))
	}
}
