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

	jobName     = shape.String().Length(1, 63).Pattern(`[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9\+\-\.]){0,63}`)
	jobS3URI    = shape.String().Length(1, 1024).Pattern(`s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9](?:/[-!_*'().a-z0-9A-Z]+(?:/[-!_*'().a-z0-9A-Z]+)*)?/?`)
	jobAccount  = shape.String().Pattern(`[0-9]{12}`)
	vpcID       = shape.String().Length(0, 32).Pattern(`[-0-9a-zA-Z]+`)
	jobModelARN = shape.String().Length(1, 2048).Pattern(
		`(arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:(([0-9]{12}:custom-model/[a-z0-9-]{1,63}[.]{1}[a-z0-9-:]{1,63}/[a-z0-9]{12}$)` +
			`|(:foundation-model/([a-z0-9-]{1,63}[.]{1}[a-z0-9-]{1,63}([.]?[a-z0-9-]{1,63})([:][a-z0-9-]{1,63}){0,2})|(([0-9a-zA-Z][_-]?)+)$)` +
			`|([0-9]{12}:(inference-profile|application-inference-profile)/[a-zA-Z0-9-:.]+$)))` +
			`|([a-z0-9-]{1,63}[.]{1}[a-z0-9-]{1,63}([.]?[a-z0-9-]{1,63})([:][a-z0-9-]{1,63}){0,2})|(([0-9a-zA-Z][_-]?)+)`)
	jobLabel = shape.Structure(shape.Required("jobIdentifier", shape.String().Length(0, 1011).Pattern(
		`((arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:model-invocation-job/)?[a-z0-9]{12})`)))
	createJobShape = shape.Structure(
		shape.Required("jobName", jobName),
		shape.Required("roleArn", shape.String().Length(0, 2048).Pattern(`arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+`)),
		shape.Optional("clientRequestToken", shape.String().Length(1, 256).Pattern(`[a-zA-Z0-9]{1,256}(-*[a-zA-Z0-9]){0,256}`)),
		shape.Required("modelId", jobModelARN),
		shape.Required("inputDataConfig", shape.Union(shape.Optional("s3InputDataConfig", shape.Structure(
			shape.Optional("s3InputFormat", shape.Enum("JSONL")),
			shape.Required("s3Uri", jobS3URI),
			shape.Optional("s3BucketOwner", jobAccount),
		)))),
		shape.Required("outputDataConfig", shape.Union(shape.Optional("s3OutputDataConfig", shape.Structure(
			shape.Required("s3Uri", jobS3URI),
			shape.Optional("s3EncryptionKeyId", shape.String().Length(1, 2048).Pattern(
				`(arn:aws(-[^:]+)?:kms:[a-zA-Z0-9-]*:[0-9]{12}:((key/[a-zA-Z0-9-]{36})|(alias/[a-zA-Z0-9-_/]+)))|([a-zA-Z0-9-]{36})|(alias/[a-zA-Z0-9-_/]+)`)),
			shape.Optional("s3BucketOwner", jobAccount),
		)))),
		shape.Optional("vpcConfig", shape.Structure(
			shape.Required("subnetIds", shape.List(vpcID).Length(1, 16)),
			shape.Required("securityGroupIds", shape.List(vpcID).Length(1, 5)),
		)),
		shape.Optional("timeoutDurationInHours", shape.Integer().Range(24, 168)),
		shape.Optional("tags", tagList),
		shape.Optional("modelInvocationType", shape.Enum("InvokeModel", "Converse")),
	)
	listJobsShape = shape.Structure(
		shape.Optional("submitTimeAfter", shape.Timestamp()),
		shape.Optional("submitTimeBefore", shape.Timestamp()),
		shape.Optional("statusEquals", shape.Enum("Submitted", "InProgress", "Completed", "Failed", "Stopping", "Stopped", "PartiallyCompleted", "Expired", "Validating", "Scheduled")),
		shape.Optional("nameContains", jobName),
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
