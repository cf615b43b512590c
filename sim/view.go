package sim

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/outcrop/outcrop"
)

// A view is what the writer looks at in a conversation.
type view struct {
	lastUser  string // the last text of the user, escapes resolved
	lower     string // the same in lower case, '_' and '-' as spaces
	turns     int    // messages of the user
	images    []string
	documents []string
	results   []result // of tools, in the last message
}

type result struct {
	name  string // of the tool, "" if that is not known
	text  string
	error bool
}

// maxLook bounds how much of a text the writer looks at, in bytes.
const maxLook = 16 << 10

func look(c *outcrop.Conversation) view {
	var v view
	uses := map[string]string{}
	for i := range c.Messages {
		m := &c.Messages[i]
		last := i == len(c.Messages)-1
		if m.Role == outcrop.RoleUser {
			v.turns++
		}
		for j := range m.Content {
			v.block(&m.Content[j], m.Role, last, uses)
		}
	}
	v.lower = plain(v.lastUser)
	return v
}

func (v *view) block(b *outcrop.Block, role outcrop.Role, last bool, uses map[string]string) {
	switch b.Kind {
	case outcrop.BlockText:
		if role == outcrop.RoleUser {
			v.lastUser = clip(b.Text).String()
		}
	case outcrop.BlockToolUse:
		uses[string(b.Use.ID)] = b.Use.Name.String()
	case outcrop.BlockImage:
		if last {
			v.images = append(v.images, b.Media.Format)
		}
	case outcrop.BlockDocument:
		if last {
			v.documents = append(v.documents, b.Media.Name.String())
		}
	case outcrop.BlockToolResult:
		if last {
			v.results = append(v.results, result{
				name: uses[string(b.Result.ID)], text: resultText(b.Result), error: b.Result.Error,
			})
		}
	}
}

// clip shortens a long text, between two of its characters.
func clip(t outcrop.Text) outcrop.Text {
	if len(t) <= maxLook {
		return t
	}
	i := 0
	for i < maxLook {
		n := nextChar(t[i:])
		if i+n > maxLook {
			break
		}
		i += n
	}
	return t[:i]
}

// nextChar is the length of the first character of t or, for a pair of
// surrogates, of both.
func nextChar(t outcrop.Text) int {
	switch {
	case t[0] == '\\' && len(t) > 7 && t[1] == 'u' && t[6] == '\\':
		return min(12, len(t))
	case t[0] == '\\' && len(t) > 5 && t[1] == 'u':
		return 6
	case t[0] == '\\':
		return min(2, len(t))
	}
	n := 1
	for n < len(t) && t[n]&0xc0 == 0x80 {
		n++
	}
	return n
}

func resultText(r *outcrop.ToolResult) string {
	for i := range r.Content {
		if b := &r.Content[i]; b.Kind == outcrop.BlockText {
			return clip(b.Text).String()
		}
	}
	return ""
}

// plain makes texts and names of tools comparable.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' {
			return ' '
		}
		return unicode.ToLower(r)
	}, s)
}

// names reports whether the user's last text names the tool: as a whole word,
// '_' and '-' written as spaces or not.
func (v *view) names(tool string) bool {
	name := plain(tool)
	if name == "" {
		return false
	}
	for from := 0; ; {
		i := strings.Index(v.lower[from:], name)
		if i < 0 {
			return false
		}
		start, end := from+i, from+i+len(name)
		if !letterAt(v.lower, start-1) && !letterAt(v.lower, end) {
			return true
		}
		from = end
	}
}

func letterAt(s string, i int) bool {
	if i < 0 || i >= len(s) {
		return false
	}
	c := s[i]
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 0x80
}

// attachments says what came with the last message, "" if nothing did.
func (v *view) attachments() string {
	var parts []string
	if n := len(v.images); n > 0 {
		parts = append(parts, fmt.Sprintf("%s (%s)", count(n, "image"), strings.Join(v.images, ", ")))
	}
	if n := len(v.documents); n > 0 {
		parts = append(parts, fmt.Sprintf("%s (%s)", count(n, "document"), quoteLine(strings.Join(v.documents, ", "), 60)))
	}
	return strings.Join(parts, " and ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// quoteLine is s on one line, no longer than n characters.
func quoteLine(s string, n int) string {
	line := []rune(strings.Join(strings.Fields(s), " "))
	if len(line) > n {
		return string(line[:n-1]) + "…"
	}
	return string(line)
}
