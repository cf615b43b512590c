// Package catalog knows the foundation models and turns what callers write
// (ids, ARNs, inference profiles, contextual variants) into cards.
package catalog

import (
	"cmp"
	"slices"
	"strings"

	"github.com/outcrop/outcrop"
)

// A Catalog is an immutable set of cards, safe for concurrent use. It is
// replaced as a whole when the configuration changes.
type Catalog struct {
	cards map[string]*outcrop.Card
	order []*outcrop.Card
}

// New returns a catalogue of the cards. Of two with the same id the later one
// counts. Cards are copied; what their slices hold is shared.
func New(cards []outcrop.Card) *Catalog {
	c := &Catalog{cards: make(map[string]*outcrop.Card, len(cards))}
	for _, card := range cards {
		c.cards[card.ID] = &card
	}
	for _, card := range c.cards {
		c.order = append(c.order, card)
	}
	slices.SortFunc(c.order, func(a, b *outcrop.Card) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.ID, b.ID))
	})
	return c
}

// Builtin returns a catalogue of the built-in cards.
func Builtin() *Catalog { return New(builtin) }

// Cards returns all cards, sorted by provider and id. The slice is the
// catalogue's own and must not be changed.
func (c *Catalog) Cards() []*outcrop.Card { return c.order }

// Lookup returns the card with exactly this id, or nil.
func (c *Catalog) Lookup(id string) *outcrop.Card { return c.cards[id] }

// Merge returns a catalogue in which cards stand beside those of c. A card
// may be incomplete: what it leaves out comes from the card of c with the same
// id, else from the built-in card, else from what its id tells. Merged models
// are always served on demand, since the operator runs them.
func (c *Catalog) Merge(cards []outcrop.Card) *Catalog {
	all := make([]outcrop.Card, 0, len(c.order)+len(cards))
	for _, card := range c.order {
		all = append(all, *card)
	}
	for _, card := range cards {
		base := c.cards[card.ID]
		if base == nil {
			base = builtinCard(card.ID)
		}
		if base == nil {
			base = guess(card.ID)
		}
		all = append(all, complete(card, base))
	}
	return New(all)
}

// complete fills what card leaves out from base.
func complete(card outcrop.Card, base *outcrop.Card) outcrop.Card {
	card.Name = cmp.Or(card.Name, base.Name)
	card.Provider = cmp.Or(card.Provider, base.Provider)
	card.Dialect = cmp.Or(card.Dialect, base.Dialect)
	card.Context = cmp.Or(card.Context, base.Context)
	card.Lifecycle = cmp.Or(card.Lifecycle, base.Lifecycle)
	card.Unit = cmp.Or(card.Unit, base.Unit)
	card.Price = cmp.Or(card.Price, base.Price)
	card.Streaming = card.Streaming || base.Streaming
	card.Input = or(card.Input, base.Input)
	card.Output = or(card.Output, base.Output)
	card.Customizations = or(card.Customizations, base.Customizations)
	card.Inference = or(card.Inference, base.Inference)
	if !slices.Contains(card.Inference, OnDemand) {
		card.Inference = append([]string{OnDemand}, card.Inference...)
	}
	if card.MaxOutput == 0 {
		card.MaxOutput = base.MaxOutput
		if card.Context > 0 {
			card.MaxOutput = min(card.MaxOutput, card.Context)
		}
	}
	return card
}

func or[T any](s, base []T) []T {
	if len(s) > 0 {
		return s
	}
	return base
}

func builtinCard(id string) *outcrop.Card {
	for i := range builtin {
		if builtin[i].ID == id {
			return &builtin[i]
		}
	}
	return nil
}

// families say what the beginning of an id tells of a model. A longer prefix
// stands before a shorter one.
var families = []struct {
	prefix, provider string
	dialect          outcrop.Dialect
}{
	{"amazon.titan-", "Amazon", outcrop.DialectTitan},
	{"amazon.", "Amazon", outcrop.DialectNova},
	{"anthropic.", "Anthropic", outcrop.DialectAnthropic},
	{"meta.", "Meta", outcrop.DialectLlama},
	{"mistral.", "Mistral AI", outcrop.DialectMistral},
	{"openai.", "OpenAI", outcrop.DialectOpenAI},
	{"qwen.", "Qwen", outcrop.DialectOpenAI},
	{"deepseek.", "DeepSeek", outcrop.DialectOpenAI},
}

// guess returns a card for an id that nothing else is known of. Its limits
// are zero, that is, unknown: the engine's own apply.
func guess(id string) *outcrop.Card {
	card := &outcrop.Card{
		ID: id, Name: id, Provider: "Custom", Dialect: outcrop.DialectOpenAI,
		Input: text, Output: text, Streaming: true, Inference: []string{OnDemand},
		Lifecycle: outcrop.Lifecycle{Status: Active}, Unit: unit(id),
	}
	if provider, rest, found := strings.Cut(id, "."); found && rest != "" {
		card.Provider, card.Name = provider, rest
	}
	for _, f := range families {
		if strings.HasPrefix(id, f.prefix) {
			card.Provider, card.Dialect = f.provider, f.dialect
			break
		}
	}
	return card
}

// units say what one model unit of a family carries, by a part of the id. AWS
// publishes no such numbers; these are the round ones of the table "Model
// Units" that the project began with. Models that are not in it have units
// that follow from their engines.
var units = []struct {
	part  string
	rates outcrop.UnitRates
}{
	{"claude-3-sonnet", outcrop.UnitRates{Input: 180_000, Output: 36_000}},
	{"claude-3-haiku", outcrop.UnitRates{Input: 400_000, Output: 80_000}},
	{"titan-text", outcrop.UnitRates{Together: 300_000}},
}

func unit(id string) outcrop.UnitRates {
	for _, u := range units {
		if strings.Contains(id, u.part) {
			return u.rates
		}
	}
	return outcrop.UnitRates{}
}
