// Package bedrock is the dialect of Amazon Bedrock's runtime: requests,
// answers, event streams and errors of Converse and its relatives, to and from
// the words of package outcrop.
package bedrock

import "github.com/outcrop/outcrop"

// A Converse is a decoded Converse or ConverseStream request. It is reusable:
// Decode keeps the memory of earlier requests. It is used by one goroutine at
// a time.
type Converse struct {
	// Conversation borrows its bytes from the body that was decoded.
	Conversation outcrop.Conversation
	Tier         outcrop.ServiceTier // empty if not asked for
	Latency      outcrop.Latency     // empty if not asked for
	Metadata     []outcrop.Metadata

	blocks []outcrop.Block // of all messages
}

// Decode reads the body of a request: the common text request by a scanner
// that allocates nothing once warm, and all that it declines by the typed
// decoder, which checks every constraint of the API's model. Then it applies
// the rules that Bedrock applies to conversations. The error is an
// *outcrop.Error with a ValidationException in AWS's words, bounded and
// without prompts.
//
// What can't be honoured here is refused with an error that names the member:
// guardrails, prompt variables, video, audio, objects in S3, system tools and
// citations.
func (c *Converse) Decode(body []byte) error {
	c.Reset()
	if c.scan(body) {
		return nil
	}
	c.Reset()
	return c.decode(body)
}

// maxParts bounds the messages, content blocks and tools of one request,
// taken together. Decoded, one takes up to twenty times its bytes. It is as
// many as the Messages API takes messages.
const maxParts = 100_000

// parts is how many messages and blocks were decoded so far. Those of tool
// results are not among them.
func (c *Converse) parts() int {
	return len(c.Conversation.Messages) + len(c.Conversation.System) + len(c.blocks)
}

// maxKept is how many blocks and messages stay in memory between requests.
const maxKept = 1024

// Reset forgets the request and keeps the memory, unless it is much.
func (c *Converse) Reset() {
	k := &c.Conversation
	*c = Converse{
		Conversation: outcrop.Conversation{
			System:    forget(k.System),
			Messages:  forget(k.Messages),
			Inference: outcrop.Inference{Stop: forget(k.Inference.Stop)},
		},
		blocks: forget(c.blocks),
	}
}

// forget returns s emptied, without what its elements referred to.
func forget[T any](s []T) []T {
	if cap(s) > maxKept {
		return nil
	}
	clear(s)
	return s[:0]
}
