"""Limits, units, spillover and service tiers with boto3.

Usage: capacity.py    (endpoint and credentials come from the environment)

capacity_test.go has the server's limits. `outcrop aws-extras` has written to
~/.aws/models.
"""
import json
import re
import sys

import boto3
import botocore.config
import botocore.exceptions

from checks import Checks, equal, true

LIMITED = "amazon.nova-lite-v1:0"  # two requests a minute
SMALL = "anthropic.claude-3-haiku-20240307-v1:0"  # one call fills a unit for minutes
MEASURED = "anthropic.claude-3-sonnet-20240229-v1:0"  # the engine carries three units
RESERVED = "amazon.nova-pro-v1:0"  # one call fills what the account has reserved
once = botocore.config.Config(retries={"max_attempts": 0})
control = boto3.client("bedrock", config=once)
runtime = boto3.client("bedrock-runtime", config=once)
HELLO = [{"role": "user", "content": [{"text": "Hello"}]}]
SHORT = {"maxTokens": 8}
CLAUDE = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]})
NOVA = json.dumps({"messages": HELLO, "inferenceConfig": SHORT})


def converse(model, **more):
    return runtime.converse(modelId=model, messages=HELLO, inferenceConfig=SHORT, **more)


def last_event(model, **more):
    return list(runtime.converse_stream(modelId=model, messages=HELLO, inferenceConfig=SHORT, **more)["stream"])[-1]["metadata"]


def refused(code, call, *args, **params):
    """Calls and returns the error's response; the error must have the code."""
    try:
        call(*args, **params)
    except botocore.exceptions.ClientError as error:
        equal(error.response["Error"]["Code"], code, "error code")
        return error.response
    raise AssertionError(f"no {code}")


