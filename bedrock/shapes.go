package bedrock

import "github.com/outcrop/outcrop/shape"

// The shapes of the runtime's requests, as the API model of November 2026
// declares them. modelId is part of the path and not checked here.
var (
	anyString   = shape.String()
	nonEmpty    = shape.String().AtLeast(1)
	bytesShape  = shape.Blob().AtLeast(1)
	index       = shape.Integer().Min(0)
	toolName    = shape.String().Length(1, 64).Pattern(`[a-zA-Z0-9_-]+`)
	toolUseID   = shape.String().Length(1, 64).Pattern(`[a-zA-Z0-9_.:-]+`)
	imageFormat = shape.Enum("png", "jpeg", "gif", "webp")

	textPart = shape.Union(shape.Optional("text", anyString))

	s3Location = shape.Structure(
		shape.Required("uri", shape.String().Length(1, 1024).Pattern(`s3://[a-z0-9][\.\-a-z0-9]{1,61}[a-z0-9](/.*)?`)),
		shape.Optional("bucketOwner", shape.String().Pattern(`[0-9]{12}`)),
	)
	mediaSource = shape.Union(
		shape.Optional("bytes", bytesShape),
		shape.Optional("s3Location", s3Location),
	)
	errorBlock = shape.Structure(shape.Optional("message", anyString))
	citations  = shape.Structure(shape.Required("enabled", shape.Boolean()))

	imageBlock = shape.Structure(
		shape.Required("format", imageFormat),
		shape.Required("source", mediaSource),
		shape.Optional("error", errorBlock),
	)
	documentBlock = shape.Structure(
		shape.Optional("format", shape.Enum("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md")),
		shape.Required("name", shape.String().Length(1, 200)),
		shape.Required("source", shape.Union(
			shape.Optional("bytes", bytesShape),
			shape.Optional("s3Location", s3Location),
			shape.Optional("text", anyString),
			shape.Optional("content", shape.List(textPart)),
		)),
		shape.Optional("context", anyString),
		shape.Optional("citations", citations),
	)
	videoBlock = shape.Structure(
		shape.Required("format", shape.Enum("mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp")),
		shape.Required("source", mediaSource),
	)
	audioBlock = shape.Structure(
		shape.Required("format", shape.Enum("mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac",
			"m4a", "mpeg", "mpga", "pcm", "webm")),
		shape.Required("source", mediaSource),
		shape.Optional("error", errorBlock),
	)
	searchResult = shape.Structure(
		shape.Required("source", anyString),
		shape.Required("title", anyString),
		shape.Required("content", shape.List(shape.Structure(shape.Required("text", anyString)))),
		shape.Optional("citations", citations),
	)

	toolUse = shape.Structure(
		shape.Required("toolUseId", toolUseID),
		shape.Required("name", toolName),
		shape.Required("input", shape.Document()),
		shape.Optional("type", shape.Enum("server_tool_use")),
	)
	toolResult = shape.Structure(
		shape.Required("toolUseId", toolUseID),
		shape.Required("content", shape.List(shape.Union(
			shape.Optional("json", shape.Document()),
			shape.Optional("text", anyString),
			shape.Optional("image", imageBlock),
			shape.Optional("document", documentBlock),
			shape.Optional("video", videoBlock),
			shape.Optional("searchResult", searchResult),
		))),
		shape.Optional("status", shape.Enum("success", "error")),
		shape.Optional("type", anyString),
	)

	guardContent = shape.Union(
		shape.Optional("text", shape.Structure(
			shape.Required("text", anyString),
			shape.Optional("qualifiers", shape.List(shape.Enum("grounding_source", "query", "guard_content"))),
		)),
		shape.Optional("image", shape.Structure(
			shape.Required("format", shape.Enum("png", "jpeg")),
			shape.Required("source", shape.Union(shape.Optional("bytes", bytesShape))),
		)),
	)
	cachePoint = shape.Structure(
		shape.Required("type", shape.Enum("default")),
		shape.Optional("ttl", shape.Enum("5m", "1h")),
	)
	reasoningContent = shape.Union(
		shape.Optional("reasoningText", shape.Structure(
			shape.Required("text", anyString),
			shape.Optional("signature", anyString),
		)),
		shape.Optional("redactedContent", shape.Blob()),
	)

	span = func(first string) *shape.Shape {
		return shape.Structure(shape.Optional(first, index), shape.Optional("start", index), shape.Optional("end", index))
	}
	citationsContent = shape.Structure(
		shape.Optional("content", shape.List(textPart)),
		shape.Optional("citations", shape.List(shape.Structure(
			shape.Optional("title", anyString),
			shape.Optional("source", anyString),
			shape.Optional("sourceContent", shape.List(textPart)),
			shape.Optional("location", shape.Union(
				shape.Optional("web", shape.Structure(
					shape.Optional("url", anyString),
					shape.Optional("domain", anyString),
				)),
				shape.Optional("documentChar", span("documentIndex")),
				shape.Optional("documentPage", span("documentIndex")),
				shape.Optional("documentChunk", span("documentIndex")),
				shape.Optional("searchResultLocation", span("searchResultIndex")),
			)),
		))),
	)

	messages = shape.List(shape.Structure(
		shape.Required("role", shape.Enum("user", "assistant")),
		shape.Required("content", shape.List(shape.Union(
			shape.Optional("text", anyString),
			shape.Optional("image", imageBlock),
			shape.Optional("document", documentBlock),
			shape.Optional("video", videoBlock),
			shape.Optional("audio", audioBlock),
			shape.Optional("toolUse", toolUse),
			shape.Optional("toolResult", toolResult),
			shape.Optional("guardContent", guardContent),
			shape.Optional("cachePoint", cachePoint),
			shape.Optional("reasoningContent", reasoningContent),
			shape.Optional("citationsContent", citationsContent),
			shape.Optional("searchResult", searchResult),
		))),
	))
	system = shape.List(shape.Union(
		shape.Optional("text", nonEmpty),
		shape.Optional("guardContent", guardContent),
		shape.Optional("cachePoint", cachePoint),
	))
	inferenceConfig = shape.Structure(
		shape.Optional("maxTokens", shape.Integer().Min(1)),
		shape.Optional("temperature", shape.Float().Range(0, 1)),
		shape.Optional("topP", shape.Float().Range(0, 1)),
		shape.Optional("stopSequences", shape.List(nonEmpty).Length(0, 2500)),
	)
	toolConfig = shape.Structure(
		shape.Required("tools", shape.List(shape.Union(
			shape.Optional("toolSpec", shape.Structure(
				shape.Required("name", toolName),
				shape.Optional("description", nonEmpty),
				shape.Required("inputSchema", shape.Union(shape.Optional("json", shape.Document()))),
				shape.Optional("strict", shape.Boolean()),
			)),
			shape.Optional("systemTool", shape.Structure(shape.Required("name", toolName))),
			shape.Optional("cachePoint", cachePoint),
		)).AtLeast(1)),
		shape.Optional("toolChoice", shape.Union(
			shape.Optional("auto", shape.Structure()),
			shape.Optional("any", shape.Structure()),
			shape.Optional("tool", shape.Structure(shape.Required("name", toolName))),
		)),
	)
	// guardrailConfig is the streaming one; Converse ignores its last member.
	guardrailConfig = shape.Structure(
		shape.Optional("guardrailIdentifier", shape.String().Length(0, 2048).
			Pattern(`(|([a-z0-9]+)|(arn:aws(-[^:]+)?:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:guardrail/[a-z0-9]+))`)),
		shape.Optional("guardrailVersion", shape.String().Pattern(`(|([1-9][0-9]{0,7})|(DRAFT))`)),
		shape.Optional("trace", shape.Enum("enabled", "disabled", "enabled_full")),
		shape.Optional("streamProcessingMode", shape.Enum("sync", "async")),
	)
	outputConfig = shape.Structure(
		shape.Optional("textFormat", shape.Structure(
			shape.Required("type", shape.Enum("json_schema")),
			shape.Required("structure", shape.Union(
				shape.Optional("jsonSchema", shape.Structure(
					shape.Required("schema", anyString),
					shape.Optional("name", anyString),
					shape.Optional("description", anyString),
				)),
			)),
		)),
	)

	converseShape = shape.Structure(
		shape.Optional("messages", messages),
		shape.Optional("system", system),
		shape.Optional("inferenceConfig", inferenceConfig),
		shape.Optional("toolConfig", toolConfig),
		shape.Optional("guardrailConfig", guardrailConfig),
		shape.Optional("additionalModelRequestFields", shape.Document()),
		shape.Optional("promptVariables", shape.Map(anyString, textPart)),
		shape.Optional("additionalModelResponseFieldPaths", shape.List(shape.String().Length(1, 256)).Length(0, 10)),
		shape.Optional("requestMetadata", shape.Map(
			shape.String().Length(1, 256).Pattern(`[a-zA-Z0-9\s:_@$#=/+,-.]{1,256}`),
			shape.String().Length(0, 256).Pattern(`[a-zA-Z0-9\s:_@$#=/+,-.]{0,256}`),
		).Length(1, 16)),
		shape.Optional("performanceConfig", shape.Structure(shape.Optional("latency", shape.Enum("standard", "optimized")))),
		shape.Optional("serviceTier", shape.Structure(shape.Required("type", shape.Enum("priority", "default", "flex", "reserved")))),
		shape.Optional("outputConfig", outputConfig),
	)
	countTokensShape = shape.Structure(
		shape.Required("input", shape.Union(
			shape.Optional("invokeModel", shape.Structure(shape.Required("body", shape.Blob().Length(0, 25_000_000)))),
			shape.Optional("converse", shape.Structure(
				shape.Optional("messages", messages),
				shape.Optional("system", system),
				shape.Optional("toolConfig", toolConfig),
				shape.Optional("additionalModelRequestFields", shape.Document()),
			)),
		)),
	)
)
