package shape_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/outcrop/outcrop/shape"
)

// pet uses every kind of shape and constraint.
var pet = shape.Structure(
	shape.Required("name", shape.String().Length(1, 8).Pattern(`[a-z]+`)),
	shape.Required("kind", shape.Enum("cat", "dog")),
	shape.Optional("age", shape.Integer().Range(0, 40)),
	shape.Optional("chip", shape.Long().Min(1)),
	shape.Optional("weight", shape.Float().Range(0, 1)),
	shape.Optional("good", shape.Boolean()),
	shape.Optional("photo", shape.Blob().Length(1, 4)),
	shape.Optional("born", shape.Timestamp()),
	shape.Optional("notes", shape.String()),
	shape.Optional("any", shape.Document()),
	shape.Optional("toys", shape.List(shape.String().AtLeast(1)).Length(1, 3)),
	shape.Optional("friends", shape.List(shape.Structure(shape.Required("name", shape.String())))),
	shape.Optional("tags", shape.Map(shape.String().Length(1, 3), shape.String().Length(0, 3)).Length(1, 2)),
	shape.Optional("home", shape.Union(shape.Optional("house", shape.String()), shape.Optional("barn", shape.String()))),
	shape.Optional("secret", shape.Enum("x").Sensitive()),
)

const head = `{"name":"tom","kind":"cat",`

