"""What users of boto3 do, against a server with the simulated engine.

Usage: functional.py    (endpoint and credentials come from the environment)
"""
import json
import re
import sys
import time

import boto3
import botocore.config
import botocore.exceptions

from checks import Checks, equal, true
from examples import GIF, HAIKU, HELLO, JPEG, OSS, PDF, PNG, SCHEMA, WEBP, assistant, bodies, messages_body, tool, tool_turns, user

SONNET = "anthropic.claude-3-sonnet-20240229-v1:0"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
once = botocore.config.Config(retries={"max_attempts": 0})
runtime = boto3.client("bedrock-runtime", config=once)
control = boto3.client("bedrock", config=once)

# The modelled exceptions of the runtime and their statuses.
STATUS = {
    "AccessDeniedException": 403, "InternalServerException": 500, "ModelErrorException": 424, "ModelNotReadyException": 429,
    "ModelTimeoutException": 408, "ResourceNotFoundException": 404, "ServiceUnavailableException": 503,
    "ThrottlingException": 429, "ValidationException": 400,
}


def ask(text="Hello, how are you?", client=runtime, **more):
    return client.converse(modelId=more.pop("modelId", HAIKU), messages=[user({"text": text})], **more)


def text_of(answer):
    return "".join(b.get("text", "") for b in answer["output"]["message"]["content"])


def stream(text="Hello, how are you?", client=runtime, **more):
    answer = client.converse_stream(modelId=more.pop("modelId", HAIKU), messages=more.pop("messages", [user({"text": text})]), **more)
    return list(answer["stream"])


def fails(code, call, *args, **more):
    """Calls and returns the ClientError, which must have the code."""
    try:
        call(*args, **more)
    except botocore.exceptions.ClientError as error:
        equal(error.response["Error"]["Code"], code, "error code")
        true(error.response["Error"]["Message"], "no message")
        return error
    raise AssertionError(f"no {code}")


def fault(name):
    return {"requestMetadata": {"fault": name}}


def check_converse():
    answer = ask(inferenceConfig={"maxTokens": 64})
    equal(answer["ResponseMetadata"]["HTTPStatusCode"], 200, "status")
    equal(answer["output"]["message"]["role"], "assistant", "role")
    true(text_of(answer), "no text")
    true(answer["stopReason"] in ("end_turn", "max_tokens"), answer["stopReason"])
    usage = answer["usage"]
    equal(usage["totalTokens"], usage["inputTokens"] + usage["outputTokens"], "total")
    true(isinstance(answer["metrics"]["latencyMs"], int), "latencyMs")


def check_request_ids_are_unique_uuids():
    seen = {ask()["ResponseMetadata"]["RequestId"] for _ in range(5)}
    equal(len(seen), 5, "different ids")
    true(all(UUID.match(i) for i in seen), f"not UUIDs: {seen}")


def check_stream_events_in_order():
    events = stream(inferenceConfig={"maxTokens": 64})
    names = [next(iter(e)) for e in events]
    equal(names[0], "messageStart", "first")
    true("contentBlockStart" not in names, "a text block has no contentBlockStart")
    equal(names[-3:], ["contentBlockStop", "messageStop", "metadata"], "end")
    true(names.count("contentBlockDelta") > 1, "one delta only")
    usage = events[-1]["metadata"]["usage"]
    equal(usage["totalTokens"], usage["inputTokens"] + usage["outputTokens"], "total")


def check_stream_and_unary_say_the_same():
    whole = text_of(ask("Tell me about tides", inferenceConfig={"maxTokens": 40}))
    parts = [e["contentBlockDelta"]["delta"]["text"] for e in stream("Tell me about tides", inferenceConfig={"maxTokens": 40}) if "contentBlockDelta" in e]
    equal("".join(parts), whole, "text")


def check_max_tokens_stops():
    answer = ask("Tell me a long story", inferenceConfig={"maxTokens": 3})
    equal(answer["stopReason"], "max_tokens", "stop reason")
    equal(answer["usage"]["outputTokens"], 3, "output tokens")


def check_stop_sequence_stops():
    whole = text_of(ask("Tell me a long story", inferenceConfig={"maxTokens": 200}))
    word = whole.split()[5]
    answer = ask("Tell me a long story", inferenceConfig={"maxTokens": 200, "stopSequences": [word]})
    equal(answer["stopReason"], "stop_sequence", "stop reason")
    true(word not in text_of(answer), "the stop sequence is part of the answer")


