package native_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
	"github.com/outcrop/outcrop/native"
	"github.com/outcrop/outcrop/openai"
)

func TestIsChatAsksForMessages(t *testing.T) {
	for body, want := range map[string]bool{
		`{"prompt":"x"}`:                       false,
		`{"a":{"messages":[]},"b":"messages"}`: false,
		` {"a":[1,2] , "messages" : [] }`:      true,
		`{"messages":`:                         true,
		`["messages"]`:                         false,
		`{"a`:                                  false,
		``:                                     false,
	} {
		if got := native.IsChat([]byte(body)); got != want {
			t.Errorf("%s: %v", body, got)
		}
	}
}

func TestNovaKeepsWhatOnlyTheHubHas(t *testing.T) {
	c, _, err := native.Nova{}.DecodeRequest([]byte(`{"schemaVersion":"messages-v1",
		"system":[{"text":"s"},{"cachePoint":{"type":"default"}}],
		"messages":[{"role":"user","content":[{"text":"a"},{"cachePoint":{"type":"default","ttl":"1h"}}]},
			{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"r","signature":"sig"}}},{"reasoningContent":{"redactedContent":"AQID"}}]}],
		"toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{}}}},{"cachePoint":{"type":"default"}}]}}`), true)
	if err != nil {
		t.Fatal(err)
	}
	user, assistant := c.Messages[0].Content, c.Messages[1].Content
	switch {
	case c.System[1].Kind != outcrop.BlockCachePoint,
		user[1].Kind != outcrop.BlockCachePoint || string(user[1].Text) != "1h",
		string(assistant[0].Signature) != "sig",
		assistant[1].Kind != outcrop.BlockRedacted || string(assistant[1].Text) != "AQID",
		!c.Tools[1].CachePoint:
		t.Errorf("got %+v", c)
	}
}

func TestNovaToolInputThatIsNoJSONGoesOverAsString(t *testing.T) {
	a := &outcrop.Answer{Stop: outcrop.StopMaxTokens, Content: []outcrop.Block{{
		Kind: outcrop.BlockToolUse,
		Use:  &outcrop.ToolUse{ID: outcrop.Text("i"), Name: outcrop.Text("f"), Input: outcrop.JSON(`{"cut":"of`)},
	}}}
	got := native.Nova{}.AppendAnswer(nil, nil, a, outcrop.Receipt{})
	if !jsonscan.Valid(got) {
		t.Errorf("not JSON: %s", got)
	}
}

func FuzzDecodeRequest(f *testing.F) {
	paths, err := filepath.Glob(filepath.Join("testdata", "*", "*.txtar"))
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		native.IsChat(body)
		for name, d := range dialects {
			_, _, strictly := d.decode(body, true)
			c, _, err := d.decode(body, false)
			if strictly == nil && err != nil {
				t.Fatalf("%s: strict takes it, and lenient says %v", name, err)
			}
			if err != nil {
				if !errors.Is(err, outcrop.CodeValidation) {
					t.Fatalf("%s: %v", name, err)
				}
				continue
			}
			out, err := openai.AppendRequest(nil, c, openai.Options{Model: "m", KeepReasoning: true})
			if err != nil && !errors.Is(err, outcrop.CodeValidation) {
				t.Fatalf("%s: %v", name, err)
			}
			if err == nil && !jsontext.Value(out).IsValid() {
				t.Fatalf("%s: %s\nbecame %s", name, body, out)
			}
			if len(c.Messages) == 0 {
				t.Fatalf("%s: nothing to answer in %s", name, body)
			}
		}
	})
}
