package bedrock

import (
	"strconv"
	"strings"

	"github.com/outcrop/outcrop"
)

// What Bedrock says, word for word where its words are known; programs look
// for them.
const (
	TooManyRequests     = "Too many requests, please wait before trying again."
	TooManyTokens       = "Too many tokens, please wait before trying again."
	TooManyTokensPerDay = "Too many tokens per day, please wait before trying again."
	RateTooHigh         = "Your request rate is too high. Reduce the frequency of requests."
	InvalidModelID      = "The provided model identifier is invalid."
	ModelNotFound       = "Model not found."
	NotOnDemand         = "The provided model doesn't support on-demand throughput."
	UnsupportedAction   = "This action doesn't support the model that you provided. Try again with a supported text or chat model."
	ModelTimedOut       = "Model has timed out in processing the request. Try your request again."
	ModelNotReady       = "Model is not ready for inference. Wait and try your request again."
	ServiceUnavailable  = "Bedrock is unable to process your request."
	InternalFailure     = "The system encountered an unexpected error during processing. Try your request again."
)

// ProfileOnly is Bedrock's answer to a model that only inference profiles
// reach.
func ProfileOnly(modelID string) string {
	return "Invocation of model ID " + modelID + " with on-demand throughput isn’t supported. " +
		"Retry your request with the ID or ARN of an inference profile that contains this model."
}

// MaxTokensExceeded is Bedrock's answer to a maxTokens above what the model
// can.
func MaxTokensExceeded(limit int) string {
	n := strconv.Itoa(limit)
	return "The maximum tokens you requested exceed the model limit of " + n +
		". Try again with a maximum tokens value lower than " + n + "."
}

const (
	userFirst       = "A conversation must start with a user message. Try again with a conversation that starts with a user message."
	mustAlternate   = "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again."
	toolsUndeclared = "The toolConfig field must be defined when using toolUse and toolResult content blocks."
	unknownChoice   = "The tool name in toolConfig.toolChoice.tool.name isn't the name of a tool in toolConfig.tools. Provide the name of a defined tool and try again."
	documentAlone   = "A text block must be included when using documents."
	noGuardrail     = "The guardrail identifier or version provided in guardrailConfig does not exist."
	badDocumentName = "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets. The name can't contain more than one consecutive whitespace character."
	badOutputSchema = "The value at outputConfig.textFormat.structure.jsonSchema.schema isn't a JSON schema. Provide a JSON object as a string and try again."
)

// unsupported refuses a member that is valid but can't be honoured.
func unsupported(member string) error {
	return outcrop.Invalid("This model doesn't support the " + member + " field. Remove " + member + " and try again.")
}

func malformed(where string) string {
	return "Malformed input request: " + where + ", please reformat your input and try again."
}

func blank(object, at string) string {
	return "The text field in the " + object + " object at " + at + " is blank. Add text to the text field, and try again."
}

func emptyMessage(at string) string {
	return "The content field in the Message object at " + at + " is empty. Add a ContentBlock object to the content field and try again."
}

func emptyFailure(at string) string {
	return "The content field at " + at + " cannot be empty when status value is error."
}

func wrongRole(member, at string, role outcrop.Role) string {
	return "The " + member + " content block at " + at + ".content isn't supported in a message of the role " + role.String() + ". Remove it and try again."
}

func excessResults(i int) string {
	return "The number of toolResult blocks at messages." + strconv.Itoa(i) + ".content exceeds the number of toolUse blocks of previous turn."
}

func missingResults(i int, ids []string) string {
	return "Expected toolResult blocks at messages." + strconv.Itoa(i) + ".content for the following Ids: " + strings.Join(ids, ", ")
}

func badInput(at string) string {
	return "The format of the value at " + at + ".input is invalid. Provide a json object for the field and try again."
}

func badSchema(at string) string {
	return "The value at " + at + ".type must be one of the following: object."
}

func duplicateTool(at string) string {
	return "The value at " + at + ".name is the name of another tool. Provide a unique name and try again."
}

func tooMany(what string, limit int) string {
	return "The request holds too many " + what + ". The maximum is " + strconv.Itoa(limit) + "."
}

func tooLarge(what, at, megabytes string) string {
	return "The " + what + " at " + at + " exceeds the maximum size of " + megabytes + " MB."
}
