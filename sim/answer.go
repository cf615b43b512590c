package sim

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/schema"
	"github.com/outcrop/outcrop/tokens"
)

// An answer is all that an engine will say, decided before it says it.
type answer struct {
	blocks []part
	stop   outcrop.StopReason
	stopAt string // the stop sequence that was met
	tokens int
}

// A part is one block of an answer.
type part struct {
	kind      outcrop.BlockKind
	text      string // text, reasoning, or the JSON of a tool's input
	id, name  outcrop.Text
	signature string
	tokens    int
}

// A writer makes up an answer.
type writer struct {
	req    *outcrop.Request
	c      *outcrop.Conversation
	seen   view
	seed   uint64
	name   string // of the model, for the marker
	limit  int    // tokens that the answer may have
	full   outcrop.StopReason
	answer answer
}

// defaultOutput is the most tokens of an answer where neither the request nor
// the card knows a limit.
const defaultOutput = 4096

// write decides the answer to req.
func (e *Engine) write(req *outcrop.Request, p *prompt, broken bool) (answer, error) {
	w := &writer{req: req, c: req.Conversation, seen: look(req.Conversation), seed: scramble(p.hash ^ scramble(e.seed))}
	w.name = shortName(req)
	w.limit, w.full = room(req, p.tokens)
	if broken {
		return w.malformed(), nil
	}
	w.reason()
	if err := w.body(e.replies); err != nil {
		return answer{}, err
	}
	return w.answer, nil
}

// room returns how many tokens the answer may have, and why it ends if it has
// as many.
func room(req *outcrop.Request, prompt int) (int, outcrop.StopReason) {
	limit := req.Conversation.Inference.MaxTokens
	context := 0
	if req.Card != nil {
		context = req.Card.Context
		if limit == 0 {
			limit = req.Card.MaxOutput
		}
	}
	if limit <= 0 {
		limit = defaultOutput
	}
	if context > 0 && prompt+limit > context {
		return max(1, context-prompt), outcrop.StopContextExceeded
	}
	return limit, outcrop.StopMaxTokens
}

func (w *writer) body(replies []Reply) error {
	w.answer.stop = outcrop.StopEndTurn
	uses := w.toolsToUse()
	forced := w.c.ToolChoice.Kind == outcrop.ToolChoiceAny || w.c.ToolChoice.Kind == outcrop.ToolChoiceTool
	if forced && len(uses) > 0 {
		return w.useTools(uses)
	}
	if text, ok := canned(replies, w.seen.lastUser); ok {
		w.say(text)
		return nil
	}
	if len(uses) > 0 {
		w.say(w.marker() + "I will use " + toolNames(uses) + " to find out.")
		if w.answer.stop != outcrop.StopEndTurn {
			return nil
		}
		return w.useTools(uses)
	}
	if w.c.Format != nil {
		v, err := schema.Example(w.c.Format.Schema, w.seed)
		if err != nil {
			return outcrop.Invalid("The simulated engine cannot make up a value for the schema of the output format.")
		}
		w.say(string(v))
		return nil
	}
	w.say(w.prose())
	return nil
}

func canned(replies []Reply, text string) (string, bool) {
	for _, r := range replies {
		if r.Match == nil {
			return r.Text, true
		}
		if m := r.Match.FindStringSubmatchIndex(text); m != nil {
			return string(r.Match.ExpandString(nil, r.Text, text, m)), true
		}
	}
	return "", false
}

// say adds a block of text, cut at the first stop sequence and at the limit.
// An empty text makes no block.
func (w *writer) say(text string) {
	text = strings.ToValidUTF8(text, "\uFFFD")
	cut, stop := w.untilStop(text)
	head, n := tokens.Cut(cut, w.limit-w.answer.tokens)
	switch {
	case len(head) < len(cut):
		w.answer.stop = w.full
	case stop != "":
		w.answer.stop, w.answer.stopAt = outcrop.StopSequence, stop
	}
	if n > 0 {
		w.add(part{kind: outcrop.BlockText, text: head, tokens: n})
	}
}

func (w *writer) add(p part) {
	w.answer.blocks = append(w.answer.blocks, p)
	w.answer.tokens += p.tokens
}

// untilStop cuts text before the stop sequence that ends first in it.
func (w *writer) untilStop(text string) (cut, stop string) {
	cut, end := text, len(text)+1
	for _, raw := range w.c.Inference.Stop {
		s := raw.String()
		i := strings.Index(text, s)
		if s != "" && i >= 0 && i+len(s) < end {
			cut, stop, end = text[:i], s, i+len(s)
		}
	}
	return cut, stop
}

