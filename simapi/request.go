package simapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
	"github.com/outcrop/outcrop/openai"
)

// account is whom all requests belong to.
const account = "000000000000"

// maxMetadata bounds the entries of metadata that are looked at, as Bedrock
// does.
const maxMetadata = 16

// A common holds the members of a body that are the server's business and
// not the model's.
type common struct {
	Model         string `json:"model"`
	Stream        bool   `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Metadata  map[string]any `json:"metadata"`
	IgnoreEOS bool           `json:"ignore_eos"`
	Tier      string         `json:"service_tier"`
	Priority  int            `json:"priority"`
}

// parse reads what is common to all bodies.
func parse(body []byte) (c common, err error) {
	if !jsonscan.Valid(body) {
		return c, outcrop.Invalid("The body is not valid JSON.")
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return c, outcrop.Invalid("The body is not a request: " + mistyped(err) + ".")
	}
	return c, nil
}

// mistyped names the member of the wrong type, without its value.
func mistyped(err error) string {
	if t, ok := err.(*json.UnmarshalTypeError); ok && t.Field != "" {
		return t.Field + " has the wrong type"
	}
	return "a member has the wrong type"
}

var requests atomic.Uint64

// request makes the request for a model from what all bodies have.
func (c *common) request(m *Model, r *http.Request, conversation *outcrop.Conversation) *outcrop.Request {
	req := &outcrop.Request{
		ID: strconv.FormatUint(requests.Add(1), 36), Operation: outcrop.OpInvokeModel,
		Principal: &outcrop.Principal{KeyID: "none", Account: account},
		ModelID:   m.Name, Card: m.Card, Received: time.Now(), Streaming: c.Stream,
		Conversation: conversation, Metadata: c.metadata(r.Header), Priority: c.Priority,
	}
	if id := r.Header.Get("X-Request-Id"); id != "" && len(id) <= 128 {
		req.ID = id
	}
	switch tier := outcrop.ServiceTier(c.Tier); tier {
	case outcrop.TierPriority, outcrop.TierFlex:
		req.Tier = tier
	}
	if c.IgnoreEOS {
		conversation.Extra = withMember(conversation.Extra, `"ignore_eos":true`)
	}
	return req
}

// metadata gathers the entries of the body's metadata, in order, and those of
// headers: X-Outcrop-Fault-Times stands for outcrop:fault-times.
func (c *common) metadata(h http.Header) []outcrop.Metadata {
	var all []outcrop.Metadata
	for _, key := range slices.Sorted(maps.Keys(c.Metadata)) {
		if value, ok := c.Metadata[key].(string); ok && len(all) < maxMetadata {
			all = append(all, outcrop.Metadata{Key: key, Value: value})
		}
	}
	for _, name := range []string{"fault", "fault-times", "fault-id", "output-tokens"} {
		if value := h.Get("X-Outcrop-" + name); value != "" {
			all = append(all, outcrop.Metadata{Key: "outcrop:" + name, Value: value})
		}
	}
	return all
}

// withMember adds a member to the object extra, which may be nil.
func withMember(extra outcrop.JSON, member string) outcrop.JSON {
	extra = bytes.TrimSpace(extra)
	if len(extra) <= 2 {
		return outcrop.JSON("{" + member + "}")
	}
	return append(append(slices.Clip(extra[:len(extra)-1]), ','), member+"}"...)
}

// decodeChat reads the body of a chat completion.
func decodeChat(body []byte) (*outcrop.Conversation, error) {
	c, _, err := openai.DecodeRequest(body, false)
	return c, err
}

// A completion is the body of a text completion.
type completion struct {
	Prompt    json.RawMessage `json:"prompt"`
	MaxTokens *int            `json:"max_tokens"`
	Stop      json.RawMessage `json:"stop"`
	Echo      bool            `json:"echo"`
	N         *int            `json:"n"`
}

// completionTokens is the default of max_tokens in OpenAI's API.
const completionTokens = 16

// decodeCompletion reads the body of a text completion. Its prompt becomes
// one message of the user.
func decodeCompletion(body []byte) (*outcrop.Conversation, error) {
	var b completion
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, outcrop.Invalid("The body is not a request: " + mistyped(err) + ".")
	}
	prompts, ok := oneOrMore(b.Prompt)
	if !ok || len(prompts) != 1 || prompts[0] == "" {
		return nil, outcrop.Invalid("prompt must be a string, or an array of one string.")
	}
	stops, ok := oneOrMore(b.Stop)
	if !ok {
		return nil, outcrop.Invalid("stop must be a string or an array of strings.")
	}
	limit := completionTokens
	if b.MaxTokens != nil {
		limit = *b.MaxTokens
	}
	switch {
	case limit < 1:
		return nil, outcrop.Invalid("max_tokens must be at least 1.")
	case b.Echo:
		return nil, outcrop.Invalid("echo is not supported.")
	case b.N != nil && *b.N != 1:
		return nil, outcrop.Invalid("n must be 1.")
	}
	c := &outcrop.Conversation{Messages: []outcrop.Message{{Role: outcrop.RoleUser, Content: []outcrop.Block{
		{Kind: outcrop.BlockText, Text: outcrop.Quote(prompts[0])},
	}}}}
	c.Inference.MaxTokens = limit
	for _, s := range stops {
		c.Inference.Stop = append(c.Inference.Stop, outcrop.Quote(s))
	}
	return c, nil
}

// oneOrMore reads a string, an array of strings, or nothing.
func oneOrMore(raw json.RawMessage) ([]string, bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, true
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, true
	}
	var more []string
	err := json.Unmarshal(raw, &more)
	return more, err == nil
}
