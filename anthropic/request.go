package anthropic

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

// defaultMaxTokens is what a request asks for when neither the caller nor the
// configuration says: the Messages API requires the member.
const defaultMaxTokens = 4096

// Options say how a request to an engine differs from what the caller sent.
type Options struct {
	Model  string // the engine's name for the model
	Stream bool
	// MaxTokens is put in where the caller left max_tokens out; 0 means 4096.
	MaxTokens int
	// Count asks for a body of the token counting endpoint, which takes
	// neither max_tokens nor sampling settings.
	Count bool
}

func (o Options) maxTokens() int {
	if o.MaxTokens > 0 {
		return o.MaxTokens
	}
	return defaultMaxTokens
}

// AppendRequest appends the Messages API body for c to dst. beta is the value
// for the anthropic-beta header, empty if there is none. An error is an
// *outcrop.Error of code ValidationException that names the member which the
// Messages API cannot express.
func AppendRequest(dst []byte, c *outcrop.Conversation, o Options) (body []byte, beta string, err error) {
	w := writer{b: dst, c: c, o: o}
	if err := w.readExtra(); err != nil {
		return dst, "", err
	}
	w.head()
	if !o.Count {
		w.inference()
	}
	w.system()
	w.tools()
	w.format()
	w.messages()
	w.appendExtra()
	if w.err != nil {
		return dst, "", w.err
	}
	w.b = append(w.b, '}')
	return w.b, w.beta, nil
}

// writer builds one body.
type writer struct {
	b   []byte
	c   *outcrop.Conversation
	o   Options
	err error

	// What additionalModelRequestFields held.
	extra      []field
	extraTools []byte // the inside of its tools array
	hasMax     bool
	beta       string
}

func (w *writer) add(s string) { w.b = append(w.b, s...) }

func (w *writer) quoted(key string, t []byte) {
	w.add(key)
	w.b = append(w.b, '"')
	w.b = append(w.b, t...)
	w.b = append(w.b, '"')
}

func (w *writer) head() {
	w.add(`{"model":"`)
	w.b = outcrop.AppendQuote(w.b, w.o.Model)
	w.b = append(w.b, '"')
	if w.o.Count {
		return
	}
	if w.o.Stream {
		w.add(`,"stream":true`)
	}
	if n := w.c.Inference.MaxTokens; n > 0 {
		w.add(`,"max_tokens":`)
		w.b = strconv.AppendInt(w.b, int64(n), 10)
	} else if !w.hasMax {
		w.add(`,"max_tokens":`)
		w.b = strconv.AppendInt(w.b, int64(w.o.maxTokens()), 10)
	}
}

func (w *writer) inference() {
	inf := &w.c.Inference
	w.number(`,"temperature":`, inf.Temperature)
	w.number(`,"top_p":`, inf.TopP)
	w.number(`,"top_k":`, inf.TopK)
	if len(inf.Stop) == 0 {
		return
	}
	w.add(`,"stop_sequences":[`)
	for i, s := range inf.Stop {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.quoted("", s)
	}
	w.b = append(w.b, ']')
}

func (w *writer) number(key string, n outcrop.Number) {
	if n != nil {
		w.add(key)
		w.b = append(w.b, n...)
	}
}

func (w *writer) system() {
	s := w.c.System
	if len(s) == 0 {
		return
	}
	w.add(`,"system":`)
	w.content(s)
}

