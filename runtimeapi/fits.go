package runtimeapi

import (
	"strconv"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/bedrock"
)

// fits checks a conversation against what the card's model can do.
func fits(c *outcrop.Conversation, card *outcrop.Card) error {
	if limit := card.MaxOutput; limit > 0 && c.Inference.MaxTokens > limit {
		return outcrop.Invalid(bedrock.MaxTokensExceeded(limit))
	}
	if err := fitsExtra(c.Extra, card.MaxOutput); err != nil {
		return err
	}
	if card.Accepts(outcrop.ModalityImage) {
		return nil
	}
	for i := range c.Messages {
		if hasImage(c.Messages[i].Content) {
			return outcrop.Invalid("messages." + strconv.Itoa(i) + ".content: This model doesn't support the image content block that you provided. " +
				"Remove the image, or try again with a model that takes images.")
		}
	}
	return nil
}

func hasImage(blocks []outcrop.Block) bool {
	for i := range blocks {
		b := &blocks[i]
		if b.Kind == outcrop.BlockImage || b.Kind == outcrop.BlockToolResult && hasImage(b.Result.Content) {
			return true
		}
	}
	return false
}