func TestCheckTellsEachBrokenConstraintInAWSWords(t *testing.T) {
	tests := map[string]struct{ body, want string }{
		"required": {`{"kind":"cat"}`, "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"},
		"null is absent": {`{"name":null,"kind":"cat"}`,
			"1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"},
		"two at once": {`{}`, "2 validation errors detected: Value null at 'name' failed to satisfy constraint: Member must not be null; " +
			"Value null at 'kind' failed to satisfy constraint: Member must not be null"},
		"enum":             {`{"name":"tom","kind":"cow"}`, "Value 'cow' at 'kind' failed to satisfy constraint: Member must satisfy enum value set: [cat, dog]"},
		"pattern":          {`{"name":"Tom","kind":"cat"}`, "Value 'Tom' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+"},
		"pattern is whole": {`{"name":"tom\n","kind":"cat"}`, "Member must satisfy regular expression pattern: [a-z]+"},
		"min length":       {`{"name":"","kind":"cat"}`, "Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"max length":       {`{"name":"abcdefghi","kind":"cat"}`, "Member must have length less than or equal to 8"},
		"min value":        {head + `"age":-1}`, "Value '-1' at 'age' failed to satisfy constraint: Member must have value greater than or equal to 0"},
		"max value":        {head + `"age":41}`, "Value '41' at 'age' failed to satisfy constraint: Member must have value less than or equal to 40"},
		"long":             {head + `"chip":0}`, "'chip' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		"float":            {head + `"weight":1.01}`, "Value '1.01' at 'weight' failed to satisfy constraint: Member must have value less than or equal to 1"},
		"blob":             {head + `"photo":"AAAAAAA="}`, "Value '***' at 'photo' failed to satisfy constraint: Member must have length less than or equal to 4"},
		"empty blob":       {head + `"photo":""}`, "Member must have length greater than or equal to 1"},
		"list length":      {head + `"toys":[]}`, "Value '[]' at 'toys' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"element":          {head + `"toys":["a",""]}`, "Value '***' at 'toys.2.member' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"null in list":     {head + `"toys":[null]}`, "Value null at 'toys.1.member' failed to satisfy constraint: Member must not be null"},
		"deep":             {head + `"friends":[{"name":"a"},{}]}`, "Value null at 'friends.2.member.name' failed to satisfy constraint: Member must not be null"},
		"map key":          {head + `"tags":{"long!":"v"}}`, "Value '{***}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 3]"},
		"map value":        {head + `"tags":{"a":"long!"}}`, "Value '{***}' at 'tags' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 3]"},
		"map null":         {head + `"tags":{"a":null}}`, "Map value must satisfy constraint: [Member must not be null]"},
		"map length":       {head + `"tags":{}}`, "Value '{}' at 'tags' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"no member":        {head + `"home":{}}`, "Value '***' at 'home' failed to satisfy constraint: Member must have exactly one of these members set: [house, barn]"},
		"two members":      {head + `"home":{"house":"","barn":""}}`, "Member must have exactly one of these members set: [house, barn]"},
		"sensitive":        {head + `"secret":"y"}`, "Value '***' at 'secret'"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := pet.Check([]byte(test.body))
			if v := (shape.Violations)(nil); !errors.As(err, &v) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestCheckRefusesMalformedBodies(t *testing.T) {
	tests := map[string]struct{ body, want string }{
		"empty":        {``, "#: unexpected end of the JSON value"},
		"truncated":    {`{"name":"to`, "#/name: unexpected end of the JSON value"},
		"cut in list":  {head + `"friends":[{"name":"a"`, "#/friends/0: unexpected end of the JSON value"},
		"no object":    {`[]`, "#: expected type: JSONObject, found: JSONArray"},
		"null":         {`null`, "#: expected type: JSONObject, found: Null"},
		"string":       {`{"name":1}`, "#/name: expected type: String, found: Number"},
		"integer":      {`{"age":"1"}`, "#/age: expected type: Integer, found: String"},
		"fraction":     {`{"age":1.5}`, "#/age: expected type: Integer, found: Number"},
		"beyond 32":    {`{"age":2147483648}`, "#/age: expected type: Integer, found: Number"},
		"beyond 64":    {`{"chip":9223372036854775808}`, "#/chip: expected type: Integer, found: Number"},
		"infinite":     {`{"weight":1e999}`, "#/weight: expected type: Number, found: Number"},
		"boolean":      {`{"good":"true"}`, "#/good: expected type: Boolean, found: String"},
		"base64":       {`{"photo":"AA=A"}`, "#/photo: not valid base64"},
		"base64 short": {`{"photo":"AAA"}`, "#/photo: not valid base64"},
		"base64 urls":  {`{"photo":"A-_A"}`, "#/photo: not valid base64"},
		"timestamp":    {`{"born":"yesterday"}`, "#/born: expected type: Timestamp, found: String"},
		"epoch":        {`{"born":1700000000}`, "#/born: expected type: String, found: Number"},
		"list":         {`{"toys":{}}`, "#/toys: expected type: JSONArray, found: JSONObject"},
		"map":          {`{"tags":[]}`, "#/tags: expected type: JSONObject, found: JSONArray"},
		"more":         {`{} {}`, "#: there is more after the end of the JSON value"},
		"garbage":      {`{"name":nope}`, "#/name: not valid JSON at byte"},
		"name twice":   {head + `"name":"tom"}`, "#: an object has a name twice"},
		"twice below":  {`{"any":{"a":1,"a":2}}`, "#/any: an object has a name twice"},
		"twice in map": {`{"tags":{"a":"","a":""}}`, "#/tags: an object has a name twice"},
		"UTF-8":        {"{\"name\":\"\xff\"}", "#/name: not valid JSON at byte"},
		"surrogate":    {`{"notes":"\ud800"}`, "#/notes: not valid JSON at byte"},
		"control":      {"{\"notes\":\"\x01\"}", "#/notes: not valid JSON at byte"},
		"deep":         {`{"any":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, "#/any: nested more than 64 deep"},
		"deep unknown": {`{"other":` + strings.Repeat("[", 1e5), "#: nested more than 64 deep"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := pet.Check([]byte(test.body))
			want := "Malformed input request: " + test.want
			if m := (*shape.Malformed)(nil); !errors.As(err, &m) || !strings.HasPrefix(err.Error(), want) ||
				!strings.HasSuffix(err.Error(), ", please reformat your input and try again.") {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestCheckAccepts(t *testing.T) {
	tests := map[string]string{
		"least":                 `{"name":"tom","kind":"cat"}`,
		"all":                   head + `"age":40,"chip":1,"weight":0.5,"good":true,"photo":"AAAA","born":"2024-05-01T10:00:00.5Z","notes":"","any":[{}],"toys":["a"],"friends":[],"tags":{"a":""},"home":{"barn":""}}`,
		"unknown members":       head + `"other":{"deep":[1,{"x":null}]}}`,
		"nulls":                 head + `"age":null,"home":{"house":null,"barn":"b"}}`,
		"white space":           " {\t\"name\" : \"tom\" ,\r\n \"kind\":\"cat\" } ",
		"escapes":               `{"n\u0061me":"\u0074om","kind":"c\u0061t"}`,
		"escaped slash":         head + `"photo":"\/\/\/\/"}`,
		"as deep as allowed":    head + `"any":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`,
		"characters, not bytes": head + `"tags":{"äöü":"äöü"}}`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			if err := pet.Check([]byte(body)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestErrorsAreBoundedAndHoldNoPrompts(t *testing.T) {
	long := strings.Repeat("secret ", 10000)
	bodies := []string{
		`{"name":"` + long + `","kind":"` + long + `"}`,
		head + `"notes":"` + long,
		head + `"toys":["` + strings.Repeat(`","`, 10000) + `"]}`,
		head + `"tags":{"` + long + `":"` + long + `"}}`,
		`{"` + long + `":"\ud800"}`,
		`{"any":{"` + long + `":1,"` + long + `":1}}`,
	}
	for _, body := range bodies {
		err := pet.Check([]byte(body))
		if err == nil {
			t.Fatalf("%.40s... passed", body)
		}
		if len(err.Error()) > 4000 || strings.Count(err.Error(), "secret ") > 20 {
			t.Errorf("%d bytes: %.200s", len(err.Error()), err)
		}
	}
}

func TestCheckValues(t *testing.T) {
	query := shape.Structure(
		shape.Required("id", shape.String().Length(1, 4).Pattern("[a-z]+")),
		shape.Optional("maxResults", shape.Integer().Range(1, 1000)),
		shape.Optional("after", shape.Timestamp()),
		shape.Optional("deep", shape.Boolean()),
		shape.Optional("sort", shape.List(shape.Enum("up", "down")).Length(1, 2)),
	)
	tests := map[string]string{
		"id=ab&maxResults=5&after=2024-01-02T03:04:05.678901Z&deep=true&sort=up&other=1": "",
		"":                             "Value null at 'id' failed to satisfy constraint: Member must not be null",
		"id=":                          "Value '' at 'id' failed to satisfy constraint: Member must have length greater than or equal to 1",
		"id=A":                         "Value 'A' at 'id' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+",
		"id=a&maxResults=0":            "Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1",
		"id=a&maxResults=x":            "Malformed input request: #/maxResults: expected type: Number, found: String",
		"id=a&after=x":                 "#/after: expected type: Timestamp, found: String",
		"id=a&deep=x":                  "#/deep: expected type: Boolean, found: String",
		"id=a&sort=up&sort=":           "Value '' at 'sort.2.member' failed to satisfy constraint: Member must satisfy enum value set: [up, down]",
		"id=a&sort=up&sort=up&sort=up": "Value '[***]' at 'sort' failed to satisfy constraint: Member must have length less than or equal to 2",
	}
	for raw, want := range tests {
		values, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatal(err)
		}
		switch err := query.CheckValues(values); {
		case want == "" && err != nil:
			t.Errorf("%s: %v", raw, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s:\ngot  %v\nwant %s", raw, err, want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(head + `"any":{"a":[1]},"home":{"barn":"x"}}`))
	f.Add([]byte(`{"name":null,"toys":["",null,3]}`))
	f.Add([]byte(`{"photo":"AA=="`))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := string(body)
		if err := pet.Check(body); err != nil && len(err.Error()) > 8000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		if string(body) != before {
			t.Error("Check changed the body")
		}
	})
}
