"""Batch jobs with boto3: the code of the mission as printed, botocore's models
as the oracle for every operation, and what users do.

Usage: batch.py ENDPOINT FOLDER mission
       batch.py ENDPOINT FOLDER oracle
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
from checks import Checks, equal, true
from conform import conform
from oracle import Service, check_invalid

ENDPOINT, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
ROLE = "arn:aws:iam::123456789012:role/BedrockBatchRole"
once = botocore.config.Config(retries={"max_attempts": 0})
control = boto3.client("bedrock", config=once)
s3 = boto3.client("s3")
service = Service("bedrock", ENDPOINT)
patience = 60


def fails(code, call, **params):
    """Calls and returns the message; the error must have the code."""
    try:
        call(**params)
    except botocore.exceptions.ClientError as error:
        equal(error.response["Error"]["Code"], code, "error code")
        true(error.response["ResponseMetadata"]["RequestId"], "no request id")
        return error.response["Error"]["Message"]
    raise AssertionError(f"no {code}")


def create(name, folder="in/", **more):
    return control.create_model_invocation_job(**{
        "jobName": name, "roleArn": ROLE, "modelId": HAIKU,
        "inputDataConfig": {"s3InputDataConfig": {"s3Uri": f"s3://batch-checks/{folder}"}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://batch-checks/out"}}, **more})["jobArn"]


def get(arn):
    return control.get_model_invocation_job(jobIdentifier=arn)


def ended(arn):
    end = time.monotonic() + patience
    while get(arn)["status"] not in ("Completed", "Failed", "Stopped", "Expired", "PartiallyCompleted"):
        true(time.monotonic() < end, "the job does not end")
        time.sleep(0.05)
    return get(arn)


def read(key):
    return s3.get_object(Bucket="batch-checks", Key=key)["Body"].read().decode()


def put(key, records):
    s3.put_object(Bucket="batch-checks", Key=key, Body="\n".join(json.dumps(r) for r in records))


class Mission:
    """The printed blocks, in one namespace as in a notebook. Only the bucket is
    made before, and the sleep is shorter."""

    def __init__(self):
        self.names = {"boto3": boto3, "bedrock": control}

    def run(self, block):
        printed = io.StringIO()
        source = (FOLDER / (block + ".py")).read_text().replace("time.sleep(30)", "time.sleep(0.2)")
        with contextlib.redirect_stdout(printed):
            exec(compile(source, block, "exec"), self.names)
        return printed.getvalue()

    def create(self):
        s3.create_bucket(Bucket="my-batch-bucket")
        self.run("create_batch_job")
        true(self.names["job_arn"].startswith("arn:aws:bedrock:us-east-1:"), self.names["job_arn"])

    def monitor(self):
        lines = self.run("monitor_batch_job").splitlines()
        equal(lines[-2:], ["Status: Completed", "Results available at: s3://my-batch-bucket/batch-output/"], "printed")
        folder = "batch-output/" + self.names["job_arn"].rsplit("/", 1)[1] + "/"
        out = s3.get_object(Bucket="my-batch-bucket", Key=folder + "input.jsonl.out")["Body"].read().decode()
        answers = {line["recordId"]: line for line in map(json.loads, out.splitlines())}
        equal(sorted(answers), ["1", "2", "3"], "records")
        for given in self.names["input_data"]:
            line = answers[given["recordId"]]
            equal(line["modelInput"], given["modelInput"], "the input")
            true(line["modelOutput"]["content"][0]["text"], "no answer")
        manifest = json.loads(s3.get_object(Bucket="my-batch-bucket", Key=folder + "manifest.json.out")["Body"].read())
        equal((manifest["totalRecordCount"], manifest["successRecordCount"], manifest["errorRecordCount"]), (3, 3, 0), "manifest")
        true(manifest["inputTokenCount"] > 0 and manifest["outputTokenCount"] > 0, manifest)


def example(arn):
    """Requests that use every member of the input shapes."""
    return {
        "CreateModelInvocationJob": [{
            "jobName": "oracle", "roleArn": ROLE, "clientRequestToken": "token-1", "modelId": HAIKU, "modelInvocationType": "Converse",
            "inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://batch-checks/in/", "s3InputFormat": "JSONL", "s3BucketOwner": "123456789012"}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://batch-checks/out/", "s3EncryptionKeyId": "alias/key", "s3BucketOwner": "123456789012"}},
            "vpcConfig": {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]}, "timeoutDurationInHours": 24,
            "tags": [{"key": "a", "value": "b"}]}],
        "GetModelInvocationJob": [{"jobIdentifier": arn}],
        "ListModelInvocationJobs": [{
            "submitTimeAfter": "2024-01-02T03:04:05.678901Z", "submitTimeBefore": "2054-01-02T03:04:05Z", "statusEquals": "Completed",
            "nameContains": "oracle", "maxResults": 10, "sortBy": "CreationTime", "sortOrder": "Ascending"}, {}],
        "StopModelInvocationJob": [{"jobIdentifier": arn}],
    }


serial = 0


def check_valid(operation, params):
    """The names and tokens of jobs are there for good, so that each is another."""
    global serial
    serial += 1
    if operation == "CreateModelInvocationJob":
        if len(params.get("jobName", "")) > 10:
            params["jobName"] = params["jobName"][:-6] + f"{serial:06d}"
        else:
            params["jobName"] = f"o{serial}"
        params["clientRequestToken"] = f"valid-{serial}" if len(params.get("clientRequestToken", "")) < 50 else params["clientRequestToken"]
        for i, tag in enumerate(params.get("tags", [])):
            if len(params["tags"]) > 1:
                tag["key"] = f"key-{i}"
    if operation == "StopModelInvocationJob":
        params["jobIdentifier"] = create(f"to-stop-{serial}", folder="slow/")
    service.call(operation, params)
    model = service.model.operation_model(operation)
    equal(service.raw.status_code, model.http["responseCode"] if "responseCode" in model.http else 200, "status")
    true(service.raw.headers.get("x-amzn-requestid"), "no x-amzn-RequestId")
    if model.output_shape is not None and model.output_shape.members:
        conform(model.output_shape, json.loads(service.raw.content))


# Values that fit their shape and stand for nothing that is there.
FOREIGN = ("modelId ", "ModelId ", "nextToken", "jobIdentifier ", "ModelInvocationJobIdentifier")


def oracle(checks):
    """Every bound of every member is taken, and each constraint is kept."""
    arn = create("oracle-stays", tags=[{"key": "first", "value": ""}])
    ended(arn)
    for operation, cases in example(arn).items():
        shape = service.model.operation_model(operation).input_shape
        for i, params in enumerate(cases):
            checks.run(f"{operation}/valid/example {i + 1}", check_valid, operation, copy.deepcopy(params))
        for label, params in mutate.valid(shape, cases):
            if not any(word in label for word in FOREIGN):
                checks.run(f"{operation}/valid/{label}", check_valid, operation, params)
        for label, kind, params in mutate.invalid(shape, cases):
            checks.run(f"{operation}/invalid/{label}", check_invalid, service, operation, params)


def check_converse_records():
    put("converse/a.jsonl", [{"modelInput": {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}}])
    arn = create("converse", folder="converse/a.jsonl", modelInvocationType="Converse")
    job = ended(arn)
    equal((job["status"], job["modelInvocationType"]), ("Completed", "Converse"), "job")
    line = json.loads(read(f"out/{arn.rsplit('/', 1)[1]}/a.jsonl.out"))
    true(line["recordId"] and line["modelOutput"]["output"]["message"]["content"][0]["text"], line)


def check_a_job_that_fails_says_why():
    s3.put_object(Bucket="batch-checks", Key="bad/a.jsonl", Body="{}\n")
    job = ended(create("bad", folder="bad/a.jsonl"))
    equal((job["status"], job["message"]), ("Failed", "Line 1 of s3://batch-checks/bad/a.jsonl: the record has no modelInput."), "job")
    job = ended(create("nowhere", folder="nowhere/a.jsonl"))
    equal((job["status"], job["message"]), ("Failed", "There is nothing at s3://batch-checks/nowhere/a.jsonl."), "job")
    job = ended(create("not-mine", inputDataConfig={"s3InputDataConfig": {"s3Uri": "s3://batch-checks/in/", "s3BucketOwner": "999999999999"}}))
    equal(job["status"], "Failed", "a bucket of another owner")
    true("Access is denied" in job["message"], job["message"])


def check_names_tokens_and_tags():
    arn = create("taken", clientRequestToken="abc-1")
    equal(create("taken", clientRequestToken="abc-1"), arn, "the same token")
    fails("ConflictException", create, name="other", clientRequestToken="abc-1")
    true("taken" in fails("ConflictException", create, name="taken"), "the name is not told")
    control.tag_resource(resourceARN=arn, tags=[{"key": "team", "value": "a"}])
    equal(control.list_tags_for_resource(resourceARN=arn)["tags"], [{"key": "team", "value": "a"}], "tags")
    fails("ConflictException", control.stop_model_invocation_job, jobIdentifier=ended(arn)["jobArn"])


def check_stop():
    arn = create("to-stop", folder="slow/")
    control.stop_model_invocation_job(jobIdentifier=arn.rsplit("/", 1)[1])
    equal(ended(arn)["status"], "Stopped", "status")


def check_pages():
    arns = [create(f"page-{i}") for i in range(5)]
    for size in (1, 2, 5, 100):
        pages = control.get_paginator("list_model_invocation_jobs").paginate(nameContains="page-", sortOrder="Ascending", PaginationConfig={"PageSize": size})
        equal([s["jobArn"] for s in pages.search("invocationJobSummaries[]")], arns, f"pages of {size}")
    for arn in arns:
        ended(arn)
    done = control.list_model_invocation_jobs(nameContains="page-", statusEquals="Completed")["invocationJobSummaries"]
    equal(len(done), 5, "completed")


def check_other_accounts():
    arn = "arn:aws:bedrock:us-east-1:999999999999:model-invocation-job/abcdefghij12"
    fails("AccessDeniedException", control.get_model_invocation_job, jobIdentifier=arn)
    fails("AccessDeniedException", control.stop_model_invocation_job, jobIdentifier=arn)
    fails("ResourceNotFoundException", control.get_model_invocation_job, jobIdentifier="abcdefghij12")


def main():
    checks = Checks()
    if sys.argv[3] == "mission":
        mission = Mission()
        checks.run("mission/Create Batch Job", mission.create)
        checks.run("mission/Monitor Batch Job", mission.monitor)
    else:
        s3.create_bucket(Bucket="batch-checks")
        hello = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8, "anthropic_version": "bedrock-2023-05-31"}
        put("in/a.jsonl", [{"recordId": "1", "modelInput": hello}])
        put("slow/a.jsonl", [{"recordId": str(i), "modelInput": hello} for i in range(20000)])
        checks.all({name: check for name, check in globals().items() if name not in ("check_valid", "check_invalid")})
        oracle(checks)
    sys.exit(checks.end())


main()
