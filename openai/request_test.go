package openai_test

import (
	"errors"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
	"github.com/outcrop/outcrop/openai"
)

func TestConversationsBecomeChatCompletions(t *testing.T) {
	goldens(t, "request", func(t *testing.T, g *golden) {
		got, err := openai.AppendRequest([]byte("kept"), g.conversation("conversation"), g.options())
		if err != nil {
			if string(got) != "kept" {
				t.Errorf("left behind: %s", got)
			}
			g.want("want", "error "+err.Error())
			return
		}
		body := got[len("kept"):]
		if !jsonscan.Valid(body) {
			t.Errorf("not JSON: %s", body)
		}
		g.want("want", string(body))
	})
}

func hello() *outcrop.Conversation {
	return &outcrop.Conversation{Messages: []outcrop.Message{{
		Role:    outcrop.RoleUser,
		Content: []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Text("Hi")}},
	}}}
}

func TestFormatBecomesResponseFormat(t *testing.T) {
	c := hello()
	c.Format = &outcrop.Format{Name: outcrop.Text("n"), Description: outcrop.Text("d"), Schema: outcrop.JSON(`{"type": "object"}`)}
	got, err := openai.AppendRequest(nil, c, openai.Options{Model: "m"})
	want := `{"model":"m","messages":[{"role":"user","content":"Hi"}],"response_format":{"type":"json_schema","json_schema":{"name":"n","description":"d","schema":{"type": "object"},"strict":true}}}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s %v\nwant %s", got, err, want)
	}
	c.Format.Name, c.Format.Description = nil, nil
	got, err = openai.AppendRequest(nil, c, openai.Options{Model: "m", NoStrict: true})
	want = `{"model":"m","messages":[{"role":"user","content":"Hi"}],"response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type": "object"}}}}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s %v\nwant %s", got, err, want)
	}
}

func TestExtraFieldsGoToTheEngineAsTheyAre(t *testing.T) {
	c := hello()
	c.Extra = outcrop.JSON(` { "seed" : 7, "nested": {"a":[1, 2]}, "top_k":3 } `)
	got, err := openai.AppendRequest(nil, c, openai.Options{Model: "m"})
	want := `{"model":"m","messages":[{"role":"user","content":"Hi"}],"seed":7,"nested":{"a":[1, 2]},"top_k":3}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s %v\nwant %s", got, err, want)
	}
}

func TestExtraFieldsCannotOverrideTheRequest(t *testing.T) {
	for _, extra := range []string{
		`{"model":"other"}`, `{"messages":[]}`, `{"stream":true}`, `{"stream_options":{}}`, `{"mod\u0065l":"other"}`,
		`{"max_tokens":1}`, `{"max_completion_tokens":1}`, `{"temperature":1}`, `{"top_p":1}`, `{"top_k":1}`, `{"stop":[]}`,
		`{"tools":[]}`, `{"tool_choice":"auto"}`, `{"response_format":{}}`,
		`{"Model":"other"}`, `{"MODEL":"other"}`, `{"\u017ftream":true}`, `{"Max_Tokens":1}`, `{"seed":1,"Seed":2}`,
		`{"seed":1,"seed":2}`, `{"seed":1`, `{"seed":01}`, `[1]`, `"x"`,
	} {
		c := hello()
		c.Inference = outcrop.Inference{
			MaxTokens: 9, Temperature: outcrop.Number("1"), TopP: outcrop.Number("1"), TopK: outcrop.Number("1"),
			Stop: []outcrop.Text{outcrop.Text("x")},
		}
		c.Tools = []outcrop.Tool{{Name: outcrop.Text("f")}}
		c.ToolChoice.Kind = outcrop.ToolChoiceAuto
		c.Format = &outcrop.Format{Schema: outcrop.JSON("{}")}
		c.Extra = outcrop.JSON(extra)
		if got, err := openai.AppendRequest(nil, c, openai.Options{Model: "m"}); !errors.Is(err, outcrop.CodeValidation) || len(got) != 0 {
			t.Errorf("%s: got %s, error %v", extra, got, err)
		}
	}
}

func TestExtraFieldsChooseNoPriorityWhereItIsOurs(t *testing.T) {
	for _, extra := range []string{`{"priority":-9}`, `{"Priority":-9}`, `{"priorit\u0079":-9}`} {
		c := hello()
		c.Extra = outcrop.JSON(extra)
		if got, err := openai.AppendRequest(nil, c, openai.Options{Priorities: true}); !errors.Is(err, outcrop.CodeValidation) {
			t.Errorf("%s: got %s, error %v", extra, got, err)
		}
		if _, err := openai.AppendRequest(nil, c, openai.Options{}); err != nil {
			t.Errorf("%s, to an engine without priorities of ours: %v", extra, err)
		}
	}
}

func TestImageWithoutBytesIsRefused(t *testing.T) {
	c := hello()
	c.Messages[0].Content = append(c.Messages[0].Content, outcrop.Block{Kind: outcrop.BlockImage, Media: &outcrop.Media{Format: "png"}})
	_, err := openai.AppendRequest(nil, c, openai.Options{Model: "m"})
	want := "The value at messages.0.content.1.image is not supported by this model: it takes images as bytes only."
	var e *outcrop.Error
	if !errors.As(err, &e) || e.Message != want {
		t.Errorf("got %v", err)
	}
}
