package gateway

import (
	"fmt"
	"slices"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/config"
	"github.com/outcrop/outcrop/openai"
	"github.com/outcrop/outcrop/upstream"
)

// An engine is a Model with what the edge needs to know of it.
type engine struct {
	model   outcrop.Model
	counter outcrop.Counter
	speaks  []outcrop.Dialect
}

// every is the list of all dialects: what Bedrock itself takes.
var every = []outcrop.Dialect{outcrop.DialectConverse, outcrop.DialectAnthropic, outcrop.DialectOpenAI, outcrop.DialectNova,
	outcrop.DialectTitan, outcrop.DialectLlama, outcrop.DialectMistral}

// engine builds one engine of a card.
func (f *fleet) engine(card *outcrop.Card, e *config.Engine) (engine, error) {
	switch e.Kind {
	case config.KindOpenAI:
		return f.openAI(e)
	case config.KindAnthropic:
		return f.anthropic(e)
	case config.KindBedrock:
		return f.bedrock(card, e)
	case config.KindSim:
		return f.simulator(card, e)
	}
	return engine{}, fmt.Errorf("model %s: unknown kind of engine %q", card.ID, e.Kind)
}

func (f *fleet) openAI(e *config.Engine) (engine, error) {
	m, err := upstream.NewOpenAI(upstream.OpenAIConfig{
		Server: server(e), Model: e.Model, Key: upstream.Secret(e.Key.Value()), Tokenizer: e.Tokenizer,
		Quirks: openai.Options{
			MaxCompletionTokens: e.Quirks.MaxTokens == "max_completion_tokens",
			NoStreamOptions:     !e.Quirks.StreamUsage,
			NoStrict:            !e.Quirks.Strict,
			KeepReasoning:       e.Quirks.KeepReasoning,
			Priorities:          e.Priorities,
		},
	})
	if err != nil {
		return engine{}, err
	}
	f.close = append(f.close, m.Close)
	return engine{m, m, []outcrop.Dialect{outcrop.DialectOpenAI}}, nil
}

func (f *fleet) anthropic(e *config.Engine) (engine, error) {
	m, err := upstream.NewAnthropic(upstream.AnthropicConfig{
		Server: server(e), Model: e.Model, Key: upstream.Secret(e.Key.Value()), NoTokenizer: !e.Tokenizer,
	})
	if err != nil {
		return engine{}, err
	}
	f.close = append(f.close, m.Close)
	return engine{m, m, []outcrop.Dialect{outcrop.DialectAnthropic}}, nil
}

func (f *fleet) bedrock(card *outcrop.Card, e *config.Engine) (engine, error) {
	c := upstream.BedrockConfig{
		Server: server(e), Model: e.Model, Region: e.Region,
		AccessKey: e.AccessKey.Value(), SecretKey: upstream.Secret(e.SecretKey.Value()),
		SessionToken: upstream.Secret(e.SessionToken.Value()), Bearer: upstream.Secret(e.Bearer.Value()),
	}
	if c.Model == "" {
		c.Model = card.ID
	}
	if c.Region == "" {
		c.Region = f.config.Region
	}
	m, err := upstream.NewBedrock(c)
	if err != nil {
		return engine{}, err
	}
	f.close = append(f.close, m.Close)
	return engine{m, m, slices.Clone(every)}, nil
}

func server(e *config.Engine) upstream.Server {
	headers := make(map[string]upstream.Secret, len(e.Headers))
	for name, value := range e.Headers {
		headers[name] = upstream.Secret(value.Value())
	}
	return upstream.Server{Name: e.Name, URL: e.URL, Headers: headers, Timeouts: upstream.Timeouts{
		Connect: e.Timeouts.Connect, FirstToken: e.Timeouts.FirstToken, Answer: e.Timeouts.Answer, Idle: e.Timeouts.Idle,
	}}
}
