package catalog

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/outcrop/outcrop"
)

// A Kind says as what a caller named a model.
type Kind uint8

// The kinds. A foundation model was named by its id or ARN; a profile by the
// id or ARN of a system-defined cross-Region inference profile.
const (
	Foundation Kind = iota + 1
	Profile
)

// A Resolution is what the caller's name for a model stands for.
type Resolution struct {
	Card *outcrop.Card // never nil
	Kind Kind
	// Profile is the id of the inference profile, such as
	// "eu.amazon.nova-lite-v1:0"; empty for Foundation.
	Profile string
}

// geographies are the prefixes of cross-Region inference profiles.
var geographies = []string{"us", "eu", "apac", "global", "jp", "au", "ca", "us-gov"}

// Resolve finds the card of a model id or ARN as a caller in account at
// region wrote it. Errors are of type *outcrop.Error, with the service's own
// texts: ValidationException for what is malformed, unknown or cannot be run
// on demand; ResourceNotFoundException for well-formed ARNs of kinds of which
// there are none.
//
// Every geography's prefix is taken in every region, and for every model.
// System-defined profiles are the same for every account, so that the account
// in their ARN may be any; account is for kinds of which there are none yet.
// Plain ids and profile ids do not allocate.
func (c *Catalog) Resolve(modelID, region, _ string) (Resolution, error) {
	if card := c.cards[modelID]; card != nil {
		return onDemand(card, modelID)
	}
	if r, ok := c.profile(modelID); ok {
		return r, nil
	}
	if strings.HasPrefix(modelID, "arn:") {
		return c.resolveARN(modelID, region)
	}
	if !outcrop.ValidModelID(modelID) {
		return Resolution{}, malformed(modelID)
	}
	return Resolution{}, invalid("no model of this id")
}

// onDemand refuses cards that only a profile or provisioned throughput can
// reach.
func onDemand(card *outcrop.Card, named string) (Resolution, error) {
	if !slices.Contains(card.Inference, OnDemand) {
		return Resolution{}, outcrop.Invalid("Invocation of model ID " + named + " with on-demand throughput isn’t supported. " +
			"Retry your request with the ID or ARN of an inference profile that contains this model.")
	}
	return Resolution{Card: card, Kind: Foundation}, nil
}

// profile resolves the id of a system-defined inference profile: a geography
// and the id of a model that is not for provisioned throughput alone.
func (c *Catalog) profile(id string) (Resolution, bool) {
	geography, model, found := strings.Cut(id, ".")
	if !found || !slices.Contains(geographies, geography) {
		return Resolution{}, false
	}
	card := c.cards[model]
	if card == nil || provisionedOnly(card) {
		return Resolution{}, false
	}
	return Resolution{Card: card, Kind: Profile, Profile: id}, true
}

func provisionedOnly(card *outcrop.Card) bool {
	return !slices.Contains(card.Inference, OnDemand) && !slices.Contains(card.Inference, InferenceProfile)
}

func (c *Catalog) resolveARN(name, region string) (Resolution, error) {
	a, ok := outcrop.ParseARN(name)
	if !ok || !shaped(a) || len(name) > maxID {
		return Resolution{}, malformed(name)
	}
	if a.Region != region {
		return Resolution{}, invalid("the ARN is of region " + a.Region + ", this is " + region)
	}
	switch a.Type {
	case "foundation-model":
		card := c.cards[a.ID]
		if card == nil {
			return Resolution{}, invalid("no model of this id")
		}
		return onDemand(card, a.ID)
	case "inference-profile":
		if r, ok := c.profile(a.ID); ok {
			return r, nil
		}
	}
	return Resolution{}, notFound(a, name)
}

// ARNOf returns the ARN of a foundation model in a region.
func ARNOf(id, region string) string {
	return outcrop.ARN{Partition: Partition(region), Service: "bedrock", Region: region, Type: "foundation-model", ID: id}.String()
}

// Partition returns the partition that a region belongs to.
func Partition(region string) string {
	switch {
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	}
	return "aws"
}

