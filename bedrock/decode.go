package bedrock

import (
	"slices"
	"strconv"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonscan"
	"github.com/outcrop/outcrop/shape"
)

// decode is the typed decoder. The shape has been checked before the walk, so
// that the walk meets only valid JSON of the right types, no name twice, and
// unions with one member.
func (c *Converse) decode(body []byte) error {
	if err := checkShape(converseShape, body); err != nil {
		return err
	}
	return c.walk(&jsonscan.Scanner{B: body})
}

// checkShape is Check, with the error that the caller gets.
func checkShape(s *shape.Shape, body []byte) error {
	if err := s.Check(body); err != nil {
		return outcrop.Invalid(err.Error())
	}
	return nil
}

// walk decodes the object that the Scanner stands before.
func (c *Converse) walk(s *jsonscan.Scanner) error {
	d := decoder{Scanner: s, c: c}
	if err := d.members(d.request); err != nil {
		return err
	}
	return c.obey(&d)
}

// A decoder walks a request that has passed its shape.
type decoder struct {
	*jsonscan.Scanner
	c         *Converse
	tools     map[string]bool // the names of toolConfig; nil if it isn't there
	images    int
	documents int
	parts     int
}

// part counts a message, block or tool, before it is decoded.
func (d *decoder) part() error {
	if d.parts++; d.parts > maxParts {
		return outcrop.Invalid("The request has more than " + strconv.Itoa(maxParts) +
			" messages, content blocks and tools. Reduce their number and try again.")
	}
	return nil
}

// errBroken can't happen, since the shape was checked.
var errBroken error = outcrop.Invalid(malformed("#: not as expected"))

// members calls f for each member of an object that is not null. f must move
// over the value.
func (d *decoder) members(f func(name string) error) error {
	if !d.Eat('{') {
		return errBroken
	}
	for n := 0; ; {
		name, more, ok := d.Key(&n)
		if !ok {
			return errBroken
		}
		if !more {
			return nil
		}
		if d.Null() {
			continue
		}
		if err := f(outcrop.Text(name).String()); err != nil {
			return err
		}
	}
}

// elements calls f for each element of an array. f must move over it.
func (d *decoder) elements(f func(i int) error) error {
	if !d.Eat('[') {
		return errBroken
	}
	for n := 0; ; {
		more, ok := d.Elem(&n)
		if !ok {
			return errBroken
		}
		if !more {
			return nil
		}
		if err := f(n - 1); err != nil {
			return err
		}
	}
}

// skip moves over a value that doesn't count.
func (d *decoder) skip() error {
	if !d.Skip() {
		return errBroken
	}
	return nil
}

// text reads a string as it stands on the wire.
func (d *decoder) text(dst *outcrop.Text) error {
	raw, ok := d.Raw()
	if !ok {
		return errBroken
	}
	*dst = raw
	return nil
}

// string reads a string.
func (d *decoder) string(dst *string) error {
	var t outcrop.Text
	err := d.text(&t)
	*dst = t.String()
	return err
}

// ident reads a string and spells it in one way only, so that equal ids have
// equal bytes.
func (d *decoder) ident(dst *outcrop.Text) error {
	if err := d.text(dst); err != nil {
		return err
	}
	for _, b := range *dst {
		if b == '\\' {
			*dst = outcrop.Quote(dst.String())
			break
		}
	}
	return nil
}

// json reads any value as it stands on the wire.
func (d *decoder) json(dst *outcrop.JSON) error {
	d.Space()
	from := d.I
	if !d.Skip() {
		return errBroken
	}
	*dst = d.B[from:d.I]
	return nil
}

// bool reads a boolean.
func (d *decoder) bool(dst *bool) (err error) {
	v, ok := d.Bool()
	if !ok {
		return errBroken
	}
	*dst = v
	return nil
}

