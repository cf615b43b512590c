package catalog

import (
	"strconv"

	"github.com/outcrop/outcrop"
)

// The ways to run a model. InferenceProfile is what the service answers for
// models that only a cross-Region inference profile can reach.
const (
	OnDemand         = "ON_DEMAND"
	Provisioned      = "PROVISIONED"
	InferenceProfile = "INFERENCE_PROFILE"
)

// The lifecycle states.
const (
	Active = "ACTIVE"
	Legacy = "LEGACY"
)

var (
	text  = []outcrop.Modality{outcrop.ModalityText}
	image = []outcrop.Modality{outcrop.ModalityText, outcrop.ModalityImage}

	demand  = []string{OnDemand}
	profile = []string{InferenceProfile}
	both    = []string{OnDemand, InferenceProfile}

	tuning = []string{"FINE_TUNING"}
	titan  = []string{"FINE_TUNING", "CONTINUED_PRE_TRAINING"}
	nova   = []string{"FINE_TUNING", "DISTILLATION"}
)

// A row is one base model and the contextual variants that only provisioned
// throughput serves: 48 stands for the id with ":48k" behind it.
type row struct {
	id, name  string
	input     []outcrop.Modality
	inference []string
	status    string
	context   int // tokens
	output    int // tokens
	variants  []int
	tuning    []string // of the variants, or of the model if it has none
}

