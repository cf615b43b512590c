package native

import (
	"strings"

	"github.com/outcrop/outcrop"
)

// converse makes a conversation of a prompt. Prompts are written with the
// tokens of the model's chat template; since the engine puts its own template
// around what it gets, the turns are taken out of them: Llama 3's and 4's
// headers, and the [INST] of Llama 2 and Mistral. The start of an answer at
// the end of a prompt becomes the assistant's turn. A prompt without turns, or
// whose turns do not begin with the user's, is one message as it stands.
func converse(prompt text) *outcrop.Conversation {
	whole := outcrop.Text(prompt).String()
	var t turns
	switch {
	case strings.Contains(whole, "<|start_header_id|>"):
		t.headers(whole, llama3)
	case strings.Contains(whole, "<|header_start|>"):
		t.headers(whole, llama4)
	case strings.Contains(whole, "[INST]"):
		t.instructions(whole)
	}
	c := &t.conversation
	if len(c.Messages) == 0 || c.Messages[0].Role != outcrop.RoleUser {
		t = turns{}
		t.say("user", outcrop.Text(prompt))
	}
	return c
}

// turns gathers the turns of a prompt.
type turns struct{ conversation outcrop.Conversation }

// say adds a text to the turn at hand, or begins the other's.
func (t *turns) say(role string, text outcrop.Text) {
	if len(text) == 0 {
		return
	}
	block := outcrop.Block{Kind: outcrop.BlockText, Text: text}
	c := &t.conversation
	who := outcrop.RoleUser
	switch role {
	case "system":
		c.System = append(c.System, block)
		return
	case "assistant":
		who = outcrop.RoleAssistant
	}
	if n := len(c.Messages); n > 0 && c.Messages[n-1].Role == who {
		c.Messages[n-1].Content = append(c.Messages[n-1].Content, block)
		return
	}
	c.Messages = append(c.Messages, outcrop.Message{Role: who, Content: []outcrop.Block{block}})
}

// A template is a way of writing turns under headers.
type template struct {
	start, end string   // around the role
	over       []string // after the text
}

var (
	llama3 = template{"<|start_header_id|>", "<|end_header_id|>", []string{"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"}}
	llama4 = template{"<|header_start|>", "<|header_end|>", []string{"<|eot|>", "<|eom|>", "<|end_of_text|>"}}
)

// headers takes the turns from a prompt with headers. Text before the first
// header is part of no turn, so that the prompt is then left whole.
func (t *turns) headers(prompt string, form template) {
	before, rest, _ := strings.Cut(prompt, form.start)
	if strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(before), "<|begin_of_text|>")) != "" {
		return
	}
	for turn := range strings.SplitSeq(rest, form.start) {
		role, content, _ := strings.Cut(turn, form.end)
		for _, over := range form.over {
			content, _, _ = strings.Cut(content, over)
		}
		t.say(strings.TrimSpace(role), outcrop.Quote(strings.TrimSpace(content)))
	}
}

// instructions takes the turns from a prompt with [INST].
func (t *turns) instructions(prompt string) {
	if _, rest, ok := strings.Cut(prompt, "[SYSTEM_PROMPT]"); ok {
		system, after, _ := strings.Cut(rest, "[/SYSTEM_PROMPT]")
		t.say("system", outcrop.Quote(strings.TrimSpace(system)))
		prompt = after
	}
	answer, rest, more := strings.Cut(prompt, "[INST]")
	for {
		t.say("assistant", outcrop.Quote(strings.TrimSpace(sentence.Replace(answer))))
		if !more {
			return
		}
		user, after, _ := strings.Cut(rest, "[/INST]")
		t.say("user", outcrop.Quote(t.takeSystem(user)))
		answer, rest, more = strings.Cut(after, "[INST]")
	}
}

// sentence takes out the marks of beginning and end.
var sentence = strings.NewReplacer("<s>", "", "</s>", "")

// takeSystem takes Llama 2's system prompt out of a turn and returns the rest.
func (t *turns) takeSystem(user string) string {
	before, rest, ok := strings.Cut(user, "<<SYS>>")
	if !ok {
		return strings.TrimSpace(user)
	}
	system, after, _ := strings.Cut(rest, "<</SYS>>")
	t.say("system", outcrop.Quote(strings.TrimSpace(system)))
	return strings.TrimSpace(before + after)
}