// request decodes one member of the request.
func (d *decoder) request(name string) error {
	k := &d.c.Conversation
	switch name {
	case "messages":
		return d.messages()
	case "system":
		return d.system()
	case "inferenceConfig":
		return d.members(d.inference)
	case "toolConfig":
		d.tools = map[string]bool{}
		return d.members(d.toolConfig)
	case "guardrailConfig":
		return d.members(d.guardrail)
	case "additionalModelRequestFields":
		return d.extra()
	case "promptVariables":
		return unsupported(name)
	case "additionalModelResponseFieldPaths":
		return d.elements(func(i int) error {
			var p string
			if err := d.string(&p); err != nil {
				return err
			}
			k.ResponseFields = append(k.ResponseFields, p)
			return checkPointer(p, i)
		})
	case "requestMetadata":
		return d.members(func(key string) error {
			var v string
			err := d.string(&v)
			d.c.Metadata = append(d.c.Metadata, outcrop.Metadata{Key: key, Value: v})
			return err
		})
	case "performanceConfig":
		return d.members(func(name string) error { return d.named(name, "latency", (*string)(&d.c.Latency)) })
	case "serviceTier":
		return d.members(func(name string) error { return d.named(name, "type", (*string)(&d.c.Tier)) })
	case "outputConfig":
		return d.members(d.output)
	}
	return d.skip()
}

// named reads a string if the member has the wanted name.
func (d *decoder) named(name, want string, dst *string) error {
	if name != want {
		return d.skip()
	}
	return d.string(dst)
}

// guardrail refuses a guardrail: none can exist here.
func (d *decoder) guardrail(name string) error {
	if name != "guardrailIdentifier" && name != "guardrailVersion" {
		return d.skip()
	}
	var v string
	if err := d.string(&v); err != nil || v == "" {
		return err
	}
	return outcrop.Invalid(noGuardrail)
}

func (d *decoder) extra() error {
	k := &d.c.Conversation
	object := d.At('{')
	if err := d.json(&k.Extra); err != nil {
		return err
	}
	if !object {
		return outcrop.Invalid(malformed("#/additionalModelRequestFields: expected type: JSONObject"))
	}
	return nil
}

func (d *decoder) inference(name string) error {
	f := &d.c.Conversation.Inference
	ok := true
	switch name {
	case "maxTokens":
		f.MaxTokens, ok = d.Int()
	case "temperature":
		f.Temperature, ok = d.number()
	case "topP":
		f.TopP, ok = d.number()
	case "stopSequences":
		return d.elements(func(int) error {
			f.Stop = append(f.Stop, nil)
			return d.text(&f.Stop[len(f.Stop)-1])
		})
	default:
		return d.skip()
	}
	if !ok {
		return errBroken
	}
	return nil
}

func (d *decoder) number() (outcrop.Number, bool) {
	raw, ok := d.Number()
	return raw, ok
}

// messages decodes the turns; their blocks lie in one array.
func (d *decoder) messages() error {
	k := &d.c.Conversation
	return d.elements(func(i int) error {
		if err := d.part(); err != nil {
			return err
		}
		var m outcrop.Message
		from := len(d.c.blocks)
		at := "messages." + strconv.Itoa(i)
		err := d.members(func(name string) (err error) {
			switch name {
			case "role":
				var role string
				err = d.string(&role)
				if m.Role = outcrop.RoleUser; role == "assistant" {
					m.Role = outcrop.RoleAssistant
				}
				return err
			case "content":
				d.c.blocks, err = d.content(d.c.blocks, at+".content", inMessage)
				return err
			}
			return d.skip()
		})
		m.Content = d.c.blocks[from:len(d.c.blocks):len(d.c.blocks)]
		k.Messages = append(k.Messages, m)
		return err
	})
}

func (d *decoder) system() error {
	k := &d.c.Conversation
	return d.elements(func(i int) error {
		if err := d.part(); err != nil {
			return err
		}
		at := "system." + strconv.Itoa(i)
		return d.members(func(name string) (err error) {
			if !slices.Contains(inSystem, name) {
				return d.skip()
			}
			from := len(k.System)
			k.System, err = d.block(k.System, name, at)
			for _, b := range k.System[from:] {
				switch {
				case b.Kind == outcrop.BlockText && b.Text.Blank():
					return outcrop.Invalid(blank("SystemContentBlock", at))
				case b.Kind == outcrop.BlockImage:
					return unsupported(at + ".guardContent.image")
				}
			}
			return err
		})
	})
}
