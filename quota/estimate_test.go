package quota_test

import (
	"context"
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/ledger"
	"github.com/outcrop/outcrop/quota"
)

func estimateOf(t testing.TB, edit func(*outcrop.Request)) (e outcrop.Estimate) {
	t.Helper()
	l := newLimiter(t, quota.Config{})
	req := request("Hi", 0)
	edit(req)
	_, err := l.Model(modelFunc(func(_ context.Context, req *outcrop.Request, _ outcrop.Sink) (outcrop.Receipt, error) {
		e = req.Estimate
		return outcrop.Receipt{}, nil
	})).Invoke(t.Context(), req, discard)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func native(body string) func(*outcrop.Request) {
	return func(r *outcrop.Request) {
		r.Conversation, r.Native = nil, &outcrop.Native{Dialect: outcrop.DialectAnthropic, Body: []byte(body)}
	}
}

func TestEstimates(t *testing.T) {
	image := strings.Repeat("iVBORw0KGgo", 2000)
	words := strings.Repeat("word ", 2000)
	for _, c := range []struct {
		name          string
		edit          func(*outcrop.Request)
		input, output int
	}{
		{"a text", func(*outcrop.Request) {}, 8, ledger.Cold},
		{"the model's longest output", func(r *outcrop.Request) { r.Card = &outcrop.Card{ID: haiku, MaxOutput: 77} }, 8, 77},
		{"embeddings", func(r *outcrop.Request) {
			r.Card = &outcrop.Card{ID: "amazon.titan-embed-text-v2:0", Output: []outcrop.Modality{outcrop.ModalityEmbedding}}
		}, 8, 0},
		{"an image", func(r *outcrop.Request) {
			m := &r.Conversation.Messages[0]
			m.Content = append(m.Content, outcrop.Block{Kind: outcrop.BlockImage, Media: &outcrop.Media{Format: "png", Base64: outcrop.Text(image)}})
		}, 8 + 1600, ledger.Cold},
		{"a document", func(r *outcrop.Request) {
			m := &r.Conversation.Messages[0]
			m.Content = append(m.Content, outcrop.Block{Kind: outcrop.BlockDocument, Media: &outcrop.Media{Format: "pdf", Name: outcrop.Text("a"), Base64: outcrop.Text(image)}})
		}, 8 + 1 + 22000/4*3/8 + 1, ledger.Cold},
		{"tools", func(r *outcrop.Request) {
			r.Conversation.Tools = []outcrop.Tool{{Name: outcrop.Text("find"), Schema: outcrop.JSON(`{}`)}, {CachePoint: true}}
			r.Conversation.Messages[0].Content = append(r.Conversation.Messages[0].Content,
				outcrop.Block{Kind: outcrop.BlockToolUse, Use: &outcrop.ToolUse{Name: outcrop.Text("find"), Input: outcrop.JSON(`{}`)}},
				outcrop.Block{Kind: outcrop.BlockToolResult, Result: &outcrop.ToolResult{Content: []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Text("Hi")}}}})
		}, 8 + 8 + 1 + 2 + 8 + 1 + 2 + 8 + 1, ledger.Cold},
		{"native", native(`{"messages":[{"content":"Hi"}],"max_tokens":12}`), 12, 12},
		{"native nova", native(`{"inferenceConfig":{"maxTokens":13}}`), 9, 13},
		{"native titan", native(`{"textGenerationConfig":{"maxTokenCount":14,"x":[1]},"y":{"maxTokens":99}}`), 19, 14},
		{"native with an image", native(`{"data":"` + image + `","max_tokens":5}`), 1600 + 7, 5},
		{"native with words", native(`{"text":"` + words + `","max_tokens":5}`), 2507, 5},
		{"native without end", native(`{"max_tokens":7,"messages":[`), 7, 7},
		{"native nonsense", native(`"max_tokens":7`), 4, ledger.Cold},
	} {
		if got, want := estimateOf(t, c.edit), (outcrop.Estimate{Input: c.input, Output: c.output}); got != want {
			t.Errorf("%s: %+v, want %+v", c.name, got, want)
		}
	}
}

// No body, however broken, upsets the estimate.
func FuzzNativeEstimate(f *testing.F) {
	for _, s := range []string{`{"max_tokens":1}`, `{"inferenceConfig":{"maxTokens":1e9}}`, `{"a":"\"`, `{`, `{"max_tokens":-5}`, `{"max_tokens":99999999999999999999}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		e := estimateOf(t, native(body))
		if e.Input < 0 || e.Input > (len(body)+3)/4+len(body)/2048*1600 || e.Output < 0 || e.Output > ledger.Cold {
			t.Errorf("%+v", e)
		}
	})
}
