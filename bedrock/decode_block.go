package bedrock

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"

	"github.com/outcrop/outcrop"
)

// The limits of one request [BEDROCK.md 3.2].
const (
	maxImages        = 20
	maxImageBytes    = 3_932_160 // 3.75 MB
	maxDocuments     = 5
	maxDocumentBytes = 4_718_592 // 4.5 MB
)

// The members of the unions of content, by where they stand.
var (
	inSystem  = []string{"text", "guardContent", "cachePoint"}
	inMessage = []string{"text", "image", "document", "video", "audio", "toolUse", "toolResult", "guardContent",
		"cachePoint", "reasoningContent", "citationsContent", "searchResult"}
	inResult = []string{"json", "text", "image", "document", "video", "searchResult"}
)

// content appends the blocks of an array. A text must not be blank, but in a
// tool's result.
func (d *decoder) content(dst []outcrop.Block, at string, union []string) ([]outcrop.Block, error) {
	err := d.elements(func(i int) error {
		if err := d.part(); err != nil {
			return err
		}
		at := at + "." + strconv.Itoa(i)
		return d.members(func(name string) (err error) {
			if !slices.Contains(union, name) {
				return d.skip()
			}
			from := len(dst)
			dst, err = d.block(dst, name, at)
			if err == nil && name == "text" && union[0] == "text" && dst[from].Text.Blank() {
				return outcrop.Invalid(blank("ContentBlock", at))
			}
			return err
		})
	})
	return dst, err
}

// block appends what the member of a content union stands for: usually one
// block, none for citations without text, two for a document with context.
func (d *decoder) block(dst []outcrop.Block, name, at string) ([]outcrop.Block, error) {
	at += "." + name
	b := outcrop.Block{Kind: outcrop.BlockText}
	var err error
	switch name {
	case "text":
		err = d.text(&b.Text)
	case "json":
		var v outcrop.JSON
		err = d.json(&v)
		b.Text = outcrop.Quote(string(v))
	case "image":
		b.Kind = outcrop.BlockImage
		b.Media, err = d.image(at)
	case "document":
		return d.document(dst, at)
	case "guardContent":
		err = d.members(func(name string) error { return d.guarded(&b, name, at) })
	case "searchResult":
		b.Text, err = d.searchResult(at)
	case "citationsContent":
		b.Text, err = d.cited()
		if len(b.Text) == 0 {
			return dst, err
		}
	case "toolUse":
		b.Kind = outcrop.BlockToolUse
		b.Use, err = d.toolUse(at)
	case "toolResult":
		b.Kind = outcrop.BlockToolResult
		b.Result, err = d.toolResult(at)
	case "cachePoint":
		b.Kind = outcrop.BlockCachePoint
		err = d.cachePoint(&b.Text)
	case "reasoningContent":
		err = d.members(func(name string) error { return d.reasoning(&b, name) })
	default: // video, audio
		return dst, unsupported(at)
	}
	return append(dst, b), err
}

// guarded decodes a guardContent block: without guardrails it is what it
// holds.
func (d *decoder) guarded(b *outcrop.Block, name, at string) (err error) {
	switch name {
	case "image":
		b.Kind = outcrop.BlockImage
		b.Media, err = d.image(at + "." + name)
		return err
	case "text":
		return d.members(func(name string) error {
			if name != "text" {
				return d.skip()
			}
			return d.text(&b.Text)
		})
	}
	return d.skip()
}

func (d *decoder) cachePoint(ttl *outcrop.Text) error {
	return d.members(func(name string) error {
		if name != "ttl" {
			return d.skip()
		}
		return d.ident(ttl)
	})
}

func (d *decoder) reasoning(b *outcrop.Block, name string) error {
	switch name {
	case "redactedContent":
		b.Kind = outcrop.BlockRedacted
		return d.base64(&b.Text)
	case "reasoningText":
		b.Kind = outcrop.BlockReasoning
	default:
		return d.skip()
	}
	return d.members(func(name string) error {
		switch name {
		case "text":
			return d.text(&b.Text)
		case "signature":
			return d.text(&b.Signature)
		}
		return d.skip()
	})
}

// cited joins the texts of a citationsContent; whom it cites is lost.
func (d *decoder) cited() (text outcrop.Text, err error) {
	err = d.members(func(name string) error {
		if name != "content" {
			return d.skip()
		}
		return d.texts(&text, nil)
	})
	return text, err
}

// texts appends the text members of an array of objects to dst, with between
// between them.
func (d *decoder) texts(dst *outcrop.Text, between []byte) error {
	return d.elements(func(i int) error {
		return d.members(func(name string) error {
			var part outcrop.Text
			if name != "text" {
				return d.skip()
			}
			err := d.text(&part)
			if i > 0 {
				*dst = append(*dst, between...)
			}
			*dst = append(*dst, part...)
			return err
		})
	})
}

