package quota

import (
	"bytes"
	"hash/maphash"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
	"github.com/outcrop/outcrop/tokens"
)

// What a conversation costs beside its texts, in tokens. An image is what
// Claude models count at most for one [Anthropic, vision guide].
const (
	perMessage = 4
	perTool    = 8
	perImage   = 1600
	toAnswer   = 3
)

// A prompt is what a request is expected to have the engine read.
type prompt struct {
	tokens    int // all of it
	maxTokens int // of output that the caller allows, see ledger.Request
	marks     [maxMarks]mark
	marked    int // how many marks there are

	hashing bool
	hash    maphash.Hash
}

// A mark is a cache point: the prefix before it may be cached.
type mark struct {
	tokens int
	key    uint64
	ttl    time.Duration
}

// maxMarks is how many cache points Bedrock allows in a prompt.
const maxMarks = 4

// read estimates the prompt of req.
func (p *prompt) read(req *outcrop.Request, seed maphash.Seed) {
	p.tokens, p.marked, p.hashing = 0, 0, false
	if n := req.Native; n != nil {
		p.tokens, p.maxTokens = bodyTokens(n.Body), bodyMaxTokens(n.Body)
	}
	if c := req.Conversation; c != nil {
		p.maxTokens = c.Inference.MaxTokens
		if hasCachePoint(c) {
			p.hashing = true
			p.hash.SetSeed(seed)
			p.text([]byte(req.Principal.Account))
			p.text([]byte(req.Card.ID))
			p.tokens = 0
		}
		p.conversation(c)
	}
	if len(req.Card.Output) == 1 && req.Card.Output[0] == outcrop.ModalityEmbedding {
		p.maxTokens = -1
	}
}

func hasCachePoint(c *outcrop.Conversation) bool {
	for i := range c.Tools {
		if c.Tools[i].CachePoint {
			return true
		}
	}
	if pointIn(c.System) {
		return true
	}
	for i := range c.Messages {
		if pointIn(c.Messages[i].Content) {
			return true
		}
	}
	return false
}

func pointIn(blocks []outcrop.Block) bool {
	for i := range blocks {
		if blocks[i].Kind == outcrop.BlockCachePoint {
			return true
		}
	}
	return false
}

func (p *prompt) conversation(c *outcrop.Conversation) {
	for i := range c.Tools {
		t := &c.Tools[i]
		if t.CachePoint {
			p.mark(nil)
			continue
		}
		p.tokens += perTool
		p.text(t.Name)
		p.text(t.Description)
		p.text(t.Schema)
	}
	if len(c.System) > 0 {
		p.tokens += perMessage
		p.blocks(c.System)
	}
	for i := range c.Messages {
		p.tokens += perMessage
		p.blocks(c.Messages[i].Content)
	}
	if c.Format != nil {
		p.text(c.Format.Schema)
	}
	p.tokens += toAnswer
}

func (p *prompt) blocks(all []outcrop.Block) {
	for i := range all {
		b := &all[i]
		switch b.Kind {
		case outcrop.BlockCachePoint:
			p.mark(b.Text)
		case outcrop.BlockImage, outcrop.BlockDocument:
			p.media(b.Kind, b.Media)
		case outcrop.BlockToolUse:
			p.tokens += perTool
			p.text(b.Use.Name)
			p.text(b.Use.Input)
		case outcrop.BlockToolResult:
			p.tokens += perTool
			p.blocks(b.Result.Content)
		default:
			p.text(b.Text)
		}
	}
}

// media guesses documents that are not texts at a token for 8 bytes: they are
// compressed or full of markup.
func (p *prompt) media(kind outcrop.BlockKind, m *outcrop.Media) {
	p.text(m.Name)
	p.text(m.Text)
	if p.hashing {
		p.hash.Write(m.Base64)
	}
	switch {
	case len(m.Base64) == 0:
	case kind == outcrop.BlockImage:
		p.tokens += perImage
	default:
		p.tokens += len(m.Base64)/4*3/8 + 1
	}
}

func (p *prompt) text(raw []byte) {
	p.tokens += count(raw)
	if p.hashing {
		p.hash.Write(raw)
		p.hash.WriteByte(0xff) // is in no text
	}
}

func (p *prompt) mark(ttl outcrop.Text) {
	if p.marked == maxMarks {
		return
	}
	keep := 5 * time.Minute
	if string(ttl) == "1h" {
		keep = time.Hour
	}
	p.marks[p.marked] = mark{tokens: p.tokens, key: p.hash.Sum64(), ttl: keep}
	p.marked++
}

// A text longer than wholeText is counted by samples, so that the longest
// prompt costs no more time than a medium one.
const (
	wholeText   = 512 // bytes
	samples     = 8
	sampleBytes = wholeText / samples
)

// count is how many tokens a text has, or about how many if it is long.
func count(raw []byte) int {
	if len(raw) <= wholeText {
		return tokens.Count(raw)
	}
	n := 0
	for i := range samples {
		at := i * (len(raw) - sampleBytes) / (samples - 1)
		n += tokens.Count(raw[at : at+sampleBytes])
	}
	return (n*len(raw) + wholeText - 1) / wholeText
}

// bodyTokens guesses what a native body holds: a token for four bytes, but
// for long runs of base64, which are images.
func bodyTokens(body []byte) int {
	const long, head = 2 << 10, 256
	text, images := len(body), 0
	for s := range bytes.SplitSeq(body, []byte{'"'}) {
		if len(s) >= long && isBase64(s[:head]) {
			text -= len(s)
			images++
		}
	}
	return (text+3)/4 + images*perImage
}

func isBase64(s []byte) bool {
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '+' || c == '/' || c == '=' || c == '\\' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// bodyMaxTokens is the longest output that a native body allows, in whatever
// dialect; 0 if it does not say.
func bodyMaxTokens(body []byte) int {
	s := jsonscan.Scanner{B: body}
	if !s.Eat('{') {
		return 0
	}
	most := 0
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !more || !ok {
			return most
		}
		switch string(name) {
		case "max_tokens", "max_completion_tokens", "max_gen_len", "maxTokenCount", "maxTokens", "max_new_tokens":
			v, ok := s.Int()
			if !ok {
				return most
			}
			most = max(most, v)
		case "inferenceConfig", "textGenerationConfig":
			inner, ok := s.Value()
			if !ok {
				return most
			}
			most = max(most, bodyMaxTokens(inner))
		default:
			if !s.Skip() {
				return most
			}
		}
	}
}