def check_forced_tool_is_called_with_valid_input():
    for choice in ({"any": {}}, {"tool": {"name": "weather"}}):
        answer = ask(toolConfig={"tools": [tool()], "toolChoice": choice})
        equal(answer["stopReason"], "tool_use", "stop reason")
        use = [b["toolUse"] for b in answer["output"]["message"]["content"] if "toolUse" in b][0]
        equal(use["name"], "weather", "tool")
        true(isinstance(use["input"]["city"], str), f"input {use['input']}")


def check_auto_calls_the_tool_that_the_prompt_names():
    answer = ask("Use the weather tool for Bern", toolConfig={"tools": [tool()], "toolChoice": {"auto": {}}})
    equal(answer["stopReason"], "tool_use", "stop reason")


def check_auto_leaves_other_prompts_alone():
    equal(ask("Good morning", toolConfig={"tools": [tool()]})["stopReason"], "end_turn", "stop reason")


def check_streamed_tool_input_is_json():
    events = stream(toolConfig={"tools": [tool()], "toolChoice": {"any": {}}})
    start = [e["contentBlockStart"] for e in events if "contentBlockStart" in e][-1]
    index = start["contentBlockIndex"]
    equal(start["start"]["toolUse"]["name"], "weather", "tool")
    parts = [e["contentBlockDelta"]["delta"]["toolUse"]["input"] for e in events
             if "contentBlockDelta" in e and e["contentBlockDelta"]["contentBlockIndex"] == index]
    true(isinstance(json.loads("".join(parts))["city"], str), "input")
    true(any(e.get("contentBlockStop", {}).get("contentBlockIndex") == index for e in events), "no contentBlockStop")


def check_tool_result_is_answered():
    answer = runtime.converse(modelId=HAIKU, messages=tool_turns(), toolConfig={"tools": [tool()]})
    true(text_of(answer), "no text")


def check_tool_use_without_tool_config_is_refused():
    fails("ValidationException", runtime.converse, modelId=HAIKU, messages=tool_turns())


def check_tool_result_without_use_is_refused():
    messages = HELLO + [assistant({"text": "Hi"}), user({"toolResult": {"toolUseId": "nobody", "content": [{"text": "x"}]}})]
    fails("ValidationException", runtime.converse, modelId=HAIKU, messages=messages, toolConfig={"tools": [tool()]})


def check_broken_alternation_is_refused():
    fails("ValidationException", runtime.converse, modelId=HAIKU, messages=[assistant({"text": "Hi"})] + HELLO)


def check_blank_text_is_refused():
    for blank in ("", "  \n\t"):
        fails("ValidationException", runtime.converse, modelId=HAIKU, messages=[user({"text": blank})])


def check_json_schema_output_validates():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "kind": {"enum": ["a", "b"]}, "tags": {"type": "array", "items": {"type": "string"}}},
              "required": ["n", "kind", "tags"], "additionalProperties": False}
    form = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(schema), "name": "thing"}}}}
    value = json.loads(text_of(ask(outputConfig=form)))
    equal(sorted(value), ["kind", "n", "tags"], "members")
    true(isinstance(value["n"], int) and value["kind"] in ("a", "b") and all(isinstance(t, str) for t in value["tags"]), f"{value}")


def check_images():
    for form, data in (("png", PNG), ("jpeg", JPEG), ("gif", GIF), ("webp", WEBP)):
        answer = runtime.converse(modelId=HAIKU, messages=[user({"text": "What is it?"}, {"image": {"format": form, "source": {"bytes": data}}})])
        true(text_of(answer), f"no text for {form}")


def check_image_for_a_text_model_is_refused():
    fails("ValidationException", runtime.converse, modelId="meta.llama3-1-8b-instruct-v1:0",
          messages=[user({"text": "What is it?"}, {"image": {"format": "png", "source": {"bytes": PNG}}})])


def check_documents():
    for form, data in (("txt", b"the tide turns"), ("md", b"# tide"), ("csv", b"a,b\n1,2\n"), ("html", b"<p>tide</p>"), ("pdf", PDF)):
        answer = runtime.converse(modelId=HAIKU, messages=[user({"text": "Sum it up."}, {"document": {"format": form, "name": "notes", "source": {"bytes": data}}})])
        true(text_of(answer), f"no text for {form}")


def check_model_ids_and_arns():
    names = [
        HAIKU, "us." + HAIKU, "eu." + HAIKU, "apac." + HAIKU, "global." + HAIKU,
        "arn:aws:bedrock:us-east-1::foundation-model/" + HAIKU,
        "arn:aws:bedrock:us-east-1:000000000000:inference-profile/us." + HAIKU,
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us." + HAIKU,
    ]
    for name in names:
        true(text_of(ask(modelId=name)), f"no text from {name}")


