package controlapi

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/catalog"
)

// A model is FoundationModelSummary and FoundationModelDetails, which have
// the same members.
type model struct {
	Arn            string             `json:"modelArn"`
	ID             string             `json:"modelId"`
	Name           string             `json:"modelName"`
	Provider       string             `json:"providerName"`
	Input          []outcrop.Modality `json:"inputModalities"`
	Output         []outcrop.Modality `json:"outputModalities"`
	Streaming      bool               `json:"responseStreamingSupported"`
	Customizations []string           `json:"customizationsSupported"`
	Inference      []string           `json:"inferenceTypesSupported"`
	Lifecycle      modelLifecycle     `json:"modelLifecycle"`
}

type modelLifecycle struct {
	Status      string `json:"status"`
	StartOfLife string `json:"startOfLifeTime,omitempty"`
	EndOfLife   string `json:"endOfLifeTime,omitempty"`
}

// marker ends the names of models whose answers are invented.
const marker = " (simulated)"

func (a *API) model(v View, card *outcrop.Card) model {
	m := model{
		Arn: catalog.ARNOf(card.ID, a.region), ID: card.ID, Name: card.Name, Provider: card.Provider,
		Input: orEmpty(card.Input), Output: orEmpty(card.Output), Streaming: card.Streaming,
		Customizations: orEmpty(card.Customizations), Inference: orEmpty(card.Inference),
		Lifecycle: modelLifecycle{card.Lifecycle.Status, timestamp(card.Lifecycle.StartOfLife), timestamp(card.Lifecycle.EndOfLife)},
	}
	if v.Simulated != nil && v.Simulated(card.ID) {
		m.Name += marker
	}
	return m
}

// orEmpty keeps an empty list from becoming null.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// timestamp returns ISO 8601, or "" for the zero time.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func (a *API) list(q *request) (any, error) {
	if err := allow(q.who, "bedrock:ListFoundationModels", "*"); err != nil {
		return nil, err
	}
	f, err := parseFilter(q.query)
	if err != nil {
		return nil, err
	}
	models := []model{}
	v := a.view()
	for _, card := range v.Catalog.Cards() {
		if f.matches(card) {
			models = append(models, a.model(v, card))
		}
	}
	return map[string]any{"modelSummaries": models}, nil
}

func (a *API) get(q *request) (any, error) {
	v := a.view()
	card, err := a.find(v, q.who, "bedrock:GetFoundationModel", q.id, "modelIdentifier")
	if err != nil {
		return nil, err
	}
	return map[string]any{"modelDetails": a.model(v, card)}, nil
}

// availability tells that the model can be used at once: there is nothing to
// agree to, and nobody to ask.
func (a *API) availability(q *request) (any, error) {
	card, err := a.find(a.view(), q.who, "bedrock:GetFoundationModelAvailability", q.id, "modelId")
	if err != nil {
		return nil, err
	}
	authorized := "AUTHORIZED"
	if !q.who.MayUse(card.ID) {
		authorized = "NOT_AUTHORIZED"
	}
	return map[string]any{
		"modelId":                 card.ID,
		"agreementAvailability":   map[string]string{"status": "AVAILABLE"},
		"authorizationStatus":     authorized,
		"entitlementAvailability": "AVAILABLE",
		"regionAvailability":      "AVAILABLE",
	}, nil
}

// find returns the card of a foundation model's id or ARN.
func (a *API) find(v View, p *outcrop.Principal, action, name, member string) (*outcrop.Card, error) {
	id, err := a.plainID(name, member)
	if err != nil {
		return nil, err
	}
	if err := allow(p, action, catalog.ARNOf(id, a.region)); err != nil {
		return nil, err
	}
	card := v.Catalog.Lookup(id)
	if card == nil {
		return nil, &outcrop.Error{Code: outcrop.CodeNotFound,
			Message: "Could not resolve the foundation model from the provided model identifier."}
	}
	return card, nil
}

// plainID takes the id out of an ARN, and refuses what is neither an id nor
// the ARN of a foundation model of this region.
func (a *API) plainID(name, member string) (string, error) {
	if !outcrop.ValidModelID(name) {
		return "", violation(name, member, "Member must satisfy regular expression pattern: "+identifierPattern)
	}
	if !strings.HasPrefix(name, "arn:") {
		return name, nil
	}
	arn, _ := outcrop.ParseARN(name)
	if arn.Service != "bedrock" || arn.Type != "foundation-model" || arn.Account != "" {
		return "", violation(name, member, "Member must satisfy regular expression pattern: "+identifierPattern)
	}
	if arn.Region != a.region {
		return "", outcrop.Invalid("The provided model identifier is invalid.")
	}
	return arn.ID, nil
}

// identifierPattern is that of GetFoundationModelIdentifier [botocore 1.43.11].
const identifierPattern = `(arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}::foundation-model/[a-z0-9-]{1,63}[.]{1}([a-z0-9-]{1,63}[.]){0,2}[a-z0-9-]{1,63}([:][a-z0-9-]{1,63}){0,2})` +
	`|([a-z0-9-]{1,63}[.]{1}[a-z0-9-]{1,63}([.]?[a-z0-9-]{1,63})([:][a-z0-9-]{1,63}){0,2})`

// A filter holds the query of ListFoundationModels; empty members match all.
type filter struct{ provider, customization, output, inference string }

var (
	providerShape  = regexp.MustCompile(`^[A-Za-z0-9 -]{1,63}$`)
	customizations = []string{"FINE_TUNING", "CONTINUED_PRE_TRAINING", "DISTILLATION"}
	modalities     = []string{"TEXT", "IMAGE", "EMBEDDING"}
	inferenceTypes = []string{"ON_DEMAND", "PROVISIONED"}
)

// parseFilter reads and checks the query. Unknown members are ignored, as the
// service does; of a member that stands twice the first counts.
func parseFilter(query string) (f filter, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return f, outcrop.Invalid("The query string is malformed.")
	}
	f = filter{values.Get("byProvider"), values.Get("byCustomizationType"), values.Get("byOutputModality"), values.Get("byInferenceType")}
	var found violations
	if values.Has("byProvider") && !providerShape.MatchString(f.provider) {
		found.add(f.provider, "byProvider", "Member must satisfy regular expression pattern: [A-Za-z0-9- ]{1,63}")
	}
	for _, e := range []struct {
		member, value string
		allowed       []string
	}{
		{"byCustomizationType", f.customization, customizations},
		{"byOutputModality", f.output, modalities},
		{"byInferenceType", f.inference, inferenceTypes},
	} {
		if values.Has(e.member) && !slices.Contains(e.allowed, e.value) {
			found.add(e.value, e.member, "Member must satisfy enum value set: ["+strings.Join(e.allowed, ", ")+"]")
		}
	}
	return f, found.err()
}

func (f filter) matches(card *outcrop.Card) bool {
	return (f.provider == "" || strings.EqualFold(f.provider, card.Provider)) &&
		(f.customization == "" || slices.Contains(card.Customizations, f.customization)) &&
		(f.output == "" || slices.Contains(card.Output, outcrop.Modality(f.output))) &&
		(f.inference == "" || slices.Contains(card.Inference, f.inference))
}
