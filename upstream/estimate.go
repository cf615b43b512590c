package upstream

import (
	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/tokens"
)

const (
	perMessage = 4    // tokens that a chat template puts around a turn
	perImage   = 1000 // about what models charge for a picture of a megapixel
	perFile    = 1000 // a document whose text is not at hand
)

// estimate is about how many input tokens a request has.
func estimate(req *outcrop.Request) int {
	if req.Native != nil {
		return tokens.Count(req.Native.Body)
	}
	c := req.Conversation
	n := blocks(c.System)
	for i := range c.Messages {
		n += perMessage + blocks(c.Messages[i].Content)
	}
	for i := range c.Tools {
		t := &c.Tools[i]
		n += tokens.Count(t.Name) + tokens.Count(t.Description) + tokens.Count(t.Schema)
	}
	return n
}

func blocks(all []outcrop.Block) int {
	n := 0
	for i := range all {
		b := &all[i]
		switch b.Kind {
		case outcrop.BlockText, outcrop.BlockReasoning:
			n += tokens.Count(b.Text)
		case outcrop.BlockImage:
			n += perImage
		case outcrop.BlockDocument:
			n += document(b.Media)
		case outcrop.BlockToolUse:
			n += tokens.Count(b.Use.Name) + tokens.Count(b.Use.Input)
		case outcrop.BlockToolResult:
			n += blocks(b.Result.Content)
		}
	}
	return n
}

func document(m *outcrop.Media) int {
	if len(m.Text) > 0 {
		return tokens.Count(m.Name) + tokens.Count(m.Text)
	}
	return perFile
}