def check_unknown_model_is_a_validation_error():
    for name in ("no.such-model-v1:0", "arn:aws:bedrock:us-east-1::foundation-model/no.such-model-v1:0"):
        error = fails("ValidationException", ask, modelId=name)
        equal(error.response["Error"]["Message"], "The provided model identifier is invalid.", "message")
        equal(error.response["ResponseMetadata"]["HTTPStatusCode"], 400, "status")


def check_resources_that_do_not_exist_are_not_found():
    for name in ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.no.such-model-v1:0",
                 "arn:aws:bedrock:us-east-1:000000000000:provisioned-model/abcdefghij12"):
        fails("ResourceNotFoundException", ask, modelId=name)


def check_count_tokens_equals_what_is_billed():
    counted = runtime.count_tokens(modelId=HAIKU, input={"converse": {"messages": HELLO}})["inputTokens"]
    equal(counted, ask()["usage"]["inputTokens"], "tokens")


def check_count_tokens_of_a_native_body():
    counted = runtime.count_tokens(modelId=HAIKU, input={"invokeModel": {"body": messages_body()}})["inputTokens"]
    answer = runtime.invoke_model(modelId=HAIKU, body=messages_body())
    equal(counted, json.loads(answer["body"].read())["usage"]["input_tokens"], "tokens")


def check_invoke_model_in_every_dialect():
    text = {
        HAIKU: lambda a: a["content"][0]["text"], OSS: lambda a: a["choices"][0]["message"]["content"],
        "amazon.nova-lite-v1:0": lambda a: a["output"]["message"]["content"][0]["text"],
        "amazon.titan-text-express-v1": lambda a: a["results"][0]["outputText"],
        "meta.llama3-1-8b-instruct-v1:0": lambda a: a["generation"], "mistral.mistral-7b-instruct-v0:2": lambda a: a["outputs"][0]["text"],
    }
    for model, body in bodies().items():
        answer = runtime.invoke_model(modelId=model, body=body)
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        true(text[model](json.loads(answer["body"].read())), f"no text from {model}")
        for name in ("input-token-count", "output-token-count", "invocation-latency"):
            true(int(headers["x-amzn-bedrock-" + name]) >= 0, f"{model}: no {name}")
        equal(answer["contentType"], "application/json", "content type")


def check_invoke_stream_in_every_dialect():
    for model, body in bodies().items():
        answer = runtime.invoke_model_with_response_stream(modelId=model, body=body)
        equal(answer["contentType"], "application/json", f"{model}: content type")
        chunks = [json.loads(e["chunk"]["bytes"]) for e in answer["body"]]
        true(len(chunks) > 1, f"{model}: one chunk only")
        metrics = chunks[-1]["amazon-bedrock-invocationMetrics"]
        true(metrics["inputTokenCount"] > 0 and metrics["outputTokenCount"] > 0, f"{model}: {metrics}")
        true(all("amazon-bedrock-invocationMetrics" not in c for c in chunks[:-1]), f"{model}: metrics twice")


def check_batch_records_of_the_mission_are_served():
    body = json.dumps({"messages": [{"role": "user", "content": "Summarize cloud computing"}]})
    true(json.loads(runtime.invoke_model(modelId=HAIKU, body=body)["body"].read())["content"][0]["text"], "no text")


def check_error_classes_and_statuses():
    for code, status in STATUS.items():
        error = fails(code, ask, **fault(code))
        equal(error.response["ResponseMetadata"]["HTTPStatusCode"], status, f"status of {code}")
        true(isinstance(error, getattr(runtime.exceptions, code)), f"{type(error).__name__} is not {code}")
        true(UUID.match(error.response["ResponseMetadata"]["RequestId"]), "no request id")


def check_errors_before_a_stream_are_plain():
    error = fails("ThrottlingException", runtime.converse_stream, modelId=HAIKU, messages=HELLO, **fault("ThrottlingException"))
    equal(error.response["ResponseMetadata"]["HTTPStatusCode"], 429, "status")


def check_throttling_tells_when_to_come_back():
    headers = fails("ThrottlingException", ask, **fault("ThrottlingException")).response["ResponseMetadata"]["HTTPHeaders"]
    true("retry-after" in headers and int(headers["x-amz-retry-after"]) > 0, f"{headers}")


def retries(mode, code):
    """How many attempts boto3 makes at a call that fails with the code."""
    client = boto3.client("bedrock-runtime", config=botocore.config.Config(retries={"mode": mode}))
    error = fails(code, ask, client=client, **fault(code))
    return 1 + error.response["ResponseMetadata"]["RetryAttempts"]


