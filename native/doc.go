// Package native translates the InvokeModel bodies that are neither OpenAI's
// nor Anthropic's between callers and the dictionary: Nova's, which resembles
// Converse, and the text completions of Titan, Llama and Mistral. No engine
// speaks these, so each type has only the caller's side: DecodeRequest for
// the body, AppendAnswer for a whole answer, NewChunks for a streamed one.
//
// The package does no I/O.
package native
