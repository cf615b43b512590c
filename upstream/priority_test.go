package upstream_test

import (
	"strings"
	"testing"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/openai"
	"github.com/outcrop/outcrop/outcroptest"
	"github.com/outcrop/outcrop/upstream"
)

// An engine is told the priority of a request if it is said to take it, and
// never otherwise; and it is ours, whatever the caller's body says.
func TestOnlyEnginesThatTakePrioritiesAreToldThem(t *testing.T) {
	var bodies []string
	fake := outcroptest.NewEngine(t, func(c outcroptest.Call) outcroptest.Reply {
		bodies = append(bodies, string(c.Body))
		if strings.HasSuffix(c.Target, "/tokenize") {
			return outcroptest.Reply{Status: 200, Body: []byte(`{"count":3}`)}
		}
		return outcroptest.Reply{Status: 200, Body: []byte(openaiUnary)}
	})
	sent := func(takes bool, native string) (asked, counted string) {
		e, err := upstream.NewOpenAI(upstream.OpenAIConfig{
			Server: upstream.Server{URL: fake.URL}, Model: "m", Tokenizer: true, Quirks: openai.Options{Priorities: takes},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Close)
		req := &outcrop.Request{ID: "1", Priority: 30, Conversation: &outcrop.Conversation{Messages: []outcrop.Message{{
			Role: outcrop.RoleUser, Content: []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Text("Hi")}},
		}}}}
		if native != "" {
			req.Conversation, req.Native = nil, &outcrop.Native{Dialect: outcrop.DialectOpenAI, Body: []byte(native)}
		}
		bodies = nil
		if _, err := e.Invoke(t.Context(), req, &outcrop.Answer{}); err != nil {
			t.Fatal(err)
		}
		if _, err := e.CountTokens(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		return bodies[0], bodies[1]
	}
	const native = `{"messages":[{"role":"user","content":"Hi"}],"priority":-9}`
	for _, c := range []struct {
		takes  bool
		native string
		want   string
	}{
		{true, "", `{"model":"m","priority":30,"messages":[{"role":"user","content":"Hi"}]}`},
		{false, "", `{"model":"m","messages":[{"role":"user","content":"Hi"}]}`},
		{true, native, `{"model":"m","priority":30,"messages":[{"role":"user","content":"Hi"}]}`},
		{false, native, `{"model":"m",` + native[1:]},
	} {
		asked, counted := sent(c.takes, c.native)
		if asked != c.want {
			t.Errorf("takes %v: sent %s, want %s", c.takes, asked, c.want)
		}
		if strings.Contains(counted, `"priority":30`) {
			t.Errorf("takes %v: counted with %s", c.takes, counted)
		}
	}
}
