package outcrop

import "time"

// A Card says what a foundation model is. Cards are immutable once loaded and
// shared between requests.
type Card struct {
	ID       string // "anthropic.claude-3-haiku-20240307-v1:0"
	Name     string // "Claude 3 Haiku"
	Provider string // "Anthropic"
	// Dialect is the native body that InvokeModel speaks for this model.
	Dialect        Dialect
	Input, Output  []Modality
	Streaming      bool
	Customizations []string // FINE_TUNING, ...
	Inference      []string // ON_DEMAND, PROVISIONED, INFERENCE_PROFILE
	Lifecycle      Lifecycle
	Context        int // tokens of prompt and answer together
	MaxOutput      int // tokens of an answer; also the default for maxTokens
	// Unit is what one model unit carries; zero if the card does not say.
	Unit UnitRates
	// Price is what its tokens cost; nil if that is not known.
	Price *Price
}

// UnitRates is what one model unit of provisioned throughput carries in a
// minute: tokens of input and of output, or of both together.
type UnitRates struct{ Input, Output, Together int64 }

// A Modality is a kind of input or output, in Bedrock's words.
type Modality string

// The modalities.
const (
	ModalityText      Modality = "TEXT"
	ModalityImage     Modality = "IMAGE"
	ModalityEmbedding Modality = "EMBEDDING"
)

// A Lifecycle says whether a model is still current.
type Lifecycle struct {
	Status                 string    // ACTIVE or LEGACY
	StartOfLife, EndOfLife time.Time // zero if unknown
}

// Accepts reports whether the model takes m as input.
func (c *Card) Accepts(m Modality) bool {
	for _, have := range c.Input {
		if have == m {
			return true
		}
	}
	return false
}
