package simapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/openai"
)

// A form is one of the two kinds of inference that OpenAI's API has.
type form struct {
	decode func(body []byte) (*outcrop.Conversation, error)
	answer func(req *outcrop.Request, a *outcrop.Answer, r outcrop.Receipt) []byte
	chunks func(req *outcrop.Request) encoder
}

// An encoder makes the chunks of a stream; of the last one usage is the last
// member.
type encoder interface {
	Encode(e outcrop.Event, emit func(chunk []byte))
	End(r outcrop.Receipt, emit func(chunk []byte))
}

var chatForm = form{
	decode: decodeChat,
	answer: func(req *outcrop.Request, a *outcrop.Answer, r outcrop.Receipt) []byte {
		return openai.AppendAnswer(nil, req, a, r)
	},
	chunks: func(req *outcrop.Request) encoder { return openai.NewChunks(req) },
}

var completionForm = form{
	decode: decodeCompletion,
	answer: appendCompletion,
	chunks: func(req *outcrop.Request) encoder { return &completionChunks{req: req} },
}

func (h *Handler) chat(w http.ResponseWriter, r *http.Request)     { h.infer(w, r, &chatForm) }
func (h *Handler) complete(w http.ResponseWriter, r *http.Request) { h.infer(w, r, &completionForm) }

func (h *Handler) infer(w http.ResponseWriter, r *http.Request, f *form) {
	c, m, body, err := h.open(w, r)
	if err != nil {
		fail(w, err)
		return
	}
	conversation, err := f.decode(body)
	if err != nil {
		fail(w, err)
		return
	}
	req := c.request(m, r, conversation)
	if c.Stream {
		stream(w, r, m, req, f.chunks(req), c.StreamOptions.IncludeUsage)
		return
	}
	var a outcrop.Answer
	receipt, err := m.Model.Invoke(r.Context(), req, &a)
	if err != nil {
		refuse(w, r, err)
		return
	}
	write(w, f.answer(req, &a, receipt))
}

// open reads a body and finds the model that it names.
func (h *Handler) open(w http.ResponseWriter, r *http.Request) (c common, m *Model, body []byte, err error) {
	if body, err = readBody(w, r); err != nil {
		return c, nil, nil, err
	}
	if c, err = parse(body); err != nil {
		return c, nil, nil, err
	}
	m, err = h.find(c.Model)
	return c, m, body, err
}

// refuse answers with an error, or not at all where the caller has gone or
// the answer was to break off.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil || errors.Is(err, outcrop.CodeModelStream) {
		panic(http.ErrAbortHandler)
	}
	fail(w, err)
}

// tokenize counts as vLLM's endpoint does. The ids of the tokens are not
// known, since there is no vocabulary.
func (h *Handler) tokenize(w http.ResponseWriter, r *http.Request) {
	c, m, body, err := h.open(w, r)
	if err != nil {
		fail(w, err)
		return
	}
	n, err := h.count(r, &c, m, body)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, map[string]any{"count": n, "max_model_len": m.Card.Context, "tokens": []int{}})
}

func (h *Handler) count(r *http.Request, c *common, m *Model, body []byte) (int, error) {
	if m.Counter == nil {
		return 0, &outcrop.Error{Code: outcrop.CodeNotFound, Message: "The model has no tokenizer."}
	}
	var has struct {
		Messages json.RawMessage `json:"messages"`
	}
	decode := decodeCompletion
	if json.Unmarshal(body, &has) == nil && len(has.Messages) > 0 {
		decode = decodeChat
	}
	conversation, err := decode(body)
	if err != nil {
		return 0, err
	}
	return m.Counter.CountTokens(r.Context(), c.request(m, r, conversation))
}

// appendCompletion makes a whole text completion.
func appendCompletion(req *outcrop.Request, a *outcrop.Answer, r outcrop.Receipt) []byte {
	dst := append(completionHead(req), `"text":"`...)
	for i := range a.Content {
		if a.Content[i].Kind == outcrop.BlockText {
			dst = append(dst, a.Content[i].Text...)
		}
	}
	dst = append(append(dst, `","logprobs":null,"finish_reason":"`...), finishReason(a.Stop)...)
	return appendUsage(append(dst, `"}]`...), r.Usage)
}

func completionHead(req *outcrop.Request) []byte {
	dst := outcrop.AppendQuote([]byte(`{"id":"cmpl-`), req.ID)
	dst = append(dst, `","object":"text_completion","created":`...)
	dst = strconv.AppendInt(dst, req.Received.Unix(), 10)
	dst = outcrop.AppendQuote(append(dst, `,"model":"`...), req.Card.ID)
	return append(dst, `","choices":[{"index":0,`...)
}

// appendUsage appends usage as the last member and closes the object.
func appendUsage(dst []byte, u outcrop.Usage) []byte {
	prompt := u.Input + u.CacheRead + u.CacheWrite
	dst = append(dst, `,"usage":{"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, int64(prompt), 10)
	dst = append(dst, `,"completion_tokens":`...)
	dst = strconv.AppendInt(dst, int64(u.Output), 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, int64(prompt+u.Output), 10)
	return append(dst, "}}"...)
}

func finishReason(s outcrop.StopReason) string {
	if s == outcrop.StopMaxTokens || s == outcrop.StopContextExceeded {
		return "length"
	}
	return "stop"
}

// completionChunks makes the chunks of a streamed text completion.
type completionChunks struct {
	req  *outcrop.Request
	stop outcrop.StopReason
}

// Encode implements encoder.
func (c *completionChunks) Encode(e outcrop.Event, emit func([]byte)) {
	switch {
	case e.Kind == outcrop.EventStop:
		c.stop = e.More().Stop
	case e.Kind == outcrop.EventDelta && e.Block == outcrop.BlockText:
		dst := append(append(completionHead(c.req), `"text":"`...), e.Text...)
		emit(append(dst, `","logprobs":null,"finish_reason":null}]}`...))
	}
}

// End implements encoder.
func (c *completionChunks) End(r outcrop.Receipt, emit func([]byte)) {
	dst := append(completionHead(c.req), `"text":"","logprobs":null,"finish_reason":"`...)
	dst = append(append(dst, finishReason(c.stop)...), `"}]`...)
	emit(appendUsage(dst, r.Usage))
}
