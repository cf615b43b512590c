package sim

import (
	"bytes"
	"context"
	"encoding/base64"
	"image"
	_ "image/gif"  // for DecodeConfig
	_ "image/jpeg" // for DecodeConfig
	_ "image/png"  // for DecodeConfig
	"io"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/step"
	"github.com/outcrop/outcrop/tokens"
)

// What a conversation costs beside its texts, in tokens.
const (
	tokensPerMessage = 4
	tokensPerTool    = 8
	tokensToAnswer   = 3
)

// A prompt is a conversation as the engine reads it: tools, system, messages.
type prompt struct {
	tokens int
	blocks []uint64 // hashes of the whole blocks of tokens, for the prefix cache
	marks  []mark   // the cache points
	hash   uint64   // of all that was said; the same for all callers
}

// A mark is a cache point: the prefix before it may be kept for ttl.
type mark struct {
	tokens int
	key    uint64
	ttl    time.Duration
}

// CountTokens tells how many tokens the prompt has for this engine.
func (e *Engine) CountTokens(ctx context.Context, req *outcrop.Request) (int, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if req.Conversation == nil {
		return 0, errNative()
	}
	return read(req).tokens, nil
}

// read reads the prompt of req. Hashes differ from account to account, so that
// none sees in its times or usage what another has sent.
func read(req *outcrop.Request) prompt {
	d := digest{h: fnvOffset, salt: fnvOffset}
	if req.Principal != nil {
		d.salt = hash(d.salt, req.Principal.Account)
	}
	c := req.Conversation
	for i := range c.Tools {
		d.tool(&c.Tools[i])
	}
	if len(c.System) > 0 {
		d.open("system")
		d.content(c.System)
	}
	for i := range c.Messages {
		d.open(c.Messages[i].Role.String())
		d.content(c.Messages[i].Content)
	}
	if c.Format != nil {
		d.text(c.Format.Schema)
	}
	d.fill(tokensToAnswer, "")
	return prompt{tokens: d.tokens, blocks: d.blocks, marks: d.marks, hash: d.h}
}

// A digest counts and hashes a prompt token by token.
type digest struct {
	h, salt uint64
	tokens  int
	blocks  []uint64
	marks   []mark
}

const (
	fnvOffset = 14695981039346656037 // FNV-1a, 64 bits
	fnvPrime  = 1099511628211
)

func hash[T string | []byte](h uint64, b T) uint64 {
	for i := range len(b) {
		h = (h ^ uint64(b[i])) * fnvPrime
	}
	return h
}

func (d *digest) token() {
	d.tokens++
	if d.tokens%step.BlockTokens == 0 {
		d.blocks = append(d.blocks, d.key())
	}
}

// key identifies all that was read; it is not 0.
func (d *digest) key() uint64 { return (d.h^d.salt)*fnvPrime | 1 }

func (d *digest) text(raw []byte) {
	for len(raw) > 0 {
		n := tokens.Next(raw)
		d.h = hash(d.h, raw[:n])
		d.token()
		raw = raw[n:]
	}
}

// fill counts n tokens that stand for content.
func (d *digest) fill(n int, content string) {
	d.h = hash(d.h, content)
	for range n {
		d.h = hash(d.h, "\x00")
		d.token()
	}
}

func (d *digest) open(role string) { d.fill(tokensPerMessage, "\x01"+role) }

func (d *digest) tool(t *outcrop.Tool) {
	if t.CachePoint {
		d.mark(nil)
		return
	}
	d.fill(tokensPerTool, "\x02")
	d.text(t.Name)
	d.text(t.Description)
	d.text(t.Schema)
}

func (d *digest) mark(ttl outcrop.Text) {
	keep := 5 * time.Minute
	if string(ttl) == "1h" {
		keep = time.Hour
	}
	d.marks = append(d.marks, mark{tokens: d.tokens, key: d.key(), ttl: keep})
}

func (d *digest) content(blocks []outcrop.Block) {
	for i := range blocks {
		d.block(&blocks[i])
	}
}

func (d *digest) block(b *outcrop.Block) {
	switch b.Kind {
	case outcrop.BlockText, outcrop.BlockReasoning:
		d.text(b.Text)
	case outcrop.BlockCachePoint:
		d.mark(b.Text)
	case outcrop.BlockImage, outcrop.BlockDocument:
		d.media(b)
	case outcrop.BlockToolUse:
		d.fill(tokensPerTool, "\x03")
		d.text(b.Use.Name)
		d.text(b.Use.Input)
	case outcrop.BlockToolResult:
		d.fill(tokensPerTool, "\x04")
		d.content(b.Result.Content)
	}
}

func (d *digest) media(b *outcrop.Block) {
	m := b.Media
	d.text(m.Name)
	switch {
	case len(m.Text) > 0:
		d.text(m.Text)
	case b.Kind == outcrop.BlockImage:
		d.h = hash(d.h, []byte(m.Base64))
		d.fill(imageTokens(m.Base64), "")
	default:
		d.h = hash(d.h, []byte(m.Base64))
		d.fill(documentTokens(m), "")
	}
}

// The cost of an image is that of Claude models: a token for 750 pixels, and
// no more than 1,600, to which larger images are scaled.
const (
	pixelsPerToken = 750
	maxImageTokens = 1600
	headBytes      = 64 << 10 // of an image, in which its size is looked for
)

func imageTokens(b64 []byte) int {
	head := io.LimitReader(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(b64)), headBytes)
	c, _, err := image.DecodeConfig(head)
	if err != nil || c.Width <= 0 || c.Height <= 0 || c.Width > 1<<16 || c.Height > 1<<16 {
		return maxImageTokens
	}
	return min(max(1, c.Width*c.Height/pixelsPerToken), maxImageTokens)
}

// documentTokens guesses: plain texts have a token for 4 bytes, and other
// formats, which are compressed or full of markup, one for 8.
func documentTokens(m *outcrop.Media) int {
	size := base64.StdEncoding.DecodedLen(len(m.Base64))
	if strings.Contains(" txt md csv html ", " "+m.Format+" ") {
		return max(1, size/4)
	}
	return max(1, size/8)
}
