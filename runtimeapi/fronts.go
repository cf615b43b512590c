package runtimeapi

import (
	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/anthropic"
	"github.com/outcrop/outcrop/native"
	"github.com/outcrop/outcrop/openai"
)

// A front is one native body format of InvokeModel.
type front struct {
	decode func(body []byte, strict bool) (*outcrop.Conversation, []string, error)
	answer func(dst []byte, req *outcrop.Request, a *outcrop.Answer, r outcrop.Receipt) []byte
	chunks func(req *outcrop.Request) chunker
}

// A chunker encodes events as the native chunks of one stream.
type chunker interface {
	Encode(e outcrop.Event, emit func(chunk []byte))
	End(r outcrop.Receipt, emit func(chunk []byte))
}

var fronts = map[outcrop.Dialect]front{
	outcrop.DialectAnthropic: {anthropic.DecodeRequest, anthropic.AppendAnswer,
		func(r *outcrop.Request) chunker { return anthropic.NewChunks(r) }},
	outcrop.DialectOpenAI: {openai.DecodeRequest, openai.AppendAnswer,
		func(r *outcrop.Request) chunker { return openai.NewChunks(r) }},
	outcrop.DialectNova: {native.Nova{}.DecodeRequest, native.Nova{}.AppendAnswer,
		func(r *outcrop.Request) chunker { return native.Nova{}.NewChunks(r) }},
	outcrop.DialectTitan: {native.Titan{}.DecodeRequest, native.Titan{}.AppendAnswer,
		func(r *outcrop.Request) chunker { return native.Titan{}.NewChunks(r) }},
	outcrop.DialectLlama: {native.Llama{}.DecodeRequest, native.Llama{}.AppendAnswer,
		func(r *outcrop.Request) chunker { return native.Llama{}.NewChunks(r) }},
	outcrop.DialectMistral: {native.Mistral{}.DecodeRequest, native.Mistral{}.AppendAnswer,
		func(r *outcrop.Request) chunker { return native.Mistral{}.NewChunks(r) }},
}

// bodyDialect is the dialect of a body for a model whose card says d: models
// that take a prompt also take OpenAI's messages.
func bodyDialect(d outcrop.Dialect, body []byte) outcrop.Dialect {
	if (d == outcrop.DialectLlama || d == outcrop.DialectMistral) && native.IsChat(body) {
		return outcrop.DialectOpenAI
	}
	return d
}
