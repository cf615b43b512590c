"""Requests that together use every member of the input shapes.

Each operation has a list of parameter dictionaries as boto3 takes them. What
Outcrop refuses by design is in REFUSED, with the reason; the oracle checks
that each of these gets a ValidationException that names the member, and that
every other member of the model stands in at least one example.
"""
import json

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
OSS = "openai.gpt-oss-20b-1:0"

# The smallest files of their kinds.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001"
    "f61738550000000049454e44ae426082")
JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb004300" + "08" * 64 + "ffc0000b080001000101011100ffc40014000100000000000000000000000000000009ffc40014100100000000000000000000000000000000ffda0008010100003f002a9fffd9")
GIF = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
WEBP = bytes.fromhex("524946461a000000574542505650384c0d0000002f00000010071011118888fe0700")
PDF = (b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
       b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n")

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def user(*content):
    return {"role": "user", "content": list(content)}


def assistant(*content):
    return {"role": "assistant", "content": list(content)}


HELLO = [user({"text": "Hello, how are you?"})]


def tool(name="weather"):
    return {"toolSpec": {"name": name, "description": "Tells the weather", "inputSchema": {"json": SCHEMA}, "strict": True}}


def tool_turns():
    return [
        user({"text": "What is the weather in Bern?"}),
        assistant({"reasoningContent": {"reasoningText": {"text": "I need the tool.", "signature": "c2lnbmF0dXJl"}}},
                  {"reasoningContent": {"redactedContent": b"secret"}},
                  {"text": "Let me see."},
                  {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Bern"}}}),
        user({"toolResult": {"toolUseId": "tooluse_1", "status": "success", "content": [
            {"json": {"degrees": 21}}, {"text": "sunny"},
            {"image": {"format": "png", "source": {"bytes": PNG}}},
            {"document": {"name": "report", "format": "txt", "source": {"bytes": b"warm"}}},
            {"searchResult": FOUND}]}},
             {"text": "Go on."}),
    ]


FOUND = {"source": "https://example.com", "title": "A page", "content": [{"text": "words"}], "citations": {"enabled": False}}


def cited(location):
    return {"title": "A page", "source": "web", "sourceContent": [{"text": "words"}], "location": location}


CITED = {"content": [{"text": "As was said."}], "citations": [
    cited({"web": {"url": "https://example.com", "domain": "example.com"}}),
    cited({"documentChar": {"documentIndex": 0, "start": 1, "end": 2}}),
    cited({"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}),
    cited({"documentChunk": {"documentIndex": 0, "start": 1, "end": 2}}),
    cited({"searchResultLocation": {"searchResultIndex": 0, "start": 1, "end": 2}}),
]}


def conversations():
    """Converse and ConverseStream."""
    cache = {"cachePoint": {"type": "default", "ttl": "5m"}}
    return [
        {"modelId": HAIKU, "messages": HELLO},
        {
            "modelId": HAIKU,
            "messages": [user(
                {"text": "Look at these."},
                {"image": {"format": "png", "source": {"bytes": PNG}}},
                {"document": {"name": "notes", "format": "txt", "source": {"bytes": b"the tide turns"},
                              "context": "written at sea", "citations": {"enabled": False}}},
                {"document": {"name": "more notes", "format": "md", "source": {"text": "# tides"}}},
                {"document": {"name": "parts", "source": {"content": [{"text": "one"}, {"text": "two"}]}}},
                {"searchResult": FOUND}, cache),
                assistant({"citationsContent": CITED}),
                user({"guardContent": {"text": {"text": "Is that so?", "qualifiers": ["query"]}}},
                     {"guardContent": {"image": {"format": "png", "source": {"bytes": PNG}}}})],
            "system": [{"text": "Be brief."}, {"guardContent": {"text": {"text": "Be kind.", "qualifiers": ["guard_content"]}}}, cache],
            "inferenceConfig": {"maxTokens": 64, "temperature": 0.5, "topP": 0.9, "stopSequences": ["STOP"]},
            "additionalModelRequestFields": {"top_k": 5},
            "additionalModelResponseFieldPaths": ["/stop_sequence"],
            "requestMetadata": {"team": "search"},
            "performanceConfig": {"latency": "standard"},
            "serviceTier": {"type": "default"},
        },
        {"modelId": HAIKU, "messages": tool_turns(), "toolConfig": {"tools": [tool(), cache], "toolChoice": {"auto": {}}}},
        {"modelId": HAIKU, "messages": HELLO, "toolConfig": {"tools": [tool()], "toolChoice": {"any": {}}}},
        {"modelId": HAIKU, "messages": HELLO, "toolConfig": {"tools": [tool()], "toolChoice": {"tool": {"name": "weather"}}}},
        {"modelId": HAIKU, "messages": HELLO, "outputConfig": {"textFormat": {"type": "json_schema", "structure": {
            "jsonSchema": {"schema": json.dumps(SCHEMA), "name": "place", "description": "A place"}}}}},
    ]


def messages_body(**more):
    return json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 32,
                       "messages": [{"role": "user", "content": "Hello"}], **more}).encode()


def bodies():
    """The native bodies of InvokeModel, by model id."""
    chat = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 32}
    return {
        HAIKU: messages_body(),
        OSS: json.dumps(chat).encode(),
        "amazon.nova-lite-v1:0": json.dumps({"schemaVersion": "messages-v1", "system": [{"text": "Be brief."}],
                                             "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
                                             "inferenceConfig": {"maxTokens": 32, "temperature": 0.5, "topP": 0.9, "topK": 20}}).encode(),
        "amazon.titan-text-express-v1": json.dumps({"inputText": "Hello", "textGenerationConfig": {
            "maxTokenCount": 32, "temperature": 0.5, "topP": 0.9, "stopSequences": []}}).encode(),
        "meta.llama3-1-8b-instruct-v1:0": json.dumps({"prompt": "Hello", "max_gen_len": 32, "temperature": 0.5, "top_p": 0.9}).encode(),
        "mistral.mistral-7b-instruct-v0:2": json.dumps({"prompt": "<s>[INST] Hello [/INST]", "max_tokens": 32, "temperature": 0.5, "top_p": 0.9, "top_k": 50}).encode(),
    }


def invocations():
    """InvokeModel and InvokeModelWithResponseStream."""
    plain = [{"modelId": model, "body": body} for model, body in bodies().items()]
    return plain + [{"modelId": HAIKU, "body": messages_body(), "contentType": "application/json", "accept": "application/json",
                     "trace": "DISABLED", "performanceConfigLatency": "standard", "serviceTier": "default"}]


def counts():
    """CountTokens."""
    counted = ("messages", "system", "toolConfig", "additionalModelRequestFields")
    return [{"modelId": HAIKU, "input": {"invokeModel": {"body": messages_body()}}}] + [
        {"modelId": HAIKU, "input": {"converse": {k: c[k] for k in counted if k in c}}} for c in conversations()]


RUNTIME = {
    "Converse": conversations, "ConverseStream": conversations,
    "InvokeModel": invocations, "InvokeModelWithResponseStream": invocations,
    "CountTokens": counts,
}

CONTROL = {
    "ListFoundationModels": lambda: [
        {},
        {"byProvider": "Anthropic"},
        {"byOutputModality": "TEXT", "byInferenceType": "ON_DEMAND"},
        {"byCustomizationType": "FINE_TUNING"},
    ],
    "GetFoundationModel": lambda: [{"modelIdentifier": HAIKU}],
    "GetFoundationModelAvailability": lambda: [{"modelId": HAIKU}],
}

S3 = {"uri": "s3://bucket/key", "bucketOwner": "123456789012"}
GUARD = {"guardrailIdentifier": "abc123", "guardrailVersion": "1", "trace": "enabled"}


def saying(block):
    return {"messages": [user({"text": "Hello"}, block)]}


def with_tool(change):
    """The turns with a tool, changed."""
    turns = tool_turns()
    change(turns[1]["content"][3]["toolUse"], turns[2]["content"][0]["toolResult"])
    return {"messages": turns, "toolConfig": {"tools": [tool()]}}


# What Outcrop refuses by design in Converse and ConverseStream: the member
# that the message must name, the reason, and a request that has it.
REFUSED = [
    ("guardrailConfig", "there are no guardrails", {"messages": HELLO, "guardrailConfig": GUARD}),
    ("guardContent.image", "a system prompt is text", {"messages": HELLO, "system": [
        {"guardContent": {"image": {"format": "png", "source": {"bytes": PNG}}}}]}),
    ("promptVariables", "there are no stored prompts", {"messages": HELLO, "promptVariables": {"name": {"text": "Ada"}}}),
    ("video", "no engine takes video", saying({"video": {"format": "mp4", "source": {"bytes": b"video"}}})),
    ("audio", "no engine takes audio", saying({"audio": {"format": "mp3", "source": {"bytes": b"audio"}}})),
    ("image.source.s3Location", "nothing is read from S3", saying({"image": {"format": "png", "source": {"s3Location": S3}}})),
    ("document.source.s3Location", "nothing is read from S3", saying({"document": {"name": "d", "format": "txt", "source": {"s3Location": S3}}})),
    ("image.error", "only answers have it", saying({"image": {"format": "png", "source": {"bytes": PNG}, "error": {"message": "x"}}})),
    ("video", "no engine takes video", with_tool(lambda use, result: result.update(
        content=[{"video": {"format": "mp4", "source": {"bytes": b"video"}}}]))),
    ("systemTool", "engines have no tools of their own", {"messages": HELLO, "toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}}),
    ("toolUse.type", "engines have no tools of their own", with_tool(lambda use, result: use.update(type="server_tool_use"))),
    ("toolResult.type", "engines have no tools of their own", with_tool(lambda use, result: result.update(type="nova_grounding_result"))),
    ("document.citations", "no engine gives citations", saying({"document": {"name": "d", "source": {"text": "t"}, "citations": {"enabled": True}}})),
    ("searchResult.citations", "no engine gives citations", saying({"searchResult": {**FOUND, "citations": {"enabled": True}}})),
]

# Members of the model that stand in no example, by structure and member, with
# the reason. What is below one of them is not listed.
REFUSED_MEMBER = "refused, see above"
UNREACHED = {
    ("ConverseRequest", "guardrailConfig"): REFUSED_MEMBER,
    ("ConverseStreamRequest", "guardrailConfig"): REFUSED_MEMBER,
    ("ConverseRequest", "promptVariables"): REFUSED_MEMBER,
    ("ConverseStreamRequest", "promptVariables"): REFUSED_MEMBER,
    ("ContentBlock", "video"): REFUSED_MEMBER,
    ("ContentBlock", "audio"): REFUSED_MEMBER,
    ("ImageBlock", "error"): REFUSED_MEMBER,
    ("ImageSource", "s3Location"): REFUSED_MEMBER,
    ("DocumentSource", "s3Location"): REFUSED_MEMBER,
    ("ToolUseBlock", "type"): REFUSED_MEMBER,
    ("ToolResultBlock", "type"): REFUSED_MEMBER,
    ("ToolResultContentBlock", "video"): REFUSED_MEMBER,
    ("Tool", "systemTool"): REFUSED_MEMBER,
    ("InvokeModelRequest", "guardrailIdentifier"): REFUSED_MEMBER,
    ("InvokeModelRequest", "guardrailVersion"): REFUSED_MEMBER,
    ("InvokeModelWithResponseStreamRequest", "guardrailIdentifier"): REFUSED_MEMBER,
    ("InvokeModelWithResponseStreamRequest", "guardrailVersion"): REFUSED_MEMBER,
}
