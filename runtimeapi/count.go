package runtimeapi

import (
	"context"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
)

// runCountTokens serves CountTokens, for both of its inputs.
func (x *exchange) runCountTokens(ctx context.Context) error {
	input, err := bedrock.DecodeCountTokens(x.call.Body, &x.converse)
	if err != nil {
		return err
	}
	x.request.Conversation = &x.converse.Conversation
	if input != nil {
		f := fronts[bodyDialect(x.target.Card.Dialect, input)]
		if x.request.Conversation, _, err = f.decode(input, false); err != nil {
			return err
		}
	}
	n, err := x.target.Counter.CountTokens(ctx, &x.request)
	if err != nil {
		return err
	}
	x.receipt.Usage = outcrop.Usage{}
	x.out = bedrock.AppendCount(x.out[:0], n)
	return x.wire.Answer(200, jsonType, nil, x.out)
}
