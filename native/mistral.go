package native

import (
	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonbody"
)

// Mistral is the dialect of the Mistral models that take a prompt. For those
// that take messages see IsChat.
type Mistral struct{}

type mistralBody struct {
	Prompt      *text  `json:"prompt"`
	MaxTokens   *int   `json:"max_tokens"`
	Temperature number `json:"temperature"`
	TopP        number `json:"top_p"`
	TopK        number `json:"top_k"`
	Stop        []text `json:"stop"`
}

// DecodeRequest decodes the body of an InvokeModel call. The turns of a
// prompt that is written with [INST] become the turns of the conversation;
// any other prompt is one message of the user. Bedrock's default for
// max_tokens differs from model to model, so none is set here. err is an
// *outcrop.Error with a ValidationException in Bedrock's words; strict
// refuses members that the dialect does not have, which are otherwise
// ignored. c keeps no reference to body.
func (Mistral) DecodeRequest(body []byte, strict bool) (c *outcrop.Conversation, hints []string, err error) {
	var b mistralBody
	if err := jsonbody.Decode(body, &b, strict); err != nil {
		return nil, nil, err
	}
	if c, err = fromPrompt(b.Prompt); err != nil {
		return nil, nil, err
	}
	in := &c.Inference
	if in.MaxTokens, err = limit("#/max_tokens", b.MaxTokens, 0); err != nil {
		return nil, nil, err
	}
	if in.Temperature, err = b.Temperature.within("#/temperature", 0, 1); err != nil {
		return nil, nil, err
	}
	if in.TopP, err = b.TopP.within("#/top_p", 0, 1); err != nil {
		return nil, nil, err
	}
	if in.TopK, err = b.TopK.within("#/top_k", 0, 1000); err != nil {
		return nil, nil, err
	}
	in.Stop, err = stopSequences("#/stop", b.Stop)
	if err != nil {
		return nil, nil, err
	}
	return c, nil, nil
}

// AppendAnswer appends a whole answer to dst.
func (Mistral) AppendAnswer(dst []byte, _ *outcrop.Request, a *outcrop.Answer, _ outcrop.Receipt) []byte {
	dst = appendAllText(append(dst, `{"outputs":[{"text":`...), a)
	dst = append(dst, `,"stop_reason":"`...)
	dst = append(dst, stopOrLength(a.Stop)...)
	return append(dst, `"}]}`...)
}

// NewChunks returns what makes the chunks of the answer to req.
func (Mistral) NewChunks(*outcrop.Request) *TextChunks {
	return &TextChunks{delta: mistralDelta, last: mistralLast}
}

func mistralDelta(dst []byte, t outcrop.Text) []byte {
	dst = appendString(append(dst, `{"outputs":[{"text":`...), t)
	return append(dst, `,"stop_reason":null}]}`...)
}

func mistralLast(dst []byte, stop outcrop.StopReason, _ outcrop.Usage) []byte {
	dst = append(dst, `{"outputs":[{"text":"","stop_reason":"`...)
	dst = append(dst, stopOrLength(stop)...)
	return append(dst, `"}]}`...)
}