def check_retries():
    sleep, time.sleep = time.sleep, lambda seconds: None
    try:
        for code in ("ThrottlingException", "ServiceUnavailableException", "ModelNotReadyException"):
            equal(retries("legacy", code), 5, f"legacy attempts at {code}")
            equal(retries("standard", code), 3, f"standard attempts at {code}")
        equal(retries("standard", "ValidationException"), 1, "attempts at ValidationException")
        equal(retries("standard", "ModelTimeoutException"), 1, "attempts at ModelTimeoutException")
    finally:
        time.sleep = sleep


def check_a_retry_succeeds():
    """A fault by rate: half of the calls fail, and retries hide it."""
    client = boto3.client("bedrock-runtime", config=botocore.config.Config(retries={"mode": "standard", "max_attempts": 12}))
    sleep, time.sleep = time.sleep, lambda seconds: None
    try:
        for _ in range(5):
            true(text_of(ask(client=client, **fault("sometimes"))), "no text")
    finally:
        time.sleep = sleep


def check_cut_stream_raises():
    try:
        events = stream("Tell me a long story", **fault("cut"))
    except botocore.exceptions.EventStreamError as error:
        equal(error.response["Error"]["Code"], "modelStreamErrorException", "code")
    else:
        raise AssertionError(f"no EventStreamError; {len(events)} events")


def check_read_timeout():
    client = boto3.client("bedrock-runtime", config=botocore.config.Config(read_timeout=0.5, retries={"max_attempts": 0}))
    try:
        ask(client=client, **fault("slow-start"))
    except botocore.exceptions.ReadTimeoutError:
        true(text_of(ask()), "the server is hurt")
    else:
        raise AssertionError("no timeout")


def check_canned_reply():
    equal(text_of(ask("ping 42")), "pong 42", "reply")


def check_answers_repeat():
    equal(text_of(ask("Say something")), text_of(ask("Say something")), "text")


def check_service_tier_and_latency_are_echoed():
    answer = ask(serviceTier={"type": "priority"}, performanceConfig={"latency": "optimized"})
    equal(answer["serviceTier"]["type"], "priority", "tier")
    true(answer["performanceConfig"]["latency"] in ("standard", "optimized"), "latency")


def check_response_field_paths():
    ask(additionalModelResponseFieldPaths=["/stop_sequence"])
    fails("ValidationException", ask, additionalModelResponseFieldPaths=["no pointer"])


def check_cache_points_are_accepted():
    answer = runtime.converse(modelId=HAIKU, messages=[user({"text": "Hello"}, {"cachePoint": {"type": "default"}})])
    for name in ("cacheReadInputTokens", "cacheWriteInputTokens"):
        true(name in answer["usage"], f"no {name}")


def check_too_many_tokens_are_refused():
    fails("ValidationException", ask, inferenceConfig={"maxTokens": 10_000_000})


def check_list_foundation_models():
    models = control.list_foundation_models()["modelSummaries"]
    ids = {m["modelId"] for m in models}
    true({HAIKU, SONNET, "anthropic.claude-3-opus-20240229-v1:0"} <= ids, "the mission's models are missing")
    for keep, query in (
        (lambda m: m["providerName"] == "Anthropic", {"byProvider": "Anthropic"}),
        (lambda m: "EMBEDDING" in m["outputModalities"], {"byOutputModality": "EMBEDDING"}),
        (lambda m: "PROVISIONED" in m["inferenceTypesSupported"], {"byInferenceType": "PROVISIONED"}),
        (lambda m: "FINE_TUNING" in m.get("customizationsSupported", []), {"byCustomizationType": "FINE_TUNING"}),
    ):
        got = {m["modelId"] for m in control.list_foundation_models(**query)["modelSummaries"]}
        equal(got, {m["modelId"] for m in models if keep(m)}, f"models {query}")


def check_get_foundation_model():
    for name in (HAIKU, "arn:aws:bedrock:us-east-1::foundation-model/" + HAIKU):
        details = control.get_foundation_model(modelIdentifier=name)["modelDetails"]
        equal(details["modelId"], HAIKU, "id")
        equal(details["modelArn"], "arn:aws:bedrock:us-east-1::foundation-model/" + HAIKU, "ARN")
    fails("ResourceNotFoundException", control.get_foundation_model, modelIdentifier="no.such-model-v1:0")


def check_foundation_model_availability():
    answer = control.get_foundation_model_availability(modelId=HAIKU)
    equal(answer["modelId"], HAIKU, "id")
    equal(answer["entitlementAvailability"], "AVAILABLE", "entitlement")


def check_unknown_operation():
    fails("UnknownOperationException", control.list_guardrails)


def check_reused_connection_after_errors():
    for _ in range(3):
        fails("ValidationException", ask, modelId="no.such-model-v1:0")
        true(text_of(ask()), "no text")


def main():
    checks = Checks()
    checks.all(globals())
    sys.exit(checks.end())


main()
