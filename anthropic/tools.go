package anthropic

import "github.com/outcrop/outcrop"

func (d *decoder) tools(f fields) error {
	v := f.get("tools")
	if v == nil {
		return nil
	}
	all, err := elements(v)
	if err != nil {
		return in("tools", err)
	}
	for i, e := range all {
		if err := d.tool(e); err != nil {
			return in(at("tools", i), err)
		}
	}
	return nil
}

func (d *decoder) tool(v []byte) error {
	f, err := object(v)
	if err != nil {
		return err
	}
	if t := f.get("type"); t != nil && string(t) != `"custom"` {
		return fault(".type: Input should be 'custom'")
	}
	if err := f.only("type", "name", "description", "input_schema", "cache_control", "strict", "input_examples"); err != nil && d.strict {
		return in(".custom", err)
	}
	var t outcrop.Tool
	if t.Name, err = f.text("name"); err != nil {
		return in(".custom", err)
	}
	if len(t.Name) == 0 {
		return fault(".custom.name: String should have at least 1 character")
	}
	if f.get("description") != nil {
		if t.Description, err = f.text("description"); err != nil {
			return in(".custom", err)
		}
	}
	schema := f.get("input_schema")
	if schema == nil {
		return fault(".custom.input_schema: Field required")
	}
	if schema[0] != '{' {
		return fault(".custom.input_schema: Input should be a valid dictionary")
	}
	t.Schema = outcrop.JSON(schema)
	t.Strict = string(f.get("strict")) == "true"
	d.c.Tools = append(d.c.Tools, t)
	if _, ok, err := cachePoint(f); err != nil {
		return in(".custom", err)
	} else if ok {
		d.c.Tools = append(d.c.Tools, outcrop.Tool{CachePoint: true})
	}
	return nil
}

func (d *decoder) toolChoice(f fields) error {
	v := f.get("tool_choice")
	if v == nil {
		return nil
	}
	c, err := object(v)
	if err != nil {
		return in("tool_choice", err)
	}
	t, err := c.text("type")
	if err != nil {
		return in("tool_choice", err)
	}
	if len(d.c.Tools) == 0 && string(t) != "none" {
		return fault("tool_choice: may only be specified while providing tools")
	}
	if string(c.get("disable_parallel_tool_use")) == "true" {
		d.hint("tool_choice.disable_parallel_tool_use was ignored: the engine speaks another dialect")
	}
	choice := &d.c.ToolChoice
	switch string(t) {
	case "auto":
		choice.Kind = outcrop.ToolChoiceAuto
	case "any":
		choice.Kind = outcrop.ToolChoiceAny
	case "none":
		d.c.Tools = nil
	case "tool":
		choice.Kind = outcrop.ToolChoiceTool
		if choice.Name, err = c.text("name"); err != nil {
			return in("tool_choice.tool", err)
		}
		if !d.hasTool(choice.Name) {
			return fault("tool_choice.tool.name: Tool '" + printable(choice.Name) + "' not found in provided tools")
		}
	default:
		return fault("tool_choice: Input tag '" + printable(t) + "' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'")
	}
	return nil
}

func (d *decoder) hasTool(name outcrop.Text) bool {
	for i := range d.c.Tools {
		if string(d.c.Tools[i].Name) == string(name) {
			return true
		}
	}
	return false
}

// format reads the JSON schema that the answer must validate against, from
// output_config.format or from its older name output_format.
func (d *decoder) format(f fields) error {
	path, v := "output_format", f.get("output_format")
	if c := f.get("output_config"); c != nil {
		config, err := object(c)
		if err != nil {
			return in("output_config", err)
		}
		if inner := config.get("format"); inner != nil {
			path, v = "output_config.format", inner
		}
	}
	if v == nil {
		return nil
	}
	format, err := object(v)
	if err != nil {
		return in(path, err)
	}
	if t, err := format.text("type"); err != nil || string(t) != "json_schema" {
		return fault(path + ".type: Input should be 'json_schema'")
	}
	schema := format.get("schema")
	if schema == nil || schema[0] != '{' {
		return fault(path + ".schema: Input should be a valid dictionary")
	}
	d.c.Format = &outcrop.Format{Schema: outcrop.JSON(schema)}
	return nil
}