// searchResult renders a search result as the text that a model reads.
func (d *decoder) searchResult(at string) (outcrop.Text, error) {
	var source, title, content outcrop.Text
	err := d.members(func(name string) error {
		switch name {
		case "source":
			return d.text(&source)
		case "title":
			return d.text(&title)
		case "content":
			return d.texts(&content, []byte(`\n`))
		case "citations":
			return d.citations(at)
		}
		return d.skip()
	})
	text := append(outcrop.Text("Source: "), source...)
	text = append(append(text, `\nTitle: `...), title...)
	return append(append(text, `\n\n`...), content...), err
}

// citations refuses to promise what no engine keeps.
func (d *decoder) citations(at string) error {
	var enabled bool
	err := d.members(func(name string) error {
		if name != "enabled" {
			return d.skip()
		}
		return d.bool(&enabled)
	})
	if enabled {
		return unsupported(at + ".citations")
	}
	return err
}

func (d *decoder) image(at string) (*outcrop.Media, error) {
	m := &outcrop.Media{}
	err := d.members(func(name string) error {
		switch name {
		case "format":
			return d.string(&m.Format)
		case "source":
			return d.members(func(name string) error { return d.bytes(m, name, at) })
		case "error":
			return unsupported(at + ".error")
		}
		return d.skip()
	})
	d.images++
	switch {
	case err != nil:
		return nil, err
	case d.images > maxImages:
		return nil, outcrop.Invalid(tooMany("images", maxImages))
	case size(m.Base64) > maxImageBytes:
		return nil, outcrop.Invalid(tooLarge("image", at, "3.75"))
	}
	return m, nil
}

// bytes decodes the source of an image.
func (d *decoder) bytes(m *outcrop.Media, name, at string) error {
	switch name {
	case "bytes":
		return d.base64(&m.Base64)
	case "s3Location":
		return unsupported(at + ".source.s3Location")
	}
	return d.skip()
}

// source decodes the source of a document.
func (d *decoder) source(m *outcrop.Media, name, at string) error {
	switch name {
	case "text":
		return d.text(&m.Text)
	case "content":
		return d.texts(&m.Text, []byte(`\n`))
	}
	return d.bytes(m, name, at)
}

// size is how many bytes the base64 stands for.
func size(b outcrop.Text) int {
	return base64.RawStdEncoding.DecodedLen(len(bytes.TrimRight(b, "=")))
}

// base64 reads base64, spelled in one way only: some encoders escape slashes.
func (d *decoder) base64(dst *outcrop.Text) error { return d.ident(dst) }

// document appends a document, and before it its context as a text.
func (d *decoder) document(dst []outcrop.Block, at string) ([]outcrop.Block, error) {
	m := &outcrop.Media{}
	var context outcrop.Text
	err := d.members(func(name string) error {
		switch name {
		case "format":
			return d.string(&m.Format)
		case "name":
			return d.text(&m.Name)
		case "source":
			return d.members(func(name string) error { return d.source(m, name, at) })
		case "context":
			return d.text(&context)
		case "citations":
			return d.citations(at)
		}
		return d.skip()
	})
	if err == nil {
		err = d.settle(m, at)
	}
	if err != nil {
		return dst, err
	}
	if !context.Blank() {
		dst = append(dst, outcrop.Block{Kind: outcrop.BlockText, Text: context})
	}
	return append(dst, outcrop.Block{Kind: outcrop.BlockDocument, Media: m}), nil
}

// settle applies the rules for documents and reads those that are plain text.
func (d *decoder) settle(m *outcrop.Media, at string) error {
	d.documents++
	switch {
	case d.documents > maxDocuments:
		return outcrop.Invalid(tooMany("documents", maxDocuments))
	case !documentName(m.Name.String()):
		return outcrop.Invalid(badDocumentName)
	case size(m.Base64) > maxDocumentBytes:
		return outcrop.Invalid(tooLarge("document", at, "4.5"))
	case m.Format == "" && len(m.Base64) > 0:
		return outcrop.Invalid("The format field in the DocumentBlock object at " + at + " is required for a document given as bytes. Add the format and try again.")
	case m.Format == "":
		m.Format = "txt"
	}
	if len(m.Base64) == 0 || !textual(m.Format) {
		return nil
	}
	plain, err := base64.StdEncoding.DecodeString(string(m.Base64))
	m.Text, m.Base64 = outcrop.Quote(string(plain)), nil
	return err
}

// textual reports whether documents of the format are text that a model can
// read as it is.
func textual(format string) bool {
	return format == "txt" || format == "md" || format == "html" || format == "csv"
}

// documentName reports whether Bedrock takes the name.
func documentName(s string) bool {
	space := false
	for i := range len(s) {
		c := s[i]
		white := c == ' ' || c >= '\t' && c <= '\r'
		if white && space || !white && !nameByte(c) {
			return false
		}
		space = white
	}
	return true
}

func nameByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return c == '-' || c == '(' || c == ')' || c == '[' || c == ']'
}
