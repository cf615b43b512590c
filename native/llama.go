package native

import (
	"fmt"
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonbody"
)

// Llama is the dialect of Meta's Llama models.
type Llama struct{}

type llamaBody struct {
	Prompt      *text  `json:"prompt"`
	MaxTokens   *int   `json:"max_gen_len"`
	Temperature number `json:"temperature"`
	TopP        number `json:"top_p"`
	Images      []text `json:"images"`
}

// Bedrock's defaults for Llama.
const (
	llamaTokens      = 512
	llamaTemperature = "0.5"
	llamaTopP        = "0.9"
)

// DecodeRequest decodes the body of an InvokeModel call. The turns of a
// prompt that is written with Llama's template become the turns of the
// conversation; any other prompt is one message of the user. err is an
// *outcrop.Error with a ValidationException in Bedrock's words; strict
// refuses members that the dialect does not have, which are otherwise
// ignored. c keeps no reference to body.
func (Llama) DecodeRequest(body []byte, strict bool) (c *outcrop.Conversation, hints []string, err error) {
	var b llamaBody
	if err := jsonbody.Decode(body, &b, strict); err != nil {
		return nil, nil, err
	}
	if c, err = fromPrompt(b.Prompt); err != nil {
		return nil, nil, err
	}
	in := &c.Inference
	if in.MaxTokens, err = limit("#/max_gen_len", b.MaxTokens, llamaTokens); err != nil {
		return nil, nil, err
	}
	if in.Temperature, err = b.Temperature.within("#/temperature", 0, 1); err != nil {
		return nil, nil, err
	}
	if in.TopP, err = b.TopP.within("#/top_p", 0, 1); err != nil {
		return nil, nil, err
	}
	if in.Temperature == nil {
		in.Temperature = outcrop.Number(llamaTemperature)
	}
	if in.TopP == nil {
		in.TopP = outcrop.Number(llamaTopP)
	}
	if err := addImages(c, b.Images); err != nil {
		return nil, nil, err
	}
	return c, nil, nil
}

// fromPrompt makes a conversation of the prompt that a body must have.
func fromPrompt(prompt *text) (*outcrop.Conversation, error) {
	if prompt == nil {
		return nil, jsonbody.Missing("#", "prompt")
	}
	if len(*prompt) == 0 {
		return nil, jsonbody.Malformed("#/prompt: expected minLength: 1, actual: 0")
	}
	return converse(*prompt), nil
}

// addImages puts the images in front of the last turn of the user.
func addImages(c *outcrop.Conversation, images []text) error {
	var blocks []outcrop.Block
	for i, image := range images {
		data, ok := base64Text(image)
		format := imageFormat(data)
		if !ok || format == "" {
			return jsonbody.Malformed(fmt.Sprintf("#/images/%d: not the base64 of a PNG, JPEG, GIF or WebP image", i))
		}
		blocks = append(blocks, outcrop.Block{
			Kind: outcrop.BlockImage, Media: &outcrop.Media{Format: format, Base64: data},
		})
	}
	for i := len(c.Messages) - 1; i >= 0 && len(blocks) > 0; i-- {
		if m := &c.Messages[i]; m.Role == outcrop.RoleUser {
			m.Content = append(blocks, m.Content...)
			return nil
		}
	}
	return nil
}

// imageFormat tells the format from the first bytes of an image, which are
// the first letters of its base64.
func imageFormat(data outcrop.Text) string {
	for _, magic := range [...]struct{ letters, format string }{
		{"iVBORw0KGgo", "png"}, {"/9j/", "jpeg"}, {"R0lGOD", "gif"}, {"UklGR", "webp"},
	} {
		if strings.HasPrefix(string(data[:min(len(data), 16)]), magic.letters) {
			return magic.format
		}
	}
	return ""
}

// AppendAnswer appends a whole answer to dst.
func (Llama) AppendAnswer(dst []byte, _ *outcrop.Request, a *outcrop.Answer, r outcrop.Receipt) []byte {
	dst = appendAllText(append(dst, `{"generation":`...), a)
	return appendLlamaEnd(dst, a.Stop, r.Usage)
}

func appendLlamaEnd(dst []byte, stop outcrop.StopReason, u outcrop.Usage) []byte {
	dst = appendCount(dst, `,"prompt_token_count":`, prompted(u))
	dst = appendCount(dst, `,"generation_token_count":`, int64(u.Output))
	dst = append(dst, `,"stop_reason":"`...)
	dst = append(dst, stopOrLength(stop)...)
	return append(dst, `"}`...)
}

// stopOrLength is the stop reason of Llama and Mistral.
func stopOrLength(s outcrop.StopReason) string {
	if s == outcrop.StopMaxTokens || s == outcrop.StopContextExceeded {
		return "length"
	}
	return "stop"
}

// NewChunks returns what makes the chunks of the answer to req.
func (Llama) NewChunks(*outcrop.Request) *TextChunks {
	return &TextChunks{delta: llamaDelta, last: llamaLast}
}

func llamaDelta(dst []byte, t outcrop.Text) []byte {
	dst = appendString(append(dst, `{"generation":`...), t)
	return append(dst, `,"prompt_token_count":null,"generation_token_count":null,"stop_reason":null}`...)
}

func llamaLast(dst []byte, stop outcrop.StopReason, u outcrop.Usage) []byte {
	return appendLlamaEnd(append(dst, `{"generation":""`...), stop, u)
}