// rows are the built-in text models, as the service describes them in
// us-east-1 (ids, modalities and variants: the service's documentation of
// 2026; limits: the vendors' model cards). Claude 3 models and Llama 3.1, 3.3
// are on demand, as they are or were in some Region, so that examples that
// name them plainly work.
var rows = []row{
	{"amazon.nova-micro-v1:0", "Nova Micro", text, both, Active, 128_000, 10_000, []int{24, 128}, nova},
	{"amazon.nova-lite-v1:0", "Nova Lite", image, both, Active, 300_000, 10_000, []int{24, 300}, nova},
	{"amazon.nova-pro-v1:0", "Nova Pro", image, both, Active, 300_000, 10_000, []int{24, 300}, nova},
	{"amazon.nova-premier-v1:0", "Nova Premier", image, profile, Active, 1_000_000, 32_000, nil, nil},
	{"amazon.nova-2-lite-v1:0", "Nova 2 Lite", image, profile, Active, 1_000_000, 65_535, []int{256}, tuning},
	{"amazon.titan-text-lite-v1", "Titan Text G1 - Lite", text, demand, Legacy, 4_096, 4_096, []int{4}, titan},
	{"amazon.titan-text-express-v1", "Titan Text G1 - Express", text, demand, Legacy, 8_192, 8_192, []int{8}, titan},
	{"amazon.titan-text-premier-v1:0", "Titan Text G1 - Premier", text, demand, Legacy, 32_000, 3_072, nil, nil},

	{"anthropic.claude-3-haiku-20240307-v1:0", "Claude 3 Haiku", image, both, Active, 200_000, 4_096, []int{48, 200}, tuning},
	{"anthropic.claude-3-sonnet-20240229-v1:0", "Claude 3 Sonnet", image, both, Legacy, 200_000, 4_096, []int{28, 200}, nil},
	{"anthropic.claude-3-opus-20240229-v1:0", "Claude 3 Opus", image, both, Legacy, 200_000, 4_096, []int{12, 28, 200}, nil},
	{"anthropic.claude-3-5-haiku-20241022-v1:0", "Claude 3.5 Haiku", text, both, Active, 200_000, 8_192, nil, nil},
	{"anthropic.claude-3-5-sonnet-20240620-v1:0", "Claude 3.5 Sonnet", image, both, Legacy, 200_000, 8_192, []int{18, 51, 200}, nil},
	{"anthropic.claude-3-5-sonnet-20241022-v2:0", "Claude 3.5 Sonnet v2", image, both, Legacy, 200_000, 8_192, []int{18, 51, 200}, nil},
	{"anthropic.claude-3-7-sonnet-20250219-v1:0", "Claude 3.7 Sonnet", image, profile, Legacy, 200_000, 64_000, nil, nil},
	{"anthropic.claude-sonnet-4-20250514-v1:0", "Claude Sonnet 4", image, profile, Active, 200_000, 64_000, nil, nil},
	{"anthropic.claude-sonnet-4-5-20250929-v1:0", "Claude Sonnet 4.5", image, profile, Active, 200_000, 64_000, nil, nil},
	{"anthropic.claude-sonnet-4-6", "Claude Sonnet 4.6", image, profile, Active, 1_000_000, 64_000, nil, nil},
	{"anthropic.claude-haiku-4-5-20251001-v1:0", "Claude Haiku 4.5", image, profile, Active, 200_000, 64_000, nil, nil},
	{"anthropic.claude-opus-4-20250514-v1:0", "Claude Opus 4", image, profile, Legacy, 200_000, 32_000, nil, nil},
	{"anthropic.claude-opus-4-1-20250805-v1:0", "Claude Opus 4.1", image, profile, Active, 200_000, 32_000, nil, nil},
	{"anthropic.claude-opus-4-5-20251101-v1:0", "Claude Opus 4.5", image, profile, Active, 200_000, 64_000, nil, nil},
	{"anthropic.claude-opus-4-6-v1", "Claude Opus 4.6", image, profile, Active, 1_000_000, 128_000, nil, nil},
	{"anthropic.claude-opus-4-7", "Claude Opus 4.7", image, profile, Active, 1_000_000, 128_000, nil, nil},
	{"anthropic.claude-opus-4-8", "Claude Opus 4.8", image, profile, Active, 1_000_000, 128_000, nil, nil},

	{"deepseek.r1-v1:0", "DeepSeek-R1", text, profile, Active, 128_000, 32_768, nil, nil},
	{"deepseek.v3-v1:0", "DeepSeek-V3.1", text, demand, Active, 128_000, 8_192, nil, nil},

	{"meta.llama3-8b-instruct-v1:0", "Llama 3 8B Instruct", text, demand, Active, 8_000, 2_048, nil, nil},
	{"meta.llama3-70b-instruct-v1:0", "Llama 3 70B Instruct", text, demand, Active, 8_000, 2_048, nil, nil},
	{"meta.llama3-1-8b-instruct-v1:0", "Llama 3.1 8B Instruct", text, both, Active, 128_000, 8_192, []int{128}, tuning},
	{"meta.llama3-1-70b-instruct-v1:0", "Llama 3.1 70B Instruct", text, both, Active, 128_000, 8_192, []int{128}, tuning},
	{"meta.llama3-1-405b-instruct-v1:0", "Llama 3.1 405B Instruct", text, both, Active, 128_000, 8_192, nil, nil},
	{"meta.llama3-2-1b-instruct-v1:0", "Llama 3.2 1B Instruct", text, profile, Active, 128_000, 8_192, []int{128}, tuning},
	{"meta.llama3-2-3b-instruct-v1:0", "Llama 3.2 3B Instruct", text, profile, Active, 128_000, 8_192, []int{128}, tuning},
	{"meta.llama3-2-11b-instruct-v1:0", "Llama 3.2 11B Instruct", image, profile, Active, 128_000, 8_192, []int{128}, tuning},
	{"meta.llama3-2-90b-instruct-v1:0", "Llama 3.2 90B Instruct", image, profile, Active, 128_000, 8_192, []int{128}, tuning},
	{"meta.llama3-3-70b-instruct-v1:0", "Llama 3.3 70B Instruct", text, both, Active, 128_000, 8_192, nil, nil},
	{"meta.llama4-scout-17b-instruct-v1:0", "Llama 4 Scout 17B Instruct", image, profile, Active, 3_500_000, 8_192, nil, nil},
	{"meta.llama4-maverick-17b-instruct-v1:0", "Llama 4 Maverick 17B Instruct", image, profile, Active, 1_000_000, 8_192, nil, nil},

	{"mistral.mistral-7b-instruct-v0:2", "Mistral 7B Instruct", text, demand, Active, 32_000, 8_192, nil, nil},
	{"mistral.mixtral-8x7b-instruct-v0:1", "Mixtral 8x7B Instruct", text, demand, Active, 32_000, 4_096, nil, nil},
	{"mistral.mistral-small-2402-v1:0", "Mistral Small (24.02)", text, demand, Active, 32_000, 8_192, nil, nil},
	{"mistral.mistral-large-2402-v1:0", "Mistral Large (24.02)", text, demand, Active, 32_000, 8_192, nil, nil},
	{"mistral.mistral-large-3-675b-instruct", "Mistral Large 3", image, demand, Active, 256_000, 32_768, nil, nil},

	{"openai.gpt-oss-20b-1:0", "gpt-oss-20b", text, demand, Active, 128_000, 32_768, nil, nil},
	{"openai.gpt-oss-120b-1:0", "gpt-oss-120b", text, demand, Active, 128_000, 32_768, nil, nil},

	{"qwen.qwen3-32b-v1:0", "Qwen3 32B (dense)", text, demand, Active, 32_000, 16_384, nil, nil},
	{"qwen.qwen3-235b-a22b-2507-v1:0", "Qwen3 235B A22B 2507", text, demand, Active, 256_000, 32_768, nil, nil},
	{"qwen.qwen3-coder-30b-a3b-v1:0", "Qwen3-Coder-30B-A3B-Instruct", text, demand, Active, 256_000, 32_768, nil, nil},
	{"qwen.qwen3-coder-480b-a35b-v1:0", "Qwen3 Coder 480B A35B Instruct", text, demand, Active, 256_000, 32_768, nil, nil},
}

var builtin = expand(rows)

func expand(rows []row) (cards []outcrop.Card) {
	for _, r := range rows {
		card := *guess(r.id)
		card.Name, card.Input, card.Inference = r.name, r.input, r.inference
		card.Context, card.MaxOutput = r.context, r.output
		card.Lifecycle.Status, card.Price = r.status, priceOf(r.id)
		if len(r.variants) == 0 {
			card.Customizations = r.tuning
		}
		cards = append(cards, card)
		for _, k := range r.variants {
			cards = append(cards, variant(card, k, r.tuning))
		}
	}
	return cards
}

// variant returns the contextual variant of k thousand tokens. Ids without a
// version number get ":0" first.
func variant(card outcrop.Card, k int, tuning []string) outcrop.Card {
	if last := card.ID[len(card.ID)-2:]; last[0] != ':' {
		card.ID += ":0"
	}
	card.ID += ":" + strconv.Itoa(k) + "k"
	card.Context = k * 1000
	card.MaxOutput = min(card.MaxOutput, card.Context)
	card.Inference, card.Customizations = []string{Provisioned}, tuning
	return card
}
