package controlapi

import (
	"net/url"

	json "github.com/go-json-experiment/json"

	"github.com/outcrop/outcrop"
	"github.com/outcrop/outcrop/shape"
)

// The shapes of the requests, as the API model declares them [botocore
// 1.43.11].
var (
	modelIdentifier = shape.String().Length(1, 2048).Pattern(
		`arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:(([0-9]{12}:custom-model/((imported)|([a-z0-9-]{1,63}[.]{1}[a-z0-9-]{1,63}))(([:][a-z0-9-]{1,63}){0,2})?/[a-z0-9]{12})` +
			`|(:foundation-model/([a-z0-9-]{1,63}[.]{1}[a-z0-9-]{1,63}([.]?[a-z0-9-]{1,63})([:][a-z0-9-]{1,63}){0,2})))` +
			`|(([a-z0-9-]{1,63}[.]{1}[a-z0-9-]{1,63}([.]?[a-z0-9-]{1,63})([:][a-z0-9-]{1,63}){0,2}))|(([0-9a-zA-Z][_-]?)+)`)
	modelARN = shape.String().Length(20, 1011).Pattern(
		`arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:(([0-9]{12}:custom-model/((imported)|([a-z0-9-]{1,63}[.]{1}[a-z0-9-]{1,63}))(([:][a-z0-9-]{1,63}){0,2})?/[a-z0-9]{12})` +
			`|(:foundation-model/[a-z0-9-]{1,63}[.]{1}([a-z0-9-]{1,63}[.]){0,2}[a-z0-9-]{1,63}([:][a-z0-9-]{1,63}){0,2}))`)
	taggableARN = shape.String().Length(20, 1011).Pattern(
		`.*(^[a-zA-Z0-9][a-zA-Z0-9\-]*$)|(^arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:custom-model/(imported)/[a-z0-9]{12}$)` +
			`|(^arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:([0-9]{12}|)((:(fine-tuning-job|model-customization-job|custom-model)/[a-z0-9-]{1,63}[.]{1}[a-z0-9-]{1,63}([a-z0-9-]{1,63}[.]){0,2}[a-z0-9-]{1,63}([:][a-z0-9-]{1,63}){0,2}(/[a-z0-9]{12})$)` +
			`|(:guardrail/[a-z0-9]+$)|(:automated-reasoning-policy/[a-zA-Z0-9]+(:[a-zA-Z0-9]+)?$)|(:(inference-profile|application-inference-profile)/[a-zA-Z0-9-:.]+$)` +
			`|(:(provisioned-model|model-invocation-job|model-evaluation-job|evaluation-job|model-import-job|imported-model|async-invoke|provisioned-model-v2|provisioned-model-reservation|prompt-router|custom-model-deployment)/[a-z0-9]{12}$))).*`)

	tagKey  = shape.String().Length(1, 128).Pattern(`[a-zA-Z0-9\s._:/=+@-]*`)
	tagList = shape.List(shape.Structure(
		shape.Required("key", tagKey),
		shape.Required("value", shape.String().Length(0, 256).Pattern(`[a-zA-Z0-9\s._:/=+@-]*`)),
	)).Length(0, 200)
	clientRequestToken = shape.String().Length(1, 256).Pattern(`[a-zA-Z0-9]([-a-zA-Z0-9]{0,254}[a-zA-Z0-9])?`)
	positiveInteger    = shape.Integer().Min(1)

	provisionedName  = shape.String().Length(1, 63).Pattern(`([0-9a-zA-Z][_-]?)+`)
	provisionedLabel = shape.Structure(shape.Required("provisionedModelId", shape.String().Pattern(
		`((([0-9a-zA-Z][_-]?)+)|(arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:provisioned-model/[a-z0-9]{12}))`)))
	createProvisionedShape = shape.Structure(
		shape.Optional("clientRequestToken", clientRequestToken),
		shape.Required("modelUnits", positiveInteger),
		shape.Required("provisionedModelName", provisionedName),
		shape.Required("modelId", modelIdentifier),
		shape.Optional("commitmentDuration", shape.Enum("OneMonth", "SixMonths")),
		shape.Optional("tags", tagList),
	)
	updateProvisionedShape = shape.Structure(
		shape.Optional("desiredProvisionedModelName", provisionedName),
		shape.Optional("desiredModelId", modelIdentifier),
		shape.Optional("desiredModelUnits", positiveInteger), // not in the API model
	)
	listProvisionedShape = shape.Structure(
		shape.Optional("creationTimeAfter", shape.Timestamp()),
		shape.Optional("creationTimeBefore", shape.Timestamp()),
		shape.Optional("statusEquals", shape.Enum("Creating", "InService", "Updating", "Failed")),
		shape.Optional("modelArnEquals", modelARN),
		shape.Optional("nameContains", provisionedName),
		shape.Optional("maxResults", shape.Integer().Range(1, 1000)),
		shape.Optional("nextToken", shape.String().Length(1, 2048).Pattern(`\S*`)),
		shape.Optional("sortBy", shape.Enum("CreationTime")),
		shape.Optional("sortOrder", shape.Enum("Ascending", "Descending")),
	)

	tagShape      = shape.Structure(shape.Required("resourceARN", taggableARN), shape.Required("tags", tagList))
	untagShape    = shape.Structure(shape.Required("resourceARN", taggableARN), shape.Required("tagKeys", shape.List(tagKey).Length(0, 200)))
	listTagsShape = shape.Structure(shape.Required("resourceARN", taggableARN))
)

// read checks the body and decodes it into v. An empty body is an empty
// object.
func read(s *shape.Shape, body []byte, v any) error {
	if len(body) == 0 {
		body = []byte("{}")
	}
	if err := s.Check(body); err != nil {
		return outcrop.Invalid(err.Error())
	}
	return json.Unmarshal(body, v)
}

// readQuery parses a query string and checks it.
func readQuery(s *shape.Shape, query string) (url.Values, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, outcrop.Invalid("The query string is malformed.")
	}
	if err := s.CheckValues(values); err != nil {
		return nil, outcrop.Invalid(err.Error())
	}
	return values, nil
}
