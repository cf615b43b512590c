"""Provisioned throughput with boto3: the code of the mission as printed,
botocore's models as the oracle for every operation, and what users do.

Usage: provisioned.py ENDPOINT FOLDER mission
       provisioned.py ENDPOINT FOLDER oracle

The server's commitment month lasts a few seconds, and `outcrop aws-extras`
has written to ~/.aws/models.
"""
import contextlib
import copy
import io
import json
import pathlib
import sys
import time

import boto3
import botocore.config
import botocore.exceptions

import mutate
from checks import Checks, Skip, equal, true
from conform import conform
from oracle import Service, check_invalid

ENDPOINT, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
SONNET = "anthropic.claude-3-sonnet-20240229-v1:0"
HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
once = botocore.config.Config(retries={"max_attempts": 0})
control = boto3.client("bedrock", config=once)
runtime = boto3.client("bedrock-runtime", config=once)
service = Service("bedrock", ENDPOINT)
patience = 60


def fails(code, call, **params):
    """Calls and returns the message; the error must have the code."""
    try:
        call(**params)
    except botocore.exceptions.ClientError as error:
        equal(error.response["Error"]["Code"], code, "error code")
        true(error.response["Error"]["Message"], "no message")
        true(error.response["ResponseMetadata"]["RequestId"], "no request id")
        return error.response["Error"]["Message"]
    raise AssertionError(f"no {code}")


def buy(name, **more):
    return control.create_provisioned_model_throughput(**{"modelUnits": 1, "provisionedModelName": name, "modelId": SONNET, **more})["provisionedModelArn"]


def get(name):
    return control.get_provisioned_model_throughput(provisionedModelId=name)


def delete(name):
    """Deletes it, as soon as its commitment has ended."""
    end = time.monotonic() + patience
    while True:
        try:
            return control.delete_provisioned_model_throughput(provisionedModelId=name)
        except control.exceptions.ConflictException:
            true(time.monotonic() < end, "the commitment does not end")
            time.sleep(0.2)


def ask(model):
    answer = runtime.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "Hello"}]}], inferenceConfig={"maxTokens": 8})
    true(answer["output"]["message"]["content"][0]["text"], "no text")


class Mission:
    """The printed blocks, in one namespace as in a notebook."""

    def __init__(self):
        self.names, self.gone = {"boto3": boto3}, False

    def run(self, block):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile((FOLDER / (block + ".py")).read_text(), block, "exec"), self.names)
        return printed.getvalue()

    def create(self):
        equal(self.run("create_provisioned_throughput"), f"Provisioned model ARN: {self.names['provisioned_model_arn']}\n", "printed")

    def use(self):
        true(self.run("use_provisioned_throughput").strip(), "no answer")

    def manage(self):
        """The delete at the end is refused while the commitment runs."""
        arn = self.names["provisioned_model_arn"]
        expires = get(arn)["commitmentExpirationTime"].timestamp()
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile((FOLDER / "manage_provisioned_throughput.py").read_text(), "manage", "exec"), self.names)
        except botocore.exceptions.ClientError as error:
            equal(error.response["Error"]["Code"], "ConflictException", "error of the delete")
        else:
            true(time.time() >= expires, "deleted while the commitment runs")
            self.gone = True
            raise Skip("this machine is so slow that the commitment had ended")
        equal(printed.getvalue(), "claude-sonnet-production: InService\nModel units: 1\nStatus: InService\n", "printed")
        end = time.monotonic() + patience
        while get(arn)["status"] == "Updating":
            true(time.monotonic() < end, "the update does not end")
        equal((get(arn)["modelUnits"], get(arn)["desiredModelUnits"]), (2, 2), "units")

    def manage_again(self):
        """Once the commitment has ended all of it succeeds."""
        if self.gone:
            raise Skip("it succeeded the first time")
        arn = self.names["provisioned_model_arn"]
        expires = get(arn)["commitmentExpirationTime"].timestamp()
        while time.time() < expires:
            time.sleep(0.1)
        equal(self.run("manage_provisioned_throughput"), "claude-sonnet-production: InService\nModel units: 2\nStatus: InService\n", "printed")
        fails("ResourceNotFoundException", control.get_provisioned_model_throughput, provisionedModelId=arn)