const maxID = 2048 // [botocore: ConversationalModelId]

// twelve is the shape of most resource ids.
var twelve = regexp.MustCompile(`^[a-z0-9]{12}$`)

// shapes are the resource ids that the runtime takes, by the resource's type
// [botocore: ConversationalModelId].
var shapes = map[string]*regexp.Regexp{
	"foundation-model":              regexp.MustCompile(`^[a-z0-9-]{1,63}\.[a-z0-9.:-]{1,140}$`),
	"custom-model":                  regexp.MustCompile(`^[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})?(:[a-z0-9-]{1,63}){0,2}/[a-z0-9]{12}$`),
	"imported-model":                twelve,
	"provisioned-model":             twelve,
	"custom-model-deployment":       twelve,
	"inference-profile":             regexp.MustCompile(`^[a-zA-Z0-9.:-]+$`),
	"application-inference-profile": regexp.MustCompile(`^[a-zA-Z0-9.:-]+$`),
	"prompt":                        regexp.MustCompile(`^[0-9a-zA-Z]{10}(:[0-9]{1,5})?$`),
	"prompt-router":                 regexp.MustCompile(`^[a-zA-Z0-9.:-]+$`),
	"default-prompt-router":         regexp.MustCompile(`^[a-zA-Z0-9.:-]+$`),
}

// shaped reports whether the ARN is one that the runtime takes as a model.
// Foundation models belong to no account, all else to one.
func shaped(a outcrop.ARN) bool {
	shape := shapes[a.Type]
	return a.Service == "bedrock" && a.Region != "" && len(a.Region) <= 20 && shape != nil && shape.MatchString(a.ID) &&
		(a.Account == "") == (a.Type == "foundation-model")
}

func invalid(cause string) error {
	e := outcrop.Invalid("The provided model identifier is invalid.")
	e.Cause = fmt.Errorf("%s", cause)
	return e
}

func notFound(a outcrop.ARN, name string) error {
	what := strings.ReplaceAll(a.Type, "-", " ")
	return &outcrop.Error{Code: outcrop.CodeNotFound, Message: "Could not find the " + what + " " + name + "."}
}

// malformed is the answer to an id that breaks the API model's constraints.
func malformed(id string) error {
	constraint := "Member must satisfy regular expression pattern: " + idPattern
	switch {
	case id == "":
		constraint = "Member must have length greater than or equal to 1"
	case len(id) > maxID:
		constraint = "Member must have length less than or equal to 2048"
	}
	return outcrop.Invalid("1 validation error detected: Value '" + shortened(id) +
		"' at 'modelId' failed to satisfy constraint: " + constraint)
}

// shortened bounds what is told back of a caller's value.
func shortened(s string) string {
	const most = 256
	if len(s) > most {
		s = s[:most]
		for !utf8.ValidString(s) && len(s) > most-utf8.UTFMax {
			s = s[:len(s)-1]
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// idPattern is the pattern that the API model states for the modelId of
// Converse and InvokeModel [botocore 1.43.11].
const idPattern = `(arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:(([0-9]{12}:custom-model/[a-z0-9-]{1,63}[.]{1}[a-z0-9-]{1,63}/[a-z0-9]{12})` +
	`|(:foundation-model/[a-z0-9-]{1,63}[.]{1}[a-z0-9-]{1,63}([.:]?[a-z0-9-]{1,63}))|([0-9]{12}:imported-model/[a-z0-9]{12})` +
	`|([0-9]{12}:provisioned-model/[a-z0-9]{12})|([0-9]{12}:custom-model-deployment/[a-z0-9]{12})` +
	`|([0-9]{12}:(inference-profile|application-inference-profile)/[a-zA-Z0-9-:.]+)))` +
	`|([a-z0-9-]{1,63}[.]{1}[a-z0-9-]{1,63}([.:]?[a-z0-9-]{1,63}))|(([0-9a-zA-Z][_-]?)+)|([a-zA-Z0-9-:.]+)`