// toolsToUse returns the tools that the answer uses: the one that must be
// used, or those that the last text of the user names, if the last message is
// not what came of tools; if any must be used and none is named, the first.
func (w *writer) toolsToUse() []*outcrop.Tool {
	var all, named []*outcrop.Tool
	for i := range w.c.Tools {
		t := &w.c.Tools[i]
		if t.CachePoint {
			continue
		}
		if w.c.ToolChoice.Kind == outcrop.ToolChoiceTool && string(t.Name) == string(w.c.ToolChoice.Name) {
			return []*outcrop.Tool{t}
		}
		all = append(all, t)
		if w.seen.names(t.Name.String()) && len(named) < maxUses {
			named = append(named, t)
		}
	}
	switch {
	case w.c.ToolChoice.Kind == outcrop.ToolChoiceTool:
		return nil
	case w.c.ToolChoice.Kind == outcrop.ToolChoiceAny && len(named) == 0 && len(all) > 0:
		return all[:1]
	case w.c.ToolChoice.Kind != outcrop.ToolChoiceAny && len(w.seen.results) > 0:
		return nil
	}
	return named
}

// maxUses is how many tools one answer uses.
const maxUses = 4

func toolNames(tools []*outcrop.Tool) string {
	names := make([]string, len(tools))
	for i, t := range tools {
		names[i] = t.Name.String()
	}
	return strings.Join(names, " and ")
}

// useTools adds a block for each tool. An input that the limit would cut is
// left out: a piece of JSON is of no use to anyone.
func (w *writer) useTools(tools []*outcrop.Tool) error {
	w.answer.stop = outcrop.StopToolUse
	for i, t := range tools {
		seed := w.seed + uint64(i)*7919
		input, ok := inputFor(t, seed)
		if !ok {
			return outcrop.Invalid("The simulated engine cannot make up an input for the schema of the tool " + t.Name.String() + ".")
		}
		n := countPlain(input)
		if w.answer.tokens+n > w.limit {
			w.answer.stop = w.full
			return nil
		}
		id := outcrop.Text("tooluse_" + letters(seed))
		w.add(part{kind: outcrop.BlockToolUse, text: input, tokens: n, name: t.Name, id: id})
	}
	return nil
}

// inputFor makes up an object that the tool's schema allows.
func inputFor(t *outcrop.Tool, seed uint64) (string, bool) {
	if len(t.Schema) == 0 {
		return "{}", true
	}
	input, err := schema.Example(t.Schema, seed)
	if err == nil && input[0] == '{' {
		return string(input), true
	}
	return "{}", schema.Valid(t.Schema, []byte("{}"))
}

func countPlain(text string) int {
	_, n := tokens.Cut(text, len(text))
	return n
}

// letters spells 22 letters and digits from a seed, as Bedrock's ids have.
func letters(seed uint64) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	var b [22]byte
	for i := range b {
		seed = scramble(seed)
		b[i] = alphabet[seed%uint64(len(alphabet))]
	}
	return string(b[:])
}

// malformed is what a model that lost its way says: JSON that breaks off.
func (w *writer) malformed() answer {
	w.say(`{"answer": "` + w.marker() + `this output is brok`)
	w.answer.stop = outcrop.StopMalformedOutput
	if len(w.toolsToUse()) > 0 {
		w.answer.stop = outcrop.StopMalformedToolUse
	}
	return w.answer
}

// reason adds a block of reasoning if the request's additional fields ask for
// one, in the terms of any family of models. A quarter of the limit is the
// most that it takes.
func (w *writer) reason() {
	if !wantsReasoning(w.c.Extra) {
		return
	}
	text, n := tokens.Cut(w.thoughts(), w.limit/4)
	if n == 0 {
		return
	}
	sign := []byte("simulated reasoning " + strconv.FormatUint(scramble(hash(w.seed, text)), 16))
	w.add(part{kind: outcrop.BlockReasoning, text: text, tokens: n, signature: base64.StdEncoding.EncodeToString(sign)})
}

func wantsReasoning(extra outcrop.JSON) bool {
	ask := asked(extra)
	for _, s := range []switched{ask.Thinking, ask.ReasoningConfig, ask.NovaConfig} {
		if s.Type == "enabled" || s.Type == "adaptive" {
			return true
		}
	}
	return ask.Effort != "" && ask.Effort != "none"
}

// fields are the members of additionalModelRequestFields that the engine
// knows.
type fields struct {
	Thinking        switched `json:"thinking"`         // Claude
	ReasoningConfig switched `json:"reasoning_config"` // Claude on Bedrock
	NovaConfig      switched `json:"reasoningConfig"`  // Nova 2
	Effort          string   `json:"reasoning_effort"` // gpt-oss and others
	IgnoreEOS       bool     `json:"ignore_eos"`       // vLLM: go on to maxTokens
}

type switched struct {
	Type string `json:"type"`
}

func asked(extra outcrop.JSON) (f fields) {
	if len(extra) > 0 && json.Unmarshal(extra, &f) != nil {
		return fields{}
	}
	return f
}
