"""Jobs of two accounts on one server.

Usage: batch_accounts.py OTHER_ID OTHER_SECRET    (mine are in the environment)
"""
import sys

import boto3
import botocore.exceptions

from checks import Checks, equal, true
from jobs import Bucket, control

keys = {"aws_access_key_id": sys.argv[1], "aws_secret_access_key": sys.argv[2]}
theirs = boto3.client("bedrock", **keys)
RECORD = {"recordId": "a", "modelInput": {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8, "anthropic_version": "bedrock-2023-05-31"}}
mine = Bucket("of-mine")
other = Bucket("of-others", boto3.client("s3", **keys), bedrock=theirs)
mine.put("in/a.jsonl", [RECORD])
other.put("in/a.jsonl", [RECORD])


def refused(code, call, **params):
    try:
        call(**params)
    except botocore.exceptions.ClientError as error:
        return equal(error.response["Error"]["Code"], code, "code")
    raise AssertionError(f"no {code}")


def check_the_same_names():
    first, second = mine.create("nightly", "in/"), other.create("nightly", "in/")
    for bucket, arn in ((mine, first), (other, second)):
        job = bucket.ended(arn)
        equal((job["status"], job["successRecordCount"]), ("Completed", 1), "job")
        equal(sorted(bucket.output(job, "a.jsonl.out")), ["a"], "records")
    equal([j["jobArn"] for j in control.list_model_invocation_jobs()["invocationJobSummaries"]], [first], "my jobs")
    equal([j["jobArn"] for j in theirs.list_model_invocation_jobs()["invocationJobSummaries"]], [second], "theirs")
    refused("AccessDeniedException", theirs.get_model_invocation_job, jobIdentifier=first)
    refused("AccessDeniedException", theirs.stop_model_invocation_job, jobIdentifier=first)
    refused("ResourceNotFoundException", theirs.get_model_invocation_job, jobIdentifier=first.rsplit("/", 1)[1])
    refused("BucketAlreadyExists", other.s3.create_bucket, Bucket="of-mine")


def check_buckets_of_others():
    there = {"s3InputDataConfig": {"s3Uri": "s3://of-mine/in/"}}
    job = other.ended(other.create("reads", "in/", inputDataConfig=there))
    equal((job["status"], job["message"]), ("Failed", "Access is denied: cannot list s3://of-mine/in/."), "input")
    job = other.ended(other.create("writes", "in/", outputDataConfig={"s3OutputDataConfig": {"s3Uri": "s3://of-mine/out/"}}))
    equal((job["status"], job["message"]), ("Failed", "Access is denied: cannot write to s3://of-mine/out/."), "output")
    job = other.ended(other.create("leaves", "in/", inputDataConfig={"s3InputDataConfig": {"s3Uri": "s3://of-others/../of-mine/in/a.jsonl"}}))
    equal(job["status"], "Failed", "a way out of a bucket")
    true(job["message"].startswith("The store refuses to read"), job["message"])


checks = Checks()
checks.all(globals())
sys.exit(checks.end())
