package native

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/jsonbody"
)

// Nova is the dialect of Amazon Nova, messages-v1, which resembles Converse.
type Nova struct{}

type novaBody struct {
	SchemaVersion *text         `json:"schemaVersion"`
	System        []novaBlock   `json:"system"`
	Messages      []novaMessage `json:"messages"`
	Config        struct {
		MaxTokens    *int           `json:"maxTokens"`
		MaxNewTokens *int           `json:"max_new_tokens"` // an older name of it
		Temperature  number         `json:"temperature"`
		TopP         number         `json:"topP"`
		TopK         number         `json:"topK"`
		Stop         []text         `json:"stopSequences"`
		Reasoning    jsontext.Value `json:"reasoningConfig"`
	} `json:"inferenceConfig"`
	Tools *struct {
		Tools  []novaTool  `json:"tools"`
		Choice *novaChoice `json:"toolChoice"`
	} `json:"toolConfig"`
	Reasoning jsontext.Value `json:"reasoningConfig"`
}

type novaTool struct {
	Spec *struct {
		Name        text `json:"name"`
		Description text `json:"description"`
		Schema      struct {
			JSON jsontext.Value `json:"json"`
		} `json:"inputSchema"`
		Strict bool `json:"strict"`
	} `json:"toolSpec"`
	CachePoint *novaCachePoint `json:"cachePoint"`
}

type novaChoice struct {
	Auto *struct{} `json:"auto"`
	Any  *struct{} `json:"any"`
	Tool *struct {
		Name text `json:"name"`
	} `json:"tool"`
}

const novaVersion = "messages-v1"

// DecodeRequest decodes the body of an InvokeModel call. AWS wants the member
// schemaVersion; without strict a body that lacks it is served with a hint.
// err is an *outcrop.Error with a ValidationException in Bedrock's words;
// strict refuses members that the dialect does not have, which are otherwise
// ignored. c keeps no reference to body.
func (Nova) DecodeRequest(body []byte, strict bool) (c *outcrop.Conversation, hints []string, err error) {
	var b novaBody
	if err := jsonbody.Decode(body, &b, strict); err != nil {
		return nil, nil, err
	}
	switch {
	case b.SchemaVersion != nil && string(*b.SchemaVersion) != novaVersion:
		return nil, nil, jsonbody.NotOneOf("#/schemaVersion", outcrop.Text(*b.SchemaVersion))
	case b.SchemaVersion == nil && strict:
		return nil, nil, jsonbody.Missing("#", "schemaVersion")
	case b.SchemaVersion == nil:
		hints = append(hints, "schemaVersion is missing: taken as "+novaVersion)
	}
	c = &outcrop.Conversation{}
	for _, step := range []func(*outcrop.Conversation) error{b.system, b.messages, b.inference, b.tools} {
		if err := step(c); err != nil {
			return nil, nil, err
		}
	}
	return c, hints, nil
}

func (b *novaBody) system(c *outcrop.Conversation) error {
	for i := range b.System {
		at := fmt.Sprintf("#/system/%d", i)
		block, err := b.System[i].block(at)
		if err != nil {
			return err
		}
		if block.Kind != outcrop.BlockText && block.Kind != outcrop.BlockCachePoint {
			return jsonbody.Missing(at, "text")
		}
		c.System = append(c.System, block)
	}
	return nil
}

func (b *novaBody) inference(c *outcrop.Conversation) (err error) {
	const at = "#/inferenceConfig"
	conf, in := &b.Config, &c.Inference
	if in.MaxTokens, err = limit(at+"/max_new_tokens", conf.MaxNewTokens, 0); err != nil {
		return err
	}
	if in.MaxTokens, err = limit(at+"/maxTokens", conf.MaxTokens, in.MaxTokens); err != nil {
		return err
	}
	if in.Temperature, err = conf.Temperature.within(at+"/temperature", 0, 1); err != nil {
		return err
	}
	if in.TopP, err = conf.TopP.within(at+"/topP", 0, 1); err != nil {
		return err
	}
	if in.TopK, err = conf.TopK.within(at+"/topK", 0, 128); err != nil {
		return err
	}
	if in.Stop, err = stopSequences(at+"/stopSequences", conf.Stop); err != nil {
		return err
	}
	reasoning := b.Reasoning
	if reasoning == nil {
		reasoning = conf.Reasoning
	}
	checked, err := document("#/reasoningConfig", reasoning)
	if checked != nil {
		c.Extra = append(append(outcrop.JSON(`{"reasoningConfig":`), checked...), '}')
	}
	return err
}

func (b *novaBody) tools(c *outcrop.Conversation) error {
	if b.Tools == nil {
		return nil
	}
	if len(b.Tools.Tools) == 0 {
		return jsonbody.Malformed("#/toolConfig/tools: minimum item count: 1, found: 0")
	}
	for i := range b.Tools.Tools {
		tool, err := b.Tools.Tools[i].tool(fmt.Sprintf("#/toolConfig/tools/%d", i))
		if err != nil {
			return err
		}
		c.Tools = append(c.Tools, tool)
	}
	if b.Tools.Choice == nil {
		return nil
	}
	choice, err := b.Tools.Choice.choice("#/toolConfig/toolChoice")
	c.ToolChoice = choice
	return err
}

func (t *novaTool) tool(at string) (outcrop.Tool, error) {
	switch {
	case t.CachePoint != nil && t.Spec == nil:
		return outcrop.Tool{CachePoint: true}, nil
	case t.Spec == nil:
		return outcrop.Tool{}, jsonbody.Missing(at, "toolSpec")
	case t.CachePoint != nil:
		return outcrop.Tool{}, jsonbody.Malformed(at + ": extraneous key [cachePoint] is not permitted")
	case len(t.Spec.Name) == 0:
		return outcrop.Tool{}, jsonbody.Missing(at+"/toolSpec", "name")
	}
	schema := t.Spec.Schema.JSON
	if schema == nil {
		return outcrop.Tool{}, jsonbody.Missing(at+"/toolSpec/inputSchema", "json")
	}
	if schema.Kind() != '{' {
		wrong := jsonbody.Mismatch{Want: "JSONObject", Have: schema.Kind()}
		return outcrop.Tool{}, jsonbody.Malformed(at + "/toolSpec/inputSchema/json: " + wrong.Error())
	}
	checked, err := document(at+"/toolSpec/inputSchema/json", schema)
	return outcrop.Tool{
		Name: outcrop.Text(t.Spec.Name), Description: outcrop.Text(t.Spec.Description),
		Schema: checked, Strict: t.Spec.Strict,
	}, err
}

func (c *novaChoice) choice(at string) (outcrop.ToolChoice, error) {
	set := 0
	var choice outcrop.ToolChoice
	if c.Auto != nil {
		set++
		choice.Kind = outcrop.ToolChoiceAuto
	}
	if c.Any != nil {
		set++
		choice.Kind = outcrop.ToolChoiceAny
	}
	if c.Tool != nil {
		set++
		choice = outcrop.ToolChoice{Kind: outcrop.ToolChoiceTool, Name: outcrop.Text(c.Tool.Name)}
	}
	if set != 1 {
		return choice, oneKey(at, set)
	}
	if c.Tool != nil && len(c.Tool.Name) == 0 {
		return choice, jsonbody.Missing(at+"/tool", "name")
	}
	return choice, nil
}

// oneKey returns the error for a union in which not exactly one key is set.
func oneKey(at string, set int) error {
	return jsonbody.Malformed(fmt.Sprintf("%s: exactly one key must be set, found: %d", at, set))
}
