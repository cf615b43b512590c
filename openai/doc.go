// Package openai translates between the dictionary and OpenAI's chat
// completions dialect, in both directions: towards engines that speak it
// (vLLM, SGLang, llama.cpp, Ollama, TGI, transformers serve, clouds), and
// towards callers whose InvokeModel bodies are chat completions.
//
// The package does no I/O. What goes to an engine is appended by hand, and
// what comes from one is scanned in place, so that a text conversation costs
// no allocation in either direction.
package openai