def throttled(sentence, limit, call, *args, **params):
    """Checks all that a refusal says, and returns its text."""
    response = refused("ThrottlingException", call, *args, **params)
    text, about = response["Error"]["Message"], response["ResponseMetadata"]
    equal(about["HTTPStatusCode"], 429, "status")
    true(text.startswith(sentence + " Limit: "), text)
    true(limit in text, text)
    true(re.search(r", at [\d,]+ of [\d,]+ \(\d+ %\)", text), f"no level: {text}")
    true(about["RequestId"] and f"request id {about['RequestId']}." in text, f"no request id: {text}")
    wait = re.search(r"; free in (?:(\d+)m)?([\d.]+)s", text)
    true(wait, f"no wait: {text}")
    told = round((60 * int(wait[1] or 0) + float(wait[2])) * 1000)
    equal(int(about["HTTPHeaders"]["x-amz-retry-after"]), told, "milliseconds to wait")
    equal(int(about["HTTPHeaders"]["retry-after"]), -(-told // 1000), "seconds to wait")
    return text


def buy(name, model, **more):
    return control.create_provisioned_model_throughput(**{"modelUnits": 1, "provisionedModelName": name, "modelId": model, **more})["provisionedModelArn"]


def full(name, **more):
    """Buys a unit and fills it with a call that is within it."""
    arn = buy(name, SMALL, **more)
    answer = converse(arn)
    true("x-outcrop-spillover" not in answer["ResponseMetadata"]["HTTPHeaders"], "it spilled within the unit")
    true("serviceTier" not in answer, "a tier within the unit")
    return arn


def delete(arn):
    control.delete_provisioned_model_throughput(provisionedModelId=arn)


def check_requests_per_minute():
    sentence = "Too many requests, please wait before trying again."
    limit = f"requests per minute of account 000000000000 for {LIMITED}, at 2 of 2"
    for _ in range(2):
        converse(LIMITED)
    true("; needed 1; " in throttled(sentence, limit, converse, LIMITED), "what it needed is not told")
    throttled(sentence, limit, last_event, LIMITED)
    throttled(sentence, limit, runtime.invoke_model, modelId=LIMITED, body=NOVA)
    throttled(sentence, limit, runtime.invoke_model_with_response_stream, modelId=LIMITED, body=NOVA)
    throttled(sentence, limit, converse, LIMITED, serviceTier={"type": "priority"})
    converse(SMALL)


def check_a_unit_over_its_rate():
    arn = full("over")
    sentence, limit = "Too many tokens, please wait before trying again.", "input tokens of unit over"
    for name in (arn, "over"):
        true("spill is off" in throttled(sentence, limit, converse, name), "spill is not told")
        throttled(sentence, limit, last_event, name)
        throttled(sentence, limit, runtime.invoke_model, modelId=name, body=CLAUDE)
    converse(SMALL)
    delete(arn)


def check_spillover_by_tag():
    arn = full("by-tag")
    refused("ThrottlingException", converse, arn)
    control.tag_resource(resourceARN=arn, tags=[{"key": "outcrop:spillover", "value": "default"}])
    spilled(arn, "default")
    control.tag_resource(resourceARN=arn, tags=[{"key": "outcrop:spillover", "value": "flex"}])
    spilled(arn, "flex")
    control.untag_resource(resourceARN=arn, tagKeys=["outcrop:spillover"])
    refused("ThrottlingException", converse, arn)
    delete(arn)


def spilled(arn, to, **more):
    answer = converse(arn, **more)
    equal(answer["serviceTier"]["type"], to, "tier")
    equal(answer["ResponseMetadata"]["HTTPHeaders"]["x-outcrop-spillover"], to, "header")
    equal(last_event(arn, **more)["serviceTier"]["type"], to, "tier of the stream")


def check_spillover_by_request():
    arn = full("by-request", tags=[{"key": "outcrop:spillover", "value": "default"}])
    spilled(arn, "default")
    spilled(arn, "priority", requestMetadata={"outcrop:spillover": "priority"})
    throttled("Too many tokens, please wait before trying again.", "input tokens of unit by-request", converse, arn, requestMetadata={"outcrop:spillover": "none"})
    wrong = refused("ValidationException", converse, arn, requestMetadata={"outcrop:spillover": "sometimes"})
    true("requestMetadata.outcrop:spillover" in wrong["Error"]["Message"], wrong["Error"]["Message"])
    delete(arn)


def check_units_that_the_engines_cannot_carry():
    largest = "The largest number that you can have now is 3."
    response = refused("ServiceQuotaExceededException", buy, "four", MEASURED, modelUnits=4)
    true(largest in response["Error"]["Message"], response["Error"]["Message"])
    arn = buy("two", MEASURED, modelUnits=2)
    response = refused("ServiceQuotaExceededException", control.update_provisioned_model_throughput, provisionedModelId=arn, desiredModelUnits=4)
    true(largest in response["Error"]["Message"], response["Error"]["Message"])
    control.update_provisioned_model_throughput(provisionedModelId=arn, desiredModelUnits=3)
    response = refused("ServiceQuotaExceededException", buy, "one", MEASURED)
    true(largest.replace("3", "0") in response["Error"]["Message"], response["Error"]["Message"])
    delete(arn)
    delete(buy("three", MEASURED, modelUnits=3))


def check_tiers_that_were_asked_for():
    for tier in ("priority", "default", "flex"):
        equal(converse(SMALL, serviceTier={"type": tier})["serviceTier"]["type"], tier, "tier")
        equal(last_event(SMALL, serviceTier={"type": tier})["serviceTier"]["type"], tier, "tier of the stream")
        answer = runtime.invoke_model(modelId=SMALL, body=CLAUDE, serviceTier=tier)
        equal(answer["serviceTier"], tier, "tier of InvokeModel")
        equal(answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-bedrock-service-tier"], tier, "header")
    true("serviceTier" not in converse(SMALL), "a tier that nobody asked for")


def check_reserved_tier_overflows():
    for want in ("reserved", "default", "default"):
        equal(converse(RESERVED, serviceTier={"type": "reserved"})["serviceTier"]["type"], want, "tier")
    equal(last_event(RESERVED, serviceTier={"type": "reserved"})["serviceTier"]["type"], "default", "tier of the stream")
    equal(runtime.invoke_model(modelId=RESERVED, body=NOVA, serviceTier="reserved")["serviceTier"], "default", "tier of InvokeModel")


def check_reserved_tier_of_a_model_without_it():
    equal(converse(SMALL, serviceTier={"type": "reserved"})["serviceTier"]["type"], "default", "tier")


def main():
    checks = Checks()
    checks.all(globals())
    sys.exit(checks.end())


main()
