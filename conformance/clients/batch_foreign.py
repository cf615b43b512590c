"""Batch jobs whose buckets lie in a foreign S3, over HTTP.

Usage: batch_foreign.py FOREIGN_URL FOREIGN_ID FOREIGN_SECRET

The environment is for the server under test, whose own S3 does not know the
buckets that are made in the foreign one.
"""
import sys

import boto3

from checks import Checks, equal, true
from jobs import Bucket

foreign = boto3.client("s3", endpoint_url=sys.argv[1], aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3])
results = Bucket("foreign-out", foreign)
source = Bucket("foreign-in", foreign, results)
here = Bucket("here-in", results=results)
private = Bucket("private", foreign)


def record(i, size):
    return {"recordId": f"r{i}", "modelInput": {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 8,
                                                "messages": [{"role": "user", "content": f"{i} " + "word " * (size // 5)}]}}


def check_whole_job(bucket=source, records=200, size=100_000):
    """20 MB, so that there are three chunks and three parts."""
    given = [record(i, size) for i in range(records)]
    bucket.put("in/large.jsonl", given)
    job = bucket.ended(bucket.create("whole-" + bucket.name, "in/"))
    equal((job["status"], job.get("message"), job["successRecordCount"]), ("Completed", None, records), "job")
    lines = bucket.output(job, "large.jsonl.out")
    equal(len(lines), records, "lines")
    for one in given:
        line = lines[one["recordId"]]
        true(line["modelInput"] == one["modelInput"], "another input")
        equal(line["modelOutput"]["usage"]["output_tokens"], 8, "output tokens")
    manifest = bucket.manifest(job)
    equal((manifest["totalRecordCount"], manifest["successRecordCount"], manifest["outputTokenCount"]), (records, records, 8 * records), "manifest")
    kept = [o["Key"] for o in foreign.list_objects_v2(Bucket="foreign-out", Prefix=bucket.folder(job))["Contents"]]
    equal([k.rsplit("/", 1)[1] for k in kept if "/.parts/" not in k], ["large.jsonl.out", "manifest.json.out"], "objects of the output")
    true("Uploads" not in foreign.list_multipart_uploads(Bucket="foreign-out"), "uploads are left")


def check_input_here_and_output_there():
    check_whole_job(here, 20, 1000)
    true("foreign-out" not in [b["Name"] for b in here.s3.list_buckets()["Buckets"]], "the bucket is here")


def failed(bucket, name):
    job = source.ended(source.create(name, "", inputDataConfig={"s3InputDataConfig": {"s3Uri": f"s3://{bucket}"}}))
    equal(job["status"], "Failed", "status")
    return job["message"]


def check_buckets_that_cannot_be_used():
    equal(failed("foreign-none/in/", "none"), "There is nothing at s3://foreign-none/in/.", "no bucket")
    equal(failed("closed-in/in/", "closed"), "Access is denied: cannot list s3://closed-in/in/.", "a bucket of other accounts")
    equal(failed("wrong-in/in/", "wrong"), "Access is denied: cannot list s3://wrong-in/in/.", "a wrong secret")


def check_no_way_into_another_bucket():
    private.put("a.jsonl", [record(1, 10)])
    message = failed("foreign-in/../private/a.jsonl", "way")
    true(message.startswith("The store refuses to read s3://foreign-in/../private/a.jsonl."), message)


checks = Checks()
checks.all(globals())
sys.exit(checks.end())