func (w *writer) messages() {
	w.add(`,"messages":[`)
	for i := range w.c.Messages {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		m := &w.c.Messages[i]
		w.add(`{"role":"`)
		w.add(m.Role.String())
		w.add(`","content":`)
		w.content(m.Content)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
}

// content writes blocks: as a plain string where one text is all.
func (w *writer) content(blocks []outcrop.Block) {
	if len(blocks) == 1 && blocks[0].Kind == outcrop.BlockText {
		w.quoted("", blocks[0].Text)
		return
	}
	w.b = append(w.b, '[')
	first := true
	for i := range blocks {
		if blocks[i].Kind == outcrop.BlockCachePoint {
			continue
		}
		if !first {
			w.b = append(w.b, ',')
		}
		first = false
		w.block(&blocks[i])
		if i+1 < len(blocks) && blocks[i+1].Kind == outcrop.BlockCachePoint && cacheable(blocks[i].Kind) {
			w.cacheControl(blocks[i+1].Text)
		}
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
}

// cacheable reports whether blocks of the kind may carry a cache_control.
func cacheable(k outcrop.BlockKind) bool {
	return k != outcrop.BlockReasoning && k != outcrop.BlockRedacted
}

func (w *writer) cacheControl(ttl outcrop.Text) {
	w.add(`,"cache_control":{"type":"ephemeral"`)
	if len(ttl) > 0 {
		w.quoted(`,"ttl":`, ttl)
	}
	w.b = append(w.b, '}')
}

// block writes b without the closing brace.
func (w *writer) block(b *outcrop.Block) {
	switch b.Kind {
	case outcrop.BlockText:
		w.quoted(`{"type":"text","text":`, b.Text)
	case outcrop.BlockImage:
		w.add(`{"type":"image","source":{"type":"base64","media_type":"image/`)
		w.add(b.Media.Format)
		w.quoted(`","data":`, b.Media.Base64)
		w.b = append(w.b, '}')
	case outcrop.BlockDocument:
		w.document(b.Media)
	case outcrop.BlockToolUse:
		w.quoted(`{"type":"tool_use","id":`, b.Use.ID)
		w.quoted(`,"name":`, b.Use.Name)
		w.add(`,"input":`)
		w.json(b.Use.Input, "{}")
	case outcrop.BlockToolResult:
		w.toolResult(b.Result)
	case outcrop.BlockReasoning:
		w.quoted(`{"type":"thinking","thinking":`, b.Text)
		w.quoted(`,"signature":`, b.Signature)
	case outcrop.BlockRedacted:
		w.quoted(`{"type":"redacted_thinking","data":`, b.Text)
	default:
		w.fail("The content holds a block that this model's engine does not take.")
		w.add(`{"type":"text"`)
	}
}

func (w *writer) json(v outcrop.JSON, empty string) {
	if len(v) == 0 {
		w.add(empty)
		return
	}
	w.b = append(w.b, v...)
}

func (w *writer) fail(message string) {
	if w.err == nil {
		w.err = outcrop.Invalid(message)
	}
}

func (w *writer) document(m *outcrop.Media) {
	w.add(`{"type":"document"`)
	if len(m.Name) > 0 {
		w.quoted(`,"title":`, m.Name)
	}
	switch {
	case len(m.Text) > 0:
		w.quoted(`,"source":{"type":"text","media_type":"text/plain","data":`, m.Text)
	case m.Format == "pdf":
		w.quoted(`,"source":{"type":"base64","media_type":"application/pdf","data":`, m.Base64)
	case oneOf(m.Format, "txt", "md", "csv", "html"):
		plain, err := base64.StdEncoding.DecodeString(m.Base64.String())
		if err != nil {
			w.fail("The document's bytes are not valid base64.")
		}
		w.add(`,"source":{"type":"text","media_type":"text/plain","data":"`)
		w.b = outcrop.AppendQuote(w.b, string(plain))
		w.b = append(w.b, '"')
	default:
		w.fail("This model does not take documents of the format " + m.Format + ". Use pdf, txt, md, csv or html.")
		w.add(`,"source":{`)
	}
	w.b = append(w.b, '}')
}

func (w *writer) toolResult(r *outcrop.ToolResult) {
	w.quoted(`{"type":"tool_result","tool_use_id":`, r.ID)
	if len(r.Content) > 0 {
		w.add(`,"content":`)
		w.content(r.Content)
	}
	if r.Error {
		w.add(`,"is_error":true`)
	}
}

func (w *writer) tools() {
	if len(w.c.Tools) > 0 || len(w.extraTools) > 0 {
		w.add(`,"tools":[`)
		first := true
		for i := range w.c.Tools {
			w.tool(i, &first)
		}
		if len(w.extraTools) > 0 && !first {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, w.extraTools...)
		w.b = append(w.b, ']')
	}
	switch c := w.c.ToolChoice; c.Kind {
	case outcrop.ToolChoiceAuto:
		w.add(`,"tool_choice":{"type":"auto"}`)
	case outcrop.ToolChoiceAny:
		w.add(`,"tool_choice":{"type":"any"}`)
	case outcrop.ToolChoiceTool:
		w.quoted(`,"tool_choice":{"type":"tool","name":`, c.Name)
		w.b = append(w.b, '}')
	}
}

func (w *writer) tool(i int, first *bool) {
	t := &w.c.Tools[i]
	if t.CachePoint {
		return
	}
	if !*first {
		w.b = append(w.b, ',')
	}
	*first = false
	w.quoted(`{"name":`, t.Name)
	if len(t.Description) > 0 {
		w.quoted(`,"description":`, t.Description)
	}
	w.add(`,"input_schema":`)
	w.json(t.Schema, `{"type":"object"}`)
	if t.Strict {
		w.add(`,"strict":true`)
	}
	if i+1 < len(w.c.Tools) && w.c.Tools[i+1].CachePoint {
		w.cacheControl(nil)
	}
	w.b = append(w.b, '}')
}

func (w *writer) format() {
	if f := w.c.Format; f != nil {
		w.add(`,"output_config":{"format":{"type":"json_schema","schema":`)
		w.json(f.Schema, `{"type":"object"}`)
		w.add(`}}`)
	}
}

// readExtra sorts additionalModelRequestFields: what goes to a header, what
// joins a member that the conversation has too, and the rest.
func (w *writer) readExtra() error {
	if len(w.c.Extra) == 0 {
		return nil
	}
	all, err := object(w.c.Extra)
	if err != nil {
		return outcrop.Invalid("additionalModelRequestFields" + err.Error())
	}
	for _, f := range all {
		if err := w.sort(f); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) sort(f field) error {
	name := string(f.k)
	switch name {
	case "anthropic_beta":
		var err error
		w.beta, err = betaHeader(f.v)
		return err
	case "anthropic_version":
		return nil
	case "tools":
		inside := bytes.TrimSpace(f.v)
		if len(inside) < 2 || inside[0] != '[' {
			return outcrop.Invalid("additionalModelRequestFields.tools: Input should be a valid list")
		}
		w.extraTools = bytes.TrimSpace(inside[1 : len(inside)-1])
		return nil
	}
	if printable(f.k) != name || w.conflicts(strings.ToLower(name)) {
		return outcrop.Invalid("additionalModelRequestFields: the member " + printable(f.k) +
			" conflicts with a member of the request. Remove it and try again.")
	}
	if w.o.Count && name != "thinking" {
		return nil
	}
	w.hasMax = w.hasMax || name == "max_tokens"
	w.extra = append(w.extra, f)
	return nil
}

// conflicts reports whether the request itself says what the member of
// additionalModelRequestFields would say again.
func (w *writer) conflicts(name string) bool {
	inf := &w.c.Inference
	switch name {
	case "model", "messages", "stream":
		return true
	case "system":
		return len(w.c.System) > 0
	case "tool_choice":
		return w.c.ToolChoice.Kind != outcrop.ToolChoiceNone
	case "max_tokens":
		return inf.MaxTokens > 0
	case "temperature":
		return inf.Temperature != nil
	case "top_p":
		return inf.TopP != nil
	case "top_k":
		return inf.TopK != nil
	case "stop_sequences":
		return len(inf.Stop) > 0
	case "output_config", "output_format":
		return w.c.Format != nil
	}
	return false
}

func (w *writer) appendExtra() {
	for _, f := range w.extra {
		w.b = append(w.b, ',', '"')
		w.b = append(w.b, f.k...)
		w.b = append(w.b, '"', ':')
		w.b = append(w.b, f.v...)
	}
}

// betaHeader turns the array anthropic_beta of Bedrock's bodies into the
// value of the anthropic-beta header.
func betaHeader(v []byte) (string, error) {
	wrong := outcrop.Invalid("anthropic_beta: Input should be a valid list of names")
	all, err := elements(v)
	if err != nil {
		return "", wrong
	}
	var b []byte
	for _, e := range all {
		if len(e) < 3 || len(e) > 100 || e[0] != '"' || len(b) > 1000 {
			return "", wrong
		}
		for _, c := range e[1 : len(e)-1] {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
				return "", wrong
			}
		}
		if b != nil {
			b = append(b, ',')
		}
		b = append(b, e[1:len(e)-1]...)
	}
	return string(b), nil
}

// AppendNative appends a body of InvokeModel, as it stands but for what must
// differ, to dst: model and stream are put in, anthropic_version is taken
// out, anthropic_beta becomes beta, the value for the anthropic-beta header,
// and max_tokens is put in if absent. An error is an *outcrop.Error of code
// ValidationException.
func AppendNative(dst, body []byte, o Options) (out []byte, beta string, err error) {
	wrong := outcrop.Invalid(malformed)
	w := writer{b: dst, o: o, c: &outcrop.Conversation{}}
	s := jsonscan.Scanner{B: body}
	if !s.Eat('{') {
		return dst, "", wrong
	}
	var n native
	for i := 0; ; {
		k, more, ok := s.Key(&i)
		if !ok {
			return dst, "", wrong
		}
		if !more {
			break
		}
		v, ok := s.Value()
		if !ok || !n.take(k, v, &o) {
			return dst, "", wrong
		}
	}
	if !s.End() {
		return dst, "", wrong
	}
	if n.beta != nil {
		if beta, err = betaHeader(n.beta); err != nil {
			return dst, "", err
		}
	}
	w.hasMax = n.hasMax
	w.head()
	for i := range n.count {
		f := &n.kept[i]
		w.quoted(",", f.k)
		w.b = append(w.b, ':')
		w.b = append(w.b, f.v...)
	}
	return append(w.b, '}'), beta, nil
}

// native collects the members of a body that passes. It is an array so that
// it can live on the stack.
type native struct {
	kept   [maxMembers]field
	count  int
	beta   []byte
	hasMax bool
}

// disguised reports whether k, which is none of the members that are not the
// caller's to choose, is one for an engine whose JSON decoder does not regard
// case, such as Go's.
func disguised(k []byte) bool {
	return bytes.EqualFold(k, []byte("model")) || bytes.EqualFold(k, []byte("stream")) || bytes.EqualFold(k, []byte("max_tokens"))
}

// take sorts one member; false if the body cannot pass.
func (n *native) take(k, v []byte, o *Options) bool {
	if !jsonscan.Clean(k) || bytes.IndexByte(k, '\\') >= 0 || n.count == maxMembers {
		return false // an escaped name could hide one of those below
	}
	switch string(k) {
	case "model", "stream", "anthropic_version":
		return true
	case "anthropic_beta":
		n.beta = v
		return true
	case "max_tokens":
		n.hasMax = true
	default:
		if disguised(k) {
			return false
		}
	}
	if o.Count && !oneOf(string(k), "messages", "system", "tools", "tool_choice", "thinking") {
		return true
	}
	for i := range n.count {
		if bytes.Equal(n.kept[i].k, k) {
			return false
		}
	}
	n.kept[n.count] = field{k, v}
	n.count++
	return true
}
