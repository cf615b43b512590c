package upstream

import (
	"bytes"
	"io"

	"github.com/outcrop/outcrop"
)

// For tests of the guard, which no connection of a test can reach.
var (
	CheckAddress = checkAddress
	IsLocalName  = isLocalName
)

// DecodeStream passes a stream of the dialect on to out, without a network
// below.
func DecodeStream(dialect string, req *outcrop.Request, stream []byte, out outcrop.Sink) error {
	d := map[string]decoder{"openai": new(openaiDecoder), "anthropic": new(anthropicDecoder), "bedrock": new(bedrockDecoder)}[dialect]
	d.reset(req)
	src := bytes.NewReader(stream)
	for {
		if err := d.fill(src); err == io.EOF {
			return d.end(true, out)
		} else if err != nil {
			return err
		}
		for {
			if ok, err := d.next(out); err != nil || d.outcome().done {
				return err
			} else if !ok {
				break
			}
		}
	}
}
