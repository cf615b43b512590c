"""boto3 against a real transformer engine with random weights.

What such a model says is noise, so nothing here looks at the text: lengths,
framing, usage, stop reasons, grammars and concurrency are checked.

Usage: engine.py MODEL    (endpoint and credentials come from the environment)
"""
import concurrent.futures
import json
import sys

import boto3
import botocore.config
import botocore.exceptions

from checks import Checks, equal, true
from examples import PNG, user

MODEL = sys.argv[1]
once = botocore.config.Config(retries={"max_attempts": 0}, max_pool_connections=32)
runtime = boto3.client("bedrock-runtime", config=once)


def ask(tokens=16, text="Hello, how are you?", **more):
    return runtime.converse(modelId=MODEL, messages=[user({"text": text})], inferenceConfig={"maxTokens": tokens}, **more)


def events(tokens=16, text="Hello, how are you?"):
    answer = runtime.converse_stream(modelId=MODEL, messages=[user({"text": text})], inferenceConfig={"maxTokens": tokens})
    return list(answer["stream"])


def text_of(answer):
    return "".join(b.get("text", "") for b in answer["output"]["message"]["content"])


def check_lengths():
    for tokens in (1, 7, 50):
        answer = ask(tokens)
        equal(answer["usage"]["outputTokens"], tokens, "output tokens")
        equal(answer["stopReason"], "max_tokens", "stop reason")
        true(text_of(answer), "no text")


def check_usage_sums():
    for text in ("a", "one two three " * 20):
        usage = ask(4, text)["usage"]
        total = usage["inputTokens"] + usage["outputTokens"] + usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
        equal(usage["totalTokens"], total, "total")


def check_longer_prompts_cost_more():
    short, long = (ask(1, "word " * n)["usage"] for n in (5, 200))
    true(long["totalTokens"] > short["totalTokens"] + 150, f"{short} and {long}")


def check_stream_framing():
    seen = events(32)
    names = [next(iter(e)) for e in seen]
    equal(names[0], "messageStart", "first")
    equal(names[-3:], ["contentBlockStop", "messageStop", "metadata"], "end")
    true(names.count("contentBlockDelta") > 8, f"{names.count('contentBlockDelta')} deltas for 32 tokens")
    equal(seen[-1]["metadata"]["usage"]["outputTokens"], 32, "output tokens")
    equal(seen[-2]["messageStop"]["stopReason"], "max_tokens", "stop reason")


def check_stop_sequence():
    answer = runtime.converse(modelId=MODEL, messages=[user({"text": "Go on"})],
                              inferenceConfig={"maxTokens": 500, "stopSequences": ["e"], "temperature": 1.0})
    true("e" not in text_of(answer), "the stop sequence is part of the answer")
    true(answer["usage"]["outputTokens"] < 500, "it did not stop")


def check_system_prompt_and_turns():
    answer = runtime.converse(modelId=MODEL, system=[{"text": "Be brief."}], inferenceConfig={"maxTokens": 8, "temperature": 0.5, "topP": 0.9},
                              messages=[user({"text": "Hi"}), {"role": "assistant", "content": [{"text": "Hello"}]}, user({"text": "And now?"})])
    equal(answer["usage"]["outputTokens"], 8, "output tokens")


def check_json_schema_grammar():
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}, "kind": {"enum": ["x", "y"]}}, "required": ["ok", "kind"], "additionalProperties": False}
    form = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(schema), "name": "thing"}}}}
    for _ in range(3):
        value = json.loads(text_of(ask(400, "Give me one", outputConfig=form)))
        true(isinstance(value["ok"], bool) and value["kind"] in ("x", "y") and len(value) == 2, f"{value}")


def check_too_long_prompt_is_a_validation_error():
    try:
        ask(16, "word " * 40000)
    except botocore.exceptions.ClientError as error:
        equal(error.response["Error"]["Code"], "ValidationException", "code")
        true("fit" in error.response["Error"]["Message"] or "context" in error.response["Error"]["Message"], error.response["Error"]["Message"])
    else:
        raise AssertionError("no error")


def check_what_the_engine_cannot_read_is_a_validation_error():
    try:
        runtime.converse(modelId=MODEL, messages=[user({"text": "What is it?"}, {"image": {"format": "png", "source": {"bytes": PNG}}})])
    except botocore.exceptions.ClientError as error:
        equal(error.response["Error"]["Code"], "ValidationException", "code")
    else:
        raise AssertionError("no error")


def check_concurrent_streams():
    """More streams than the engine has slots: all end, none is mixed up."""
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        lengths = [5 + i for i in range(24)]
        got = list(pool.map(lambda n: events(n)[-1]["metadata"]["usage"]["outputTokens"], lengths))
    equal(got, lengths, "output tokens")


def check_invoke_model_in_the_models_dialect():
    body = json.dumps({"prompt": "Hello", "max_gen_len": 12})
    answer = runtime.invoke_model(modelId=MODEL, body=body)
    value = json.loads(answer["body"].read())
    equal(value["generation_token_count"], 12, "tokens")
    equal(value["stop_reason"], "length", "stop reason")
    equal(answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-bedrock-output-token-count"], "12", "token header")
    chunks = [json.loads(e["chunk"]["bytes"]) for e in runtime.invoke_model_with_response_stream(modelId=MODEL, body=body)["body"]]
    equal(chunks[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"], 12, "tokens in the metrics")


def check_invoke_model_passed_through():
    body = json.dumps({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9})
    value = json.loads(runtime.invoke_model(modelId="openai.gpt-oss-20b-1:0", body=body)["body"].read())
    equal(value["usage"]["completion_tokens"], 9, "tokens")
    true(value["choices"][0]["message"]["content"], "no text")
    chunks = [json.loads(e["chunk"]["bytes"]) for e in runtime.invoke_model_with_response_stream(modelId="openai.gpt-oss-20b-1:0", body=body)["body"]]
    equal(chunks[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"], 9, "tokens in the metrics")


def main():
    checks = Checks()
    checks.all(globals())
    sys.exit(checks.end())


main()
