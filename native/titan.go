package native

import (
	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonbody"
)

// Titan is the dialect of Amazon Titan Text.
type Titan struct{}

type titanBody struct {
	InputText *text `json:"inputText"`
	Config    struct {
		MaxTokens   *int   `json:"maxTokenCount"`
		Temperature number `json:"temperature"`
		TopP        number `json:"topP"`
		Stop        []text `json:"stopSequences"`
	} `json:"textGenerationConfig"`
}

// titanTokens is Bedrock's default for maxTokenCount.
const titanTokens = 512

// DecodeRequest decodes the body of an InvokeModel call. inputText becomes
// one message of the user. err is an *outcrop.Error with a
// ValidationException in Bedrock's words; strict refuses members that the
// dialect does not have, which are otherwise ignored. c keeps no reference to
// body.
func (Titan) DecodeRequest(body []byte, strict bool) (c *outcrop.Conversation, hints []string, err error) {
	var b titanBody
	if err := jsonbody.Decode(body, &b, strict); err != nil {
		return nil, nil, err
	}
	if b.InputText == nil {
		return nil, nil, jsonbody.Missing("#", "inputText")
	}
	if len(*b.InputText) == 0 {
		return nil, nil, jsonbody.Malformed("#/inputText: expected minLength: 1, actual: 0")
	}
	const at = "#/textGenerationConfig"
	c = &outcrop.Conversation{}
	in := &c.Inference
	if in.MaxTokens, err = limit(at+"/maxTokenCount", b.Config.MaxTokens, titanTokens); err != nil {
		return nil, nil, err
	}
	if in.Temperature, err = b.Config.Temperature.within(at+"/temperature", 0, 1); err != nil {
		return nil, nil, err
	}
	if in.TopP, err = b.Config.TopP.within(at+"/topP", 0, 1); err != nil {
		return nil, nil, err
	}
	if in.Stop, err = stopSequences(at+"/stopSequences", b.Config.Stop); err != nil {
		return nil, nil, err
	}
	c.Messages = []outcrop.Message{{
		Role:    outcrop.RoleUser,
		Content: []outcrop.Block{{Kind: outcrop.BlockText, Text: outcrop.Text(*b.InputText)}},
	}}
	return c, nil, nil
}

// AppendAnswer appends a whole answer to dst.
func (Titan) AppendAnswer(dst []byte, _ *outcrop.Request, a *outcrop.Answer, r outcrop.Receipt) []byte {
	dst = appendCount(dst, `{"inputTextTokenCount":`, prompted(r.Usage))
	dst = appendCount(dst, `,"results":[{"tokenCount":`, int64(r.Usage.Output))
	dst = append(dst, `,"outputText":`...)
	dst = appendAllText(dst, a)
	dst = append(dst, `,"completionReason":"`...)
	dst = append(dst, titanReason(a.Stop)...)
	return append(dst, `"}]}`...)
}

// NewChunks returns what makes the chunks of the answer to req.
func (Titan) NewChunks(*outcrop.Request) *TextChunks {
	return &TextChunks{delta: titanDelta, last: titanLast}
}

func titanDelta(dst []byte, t outcrop.Text) []byte {
	dst = appendString(append(dst, `{"outputText":`...), t)
	return append(dst, `,"index":0,"totalOutputTextTokenCount":null,"completionReason":null,"inputTextTokenCount":null}`...)
}

func titanLast(dst []byte, stop outcrop.StopReason, u outcrop.Usage) []byte {
	dst = appendCount(dst, `{"outputText":"","index":0,"totalOutputTextTokenCount":`, int64(u.Output))
	dst = append(dst, `,"completionReason":"`...)
	dst = append(dst, titanReason(stop)...)
	dst = appendCount(dst, `","inputTextTokenCount":`, prompted(u))
	return append(dst, '}')
}

func titanReason(s outcrop.StopReason) string {
	switch s {
	case outcrop.StopMaxTokens, outcrop.StopContextExceeded:
		return "LENGTH"
	case outcrop.StopSequence:
		return "STOP_CRITERIA_MET"
	case outcrop.StopContentFiltered:
		return "CONTENT_FILTERED"
	}
	return "FINISH"
}
