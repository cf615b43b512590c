package bedrock

import (
	"strconv"
	"strings"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
)

func (d *decoder) toolUse(at string) (*outcrop.ToolUse, error) {
	u := &outcrop.ToolUse{}
	err := d.members(func(name string) error {
		switch name {
		case "toolUseId":
			return d.ident(&u.ID)
		case "name":
			return d.ident(&u.Name)
		case "input":
			return d.json(&u.Input)
		case "type":
			return unsupported(at + ".type")
		}
		return d.skip()
	})
	if err == nil && (len(u.Input) == 0 || u.Input[0] != '{') {
		err = outcrop.Invalid(badInput(at))
	}
	return u, err
}

func (d *decoder) toolResult(at string) (*outcrop.ToolResult, error) {
	r := &outcrop.ToolResult{}
	err := d.members(func(name string) (err error) {
		switch name {
		case "toolUseId":
			return d.ident(&r.ID)
		case "content":
			r.Content, err = d.content(nil, at+".content", inResult)
			return err
		case "status":
			var status string
			err = d.string(&status)
			r.Error = status == "error"
			return err
		case "type":
			return unsupported(at + ".type")
		}
		return d.skip()
	})
	if err == nil && r.Error && len(r.Content) == 0 {
		err = outcrop.Invalid(emptyFailure(at))
	}
	return r, err
}

func (d *decoder) toolConfig(name string) error {
	k := &d.c.Conversation
	switch name {
	case "tools":
		return d.elements(func(i int) error {
			if err := d.part(); err != nil {
				return err
			}
			at := "toolConfig.tools." + strconv.Itoa(i)
			return d.members(func(name string) error { return d.tool(name, at) })
		})
	case "toolChoice":
		return d.members(func(name string) error { return d.choice(&k.ToolChoice, name) })
	}
	return d.skip()
}

// tool appends one element of the list of tools.
func (d *decoder) tool(name, at string) error {
	at += "." + name
	var t outcrop.Tool
	var err error
	switch name {
	case "toolSpec":
		err = d.members(func(name string) error { return d.toolSpec(&t, name) })
		if err == nil {
			err = checkToolSchema(t.Schema, at)
		}
	case "cachePoint":
		t.CachePoint = true
		err = d.cachePoint(new(outcrop.Text))
	case "systemTool":
		return unsupported(at)
	default:
		return d.skip()
	}
	if err == nil && d.tools[string(t.Name)] {
		return outcrop.Invalid(duplicateTool(at))
	}
	if !t.CachePoint {
		d.tools[string(t.Name)] = true
	}
	k := &d.c.Conversation
	k.Tools = append(k.Tools, t)
	return err
}

func (d *decoder) toolSpec(t *outcrop.Tool, name string) error {
	switch name {
	case "name":
		return d.ident(&t.Name)
	case "description":
		return d.text(&t.Description)
	case "inputSchema":
		return d.members(func(name string) error {
			if name != "json" {
				return d.skip()
			}
			return d.json(&t.Schema)
		})
	case "strict":
		return d.bool(&t.Strict)
	}
	return d.skip()
}

// checkToolSchema demands an object whose type, if it has one, is "object".
func checkToolSchema(schema outcrop.JSON, at string) error {
	at += ".inputSchema.json"
	s := jsonscan.Scanner{B: schema}
	if !s.Eat('{') {
		return outcrop.Invalid(badSchema(at))
	}
	for n := 0; ; {
		name, more, ok := s.Key(&n)
		if !ok || !more {
			return nil
		}
		if string(name) == "type" && s.At('"') {
			kind, _ := s.Raw()
			if outcrop.Text(kind).String() != "object" {
				return outcrop.Invalid(badSchema(at))
			}
			return nil
		}
		if !s.Skip() {
			return nil
		}
	}
}

func (d *decoder) choice(c *outcrop.ToolChoice, name string) error {
	switch name {
	case "auto":
		c.Kind = outcrop.ToolChoiceAuto
	case "any":
		c.Kind = outcrop.ToolChoiceAny
	case "tool":
		c.Kind = outcrop.ToolChoiceTool
		return d.members(func(name string) error {
			if name != "name" {
				return d.skip()
			}
			return d.ident(&c.Name)
		})
	}
	return d.skip()
}

// output decodes a member of outputConfig.
func (d *decoder) output(name string) error {
	if name != "textFormat" {
		return d.skip()
	}
	return d.members(func(name string) error {
		if name != "structure" {
			return d.skip()
		}
		return d.members(func(name string) error {
			if name != "jsonSchema" {
				return d.skip()
			}
			return d.jsonSchema()
		})
	})
}

// jsonSchema decodes the schema that an answer must follow; it is JSON inside
// a string.
func (d *decoder) jsonSchema() error {
	f := &outcrop.Format{}
	d.c.Conversation.Format = f
	err := d.members(func(name string) error {
		switch name {
		case "name":
			return d.text(&f.Name)
		case "description":
			return d.text(&f.Description)
		case "schema":
			var s string
			err := d.string(&s)
			f.Schema = outcrop.JSON(strings.TrimSpace(s))
			return err
		}
		return d.skip()
	})
	if err == nil && (!jsonscan.Valid(f.Schema) || f.Schema[0] != '{') {
		return outcrop.Invalid(badOutputSchema)
	}
	return err
}

// checkPointer demands an RFC 6901 pointer to a member.
func checkPointer(p string, i int) error {
	ok := strings.HasPrefix(p, "/")
	for j := range len(p) {
		if p[j] == '~' && (j+1 == len(p) || p[j+1] != '0' && p[j+1] != '1') {
			ok = false
		}
	}
	if ok {
		return nil
	}
	return outcrop.Invalid("The value at additionalModelResponseFieldPaths." + strconv.Itoa(i) + " isn't a valid JSON Pointer. Provide a JSON Pointer such as /stop_sequence and try again.")
}
