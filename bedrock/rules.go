package bedrock

import (
	"strconv"

	"github.com/outcrop/outcrop"
)

// obey checks the rules that bind the parts of a request together.
func (c *Converse) obey(d *decoder) error {
	k := &c.Conversation
	if len(k.Messages) == 0 || k.Messages[0].Role != outcrop.RoleUser {
		return outcrop.Invalid(userFirst)
	}
	used := false
	for i := range k.Messages {
		tools, err := obeyTurn(k.Messages, i)
		if err != nil {
			return err
		}
		used = used || tools
	}
	if used && d.tools == nil {
		return outcrop.Invalid(toolsUndeclared)
	}
	if k.ToolChoice.Kind == outcrop.ToolChoiceTool && !d.tools[string(k.ToolChoice.Name)] {
		return outcrop.Invalid(unknownChoice)
	}
	return nil
}

// obeyTurn checks the i-th message against the one before it, and tells
// whether it has anything to do with tools.
func obeyTurn(all []outcrop.Message, i int) (tools bool, err error) {
	m, at := &all[i], "messages."+strconv.Itoa(i)
	if len(m.Content) == 0 {
		return false, outcrop.Invalid(emptyMessage(at))
	}
	if i > 0 && m.Role == all[i-1].Role {
		return false, outcrop.Invalid(mustAlternate)
	}
	if misplaced := misplaced(m); misplaced != "" {
		return false, outcrop.Invalid(wrongRole(misplaced, at, m.Role))
	}
	uses, results := count(m, outcrop.BlockToolUse), count(m, outcrop.BlockToolResult)
	if count(m, outcrop.BlockDocument) > 0 && count(m, outcrop.BlockText) == 0 {
		return false, outcrop.Invalid(documentAlone)
	}
	if i > 0 || results > 0 {
		if err := pair(all, i, results); err != nil {
			return false, err
		}
	}
	if uses > 0 && i == len(all)-1 {
		return false, outcrop.Invalid(missingResults(i+1, unanswered(m, nil)))
	}
	return uses+results > 0, nil
}

func count(m *outcrop.Message, kind outcrop.BlockKind) (n int) {
	for i := range m.Content {
		if m.Content[i].Kind == kind {
			n++
		}
	}
	return n
}

// misplaced names a kind of content that a message of this role can't hold.
func misplaced(m *outcrop.Message) string {
	if m.Role == outcrop.RoleUser {
		switch {
		case count(m, outcrop.BlockToolUse) > 0:
			return "toolUse"
		case count(m, outcrop.BlockReasoning)+count(m, outcrop.BlockRedacted) > 0:
			return "reasoningContent"
		}
		return ""
	}
	switch {
	case count(m, outcrop.BlockToolResult) > 0:
		return "toolResult"
	case count(m, outcrop.BlockImage) > 0:
		return "image"
	case count(m, outcrop.BlockDocument) > 0:
		return "document"
	}
	return ""
}

// pair demands one result in message i for each tool use in the message
// before it.
func pair(all []outcrop.Message, i, results int) error {
	var before *outcrop.Message
	uses := 0
	if i > 0 {
		before = &all[i-1]
		uses = count(before, outcrop.BlockToolUse)
	}
	if results > uses {
		return outcrop.Invalid(excessResults(i))
	}
	if uses == 0 {
		return nil
	}
	if ids := unanswered(before, &all[i]); len(ids) > 0 {
		return outcrop.Invalid(missingResults(i, ids))
	}
	return nil
}

// maxIDs is how many ids an error names.
const maxIDs = 20

// unanswered returns the ids of the tool uses in asked that have no result in
// answered, which may be nil.
func unanswered(asked, answered *outcrop.Message) (ids []string) {
	results := map[string]bool{}
	if answered != nil {
		for _, b := range answered.Content {
			if b.Kind == outcrop.BlockToolResult {
				results[string(b.Result.ID)] = true
			}
		}
	}
	for _, b := range asked.Content {
		if b.Kind == outcrop.BlockToolUse && !results[string(b.Use.ID)] && len(ids) < maxIDs {
			ids = append(ids, b.Use.ID.String())
		}
	}
	return ids
}