def example(arn):
    """Requests that use every member of the input shapes."""
    return {
        "CreateProvisionedModelThroughput": [{
            "clientRequestToken": "token-1", "modelUnits": 1, "provisionedModelName": "oracle", "modelId": SONNET,
            "commitmentDuration": "OneMonth", "tags": [{"key": "a", "value": "b"}]}],
        "GetProvisionedModelThroughput": [{"provisionedModelId": arn}],
        "ListProvisionedModelThroughputs": [{
            "creationTimeAfter": "2024-01-02T03:04:05.678901Z", "creationTimeBefore": "2054-01-02T03:04:05Z", "statusEquals": "InService",
            "modelArnEquals": f"arn:aws:bedrock:us-east-1::foundation-model/{SONNET}", "nameContains": "oracle",
            "maxResults": 10, "sortBy": "CreationTime", "sortOrder": "Ascending"}, {}],
        "UpdateProvisionedModelThroughput": [{
            "provisionedModelId": arn, "desiredProvisionedModelName": "oracle-stays", "desiredModelId": SONNET, "desiredModelUnits": 1}],
        "TagResource": [{"resourceARN": arn, "tags": [{"key": "a", "value": "b"}]}],
        "ListTagsForResource": [{"resourceARN": arn}],
        "UntagResource": [{"resourceARN": arn, "tagKeys": ["a"]}],
    }


def distinct(params):
    """Tags must have different keys."""
    for i, tag in enumerate(params.get("tags", [])):
        if len(params["tags"]) > 1:
            tag["key"] = f"key-{i}"
    return params


def check_valid(operation, params):
    if operation == "TagResource":
        had = control.list_tags_for_resource(resourceARN=params["resourceARN"])["tags"]
        control.untag_resource(resourceARN=params["resourceARN"], tagKeys=[t["key"] for t in had])
    parsed = service.call(operation, distinct(params))
    model = service.model.operation_model(operation)
    equal(service.raw.status_code, model.http["responseCode"], "status")
    true(service.raw.headers.get("x-amzn-requestid"), "no x-amzn-RequestId")
    if model.output_shape is not None and model.output_shape.members:
        conform(model.output_shape, json.loads(service.raw.content))
    if operation == "CreateProvisionedModelThroughput":
        delete(parsed["provisionedModelArn"])


def oracle(checks):
    """Every bound of every member is taken, and each constraint is kept."""
    arn = buy("oracle-stays", tags=[{"key": "first", "value": ""}])
    ask(arn)
    for operation, cases in example(arn).items():
        shape = service.model.operation_model(operation).input_shape
        for i, params in enumerate(cases):
            checks.run(f"{operation}/valid/example {i + 1}", check_valid, operation, copy.deepcopy(params))
        for n, (label, params) in enumerate(mutate.valid(shape, cases)):
            if operation == "CreateProvisionedModelThroughput" and "clientRequestToken" not in label:
                params["clientRequestToken"] = f"valid-{n}"
            if not any(word in label for word in ("modelId ", "ModelId ", "modelArnEquals", "resourceARN", "nextToken", "ProvisionedModelName ")) or "hortest" in label and "Name" in label:
                checks.run(f"{operation}/valid/{label}", check_valid, operation, params)
        for label, kind, params in mutate.invalid(shape, cases):
            checks.run(f"{operation}/invalid/{label}", check_invalid, service, operation, params)
    delete(arn)


def check_the_arn_the_name_and_the_id_are_model_ids():
    arn = buy("by-any-name")
    for name in (arn, "by-any-name", arn.rsplit("/", 1)[1]):
        ask(name)
        runtime.converse_stream(modelId=name, messages=[{"role": "user", "content": [{"text": "Hello"}]}])["stream"].close()
        native = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 8, "messages": [{"role": "user", "content": "Hello"}]})
        runtime.invoke_model(modelId=name, body=native)
        true(len(list(runtime.invoke_model_with_response_stream(modelId=name, body=native)["body"])) > 0, "no chunks")
        true(runtime.count_tokens(modelId=name, input={"converse": {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}})["inputTokens"] > 0, "no tokens")
    delete(arn)
    fails("ResourceNotFoundException", runtime.converse, modelId=arn, messages=[{"role": "user", "content": [{"text": "Hello"}]}])
    fails("ValidationException", runtime.converse, modelId="by-any-name", messages=[{"role": "user", "content": [{"text": "Hello"}]}])


def check_contextual_variants_serve():
    for model in (HAIKU + ":48k", f"arn:aws:bedrock:us-east-1::foundation-model/{HAIKU}:200k", "amazon.titan-text-express-v1"):
        arn = buy("variant", modelId=model)
        ask(arn)
        true(get(arn)["modelArn"].endswith(model.rsplit("/", 1)[-1]), get(arn)["modelArn"])
        delete(arn)


def check_pages():
    arns = [buy(f"page-{i}", modelId=HAIKU) for i in range(5)]
    for size in (1, 2, 5, 100):
        pages = control.get_paginator("list_provisioned_model_throughputs").paginate(nameContains="page-", sortOrder="Ascending", PaginationConfig={"PageSize": size})
        equal([s["provisionedModelArn"] for s in pages.search("provisionedModelSummaries[]")], arns, f"pages of {size}")
    newest = control.list_provisioned_model_throughputs(nameContains="page-", maxResults=1)["provisionedModelSummaries"][0]
    equal(newest["provisionedModelArn"], arns[-1], "newest first")
    for arn in arns:
        delete(arn)


def check_quota():
    arn = buy("quota", modelId="amazon.nova-lite-v1:0", modelUnits=8)
    true("is 3." in fails("ServiceQuotaExceededException", buy, name="more", modelId="amazon.nova-lite-v1:0", modelUnits=4), "the largest size is not told")
    ask(arn)
    true("is 11." in fails("ServiceQuotaExceededException", control.update_provisioned_model_throughput, provisionedModelId=arn, desiredModelUnits=12), "the largest size is not told")
    control.update_provisioned_model_throughput(provisionedModelId=arn, desiredModelUnits=10)
    delete(arn)


def check_absent_members_are_absent():
    arn = buy("no-commitment")
    ask(arn)
    for member in ("commitmentDuration", "commitmentExpirationTime", "failureMessage"):
        true(member not in get(arn), f"{member} is there")
    true("nextToken" not in control.list_provisioned_model_throughputs(), "a token at the end")
    delete(arn)


def check_names_and_tokens():
    arn = buy("taken", clientRequestToken="abc-1")
    equal(buy("taken", clientRequestToken="abc-1"), arn, "the same token")
    fails("ValidationException", buy, name="other", clientRequestToken="abc-1")
    true("taken" in fails("ValidationException", buy, name="taken"), "the name is not told")
    control.update_provisioned_model_throughput(provisionedModelId="taken", desiredProvisionedModelName="free")
    equal(get("free")["provisionedModelArn"], arn, "renamed")
    delete("free")


def check_other_accounts():
    arn = "arn:aws:bedrock:us-east-1:999999999999:provisioned-model/abcdefghij12"
    fails("AccessDeniedException", control.get_provisioned_model_throughput, provisionedModelId=arn)
    fails("AccessDeniedException", control.list_tags_for_resource, resourceARN=arn)
    fails("AccessDeniedException", runtime.converse, modelId=arn, messages=[{"role": "user", "content": [{"text": "Hello"}]}])


def main():
    checks = Checks()
    if sys.argv[3] == "mission":
        mission = Mission()
        checks.run("mission/Create Provisioned Throughput", mission.create)
        checks.run("mission/Use Provisioned Throughput", mission.use)
        checks.run("mission/Manage Provisioned Throughput", mission.manage)
        checks.run("mission/Manage Provisioned Throughput after the commitment", mission.manage_again)
    else:
        checks.all({name: check for name, check in globals().items() if name not in ("check_valid", "check_invalid")})
        oracle(checks)
    sys.exit(checks.end())


main()
