"""Bad input of batch jobs, and what people do to a job that runs. Whatever it
is, it is an error of Create, or a job that ends and says why, or one record
with an error.

Usage: batch_bad.py input    the server takes jobs of up to 100 records
       batch_bad.py line     a line of 100 MB
       batch_bad.py deeds    what is done to jobs that run
"""
import gzip
import json
import sys
import time

import botocore.exceptions

from checks import Checks, equal, true
from jobs import HAIKU, Bucket, control, get

bucket = Bucket("bad-batch")
s3 = bucket.s3
serial = 0
GOOD = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8, "anthropic_version": "bedrock-2023-05-31"}


def line(id=None, input=GOOD):
    record = {"modelInput": input} if id is None else {"recordId": id, "modelInput": input}
    return json.dumps(record).encode()


def create(source, **more):
    global serial
    serial += 1
    return bucket.create(f"bad-{serial}", source, **more)


def job_on(body, key="a.jsonl", source=None, **more):
    """Runs a job on one file, in a folder of its own."""
    folder = f"in-{serial}/"
    bucket.put(folder + key, body)
    return bucket.ended(create(folder + key if source is None else folder + source, **more)), folder


def fails(body, want, key="a.jsonl", source=None, **more):
    job, folder = job_on(body, key, source, **more)
    equal((job["status"], job.get("message")), ("Failed", want.replace("FOLDER", f"s3://{bucket.name}/{folder}")), "job")
    true(job["endTime"] and job["processedRecordCount"] == 0, job)
    true("Contents" not in s3.list_objects_v2(Bucket=bucket.name, Prefix=bucket.folder(job)), "it left an output")


def check_lines_that_are_no_json():
    fails(line("a") + b"\n" + line("b") + b"\noops\n", "Line 3 of FOLDERa.jsonl: the line is not a JSON object.")
    fails(line("a")[:-1], "Line 1 of FOLDERa.jsonl: the line is not a JSON object.")
    fails(b"[" + line("a") + b"]", "Line 1 of FOLDERa.jsonl: the line is not a JSON object.")
    fails(line("a").decode().encode("utf-16"), "Line 1 of FOLDERa.jsonl: the line is not a JSON object.")
    fails(b"\n\r\n" + line("a") + b"\n" + line("\u00e9").replace(b"\\u00e9", b"\xe9"), "Line 4 of FOLDERa.jsonl: the line is not a JSON object.")


def check_missing_model_input():
    fails(line("a") + b'\n{"recordId": "b"}\n', "Line 2 of FOLDERa.jsonl: the record has no modelInput.")
    fails(b'{"recordId": "b", "modelInput": "text"}\n', "Line 1 of FOLDERa.jsonl: the modelInput is not an object.")
    fails(b'{"recordId": 7, "modelInput": {}}\n', "Line 1 of FOLDERa.jsonl: the recordId is not a string.")


def check_duplicate_and_absent_record_ids():
    job, _ = job_on(b"\n".join([line("same"), line(), line("same"), line("")]))
    equal((job["status"], job["successRecordCount"]), ("Completed", 4), "job")
    ids = sorted(l["recordId"] for l in bucket.lines(job, "a.jsonl.out"))
    equal((ids[2:], len(set(ids)), [len(i) for i in ids[:2]]), (["same", "same"], 3, [11, 11]), f"ids {ids}")


def check_blank_lines_crlf_and_bom():
    job, _ = job_on(b"\xef\xbb\xbf" + line("a") + b"\r\n\r\n   \n\t" + line("b") + b"\r\n\n\n" + line("\u00fc\u65e5\u2028") + b"\n \n")
    equal((job["status"], job["totalRecordCount"], job["successRecordCount"]), ("Completed", 3, 3), "job")
    equal(sorted(bucket.output(job, "a.jsonl.out")), ["a", "b", "\u00fc\u65e5\u2028"], "records")


def check_gzip_by_mistake():
    fails(gzip.compress(line("a") * 100), "The file is compressed with gzip; it must be plain JSON Lines: FOLDERa.jsonl")
    fails(gzip.compress(line("a")), "There is no file whose name ends with .jsonl under FOLDER.", key="a.jsonl.gz", source="")


def check_empty_file():
    fails(b"", "There are no records in FOLDERa.jsonl.")
    fails(b"\n\n", "There are no records in FOLDERa.jsonl.")


def check_a_prefix_without_jsonl():
    fails(b"text", "There is no file whose name ends with .jsonl under FOLDER.", key="notes.txt", source="")
    fails(b"text", "There is no file whose name ends with .jsonl under FOLDERnone/.", key="notes.txt", source="none/")
    fails(line("a"), "There is no file whose name ends with .jsonl under FOLDERa.json.", key="a.json", source="a.json")
    fails(line("a"), "There is nothing at FOLDERd.jsonl.", key="d.jsonl/a.txt", source="d.jsonl")


def check_too_many_records():
    fails(b"\n".join(line(str(i)) for i in range(101)), "The job has more than 100 records.")
    job, _ = job_on(b"\n".join(line(str(i)) for i in range(100)))
    equal((job["status"], job["successRecordCount"]), ("Completed", 100), "as many as may")


def check_wrong_bucket_owner():
    input, output = {"s3Uri": "s3://bad-batch/own/", "s3BucketOwner": "999999999999"}, {"s3Uri": "s3://bad-batch/out/", "s3BucketOwner": "999999999999"}
    bucket.put("own/a.jsonl", line("a"))
    job = bucket.ended(create("own/", inputDataConfig={"s3InputDataConfig": input}))
    equal((job["status"], job["message"]), ("Failed", "Access is denied: cannot list s3://bad-batch/own/."), "input")
    job = bucket.ended(create("own/", outputDataConfig={"s3OutputDataConfig": output}))
    equal((job["status"], job["message"]), ("Failed", "Access is denied: cannot write to s3://bad-batch/out/."), "output")
    job = bucket.ended(create("own/", inputDataConfig={"s3InputDataConfig": {**input, "s3BucketOwner": "000000000000"}}))
    equal(job["status"], "Completed", "the right one")


def refused(code, words, **more):
    try:
        create("own/", **more)
    except botocore.exceptions.ClientError as error:
        equal(error.response["Error"]["Code"], code, f"code of {more}")
        true(words in error.response["Error"]["Message"], f"{words!r} is not in {error.response['Error']['Message']!r}")
        return
    raise AssertionError(f"{more} is taken")


def check_uris_outside_the_pattern():
    for uri in ["bad-batch/in/", "https://bad-batch/in/", "s3://", "s3://A/in/", "s3://bad-batch/in//a.jsonl", "s3://bad-batch/a b.jsonl", "s3://bad-batch/\u00fc/",
                "s3://bad-batch/in/?versionId=1", "s3://bad-batch/" + "k" * 1024]:
        refused("ValidationException", "inputDataConfig.s3InputDataConfig.s3Uri", inputDataConfig={"s3InputDataConfig": {"s3Uri": uri}})
        refused("ValidationException", "outputDataConfig.s3OutputDataConfig.s3Uri", outputDataConfig={"s3OutputDataConfig": {"s3Uri": uri}})


def check_malformed_roles():
    for role in ["", "role", "arn:aws:iam::12345:role/x", "arn:aws:iam::123456789012:user/x", "arn:aws:s3:::bucket", "arn:aws:iam::123456789012:role/" + "x" * 2048]:
        try:
            refused("ValidationException", "roleArn", roleArn=role)
        except botocore.exceptions.ParamValidationError:
            equal(role, "", "refused by boto3 itself")


def check_models_that_are_none():
    refused("ValidationException", "model", modelId="anthropic.claude-99-v1:0")
    bought = control.create_provisioned_model_throughput(modelUnits=1, provisionedModelName="bought", modelId=HAIKU)["provisionedModelArn"]
    for name in (bought, bought.replace(bought[-1], "x") if bought[-1] != "x" else bought[:-1] + "y"):
        refused("ValidationException", "", modelId=name)
    refused("ValidationException", "provisioned", modelId="bought")


def check_duplicate_job_names():
    bucket.put("own/a.jsonl", line("a"))
    arn = bucket.create("twice", "own/")
    for _ in range(2):  # while it runs, and after
        refused("ConflictException", "twice is already in use", jobName="twice")
        bucket.ended(arn)


def check_records_that_fail_alone():
    job, _ = job_on(b"\n".join([line("good"), line("empty", {}), line("typed", {**GOOD, "max_tokens": "many"}), line("other", {"prompt": "of another dialect"})]))
    equal((job["status"], job["successRecordCount"], job["errorRecordCount"]), ("Completed", 1, 3), "job")
    lines = bucket.output(job, "a.jsonl.out")
    for id in ("empty", "typed", "other"):
        true(lines[id]["error"]["errorCode"] == 400 and lines[id]["error"]["errorMessage"] and "modelOutput" not in lines[id], lines[id])


def check_outputs_that_cannot_be():
    bucket.put("own/a.jsonl", line("a"))
    bucket.put("file", b"no folder")
    job = bucket.ended(create("own/", outputDataConfig={"s3OutputDataConfig": {"s3Uri": "s3://no-such-bucket/out/"}}))
    equal((job["status"], job["message"]), ("Failed", "There is no bucket for s3://no-such-bucket/out/."), "no bucket")
    for folder in ("file/", "k" * 400 + "/", "a/../b/"):
        uri = f"s3://bad-batch/{folder}"
        job = bucket.ended(create("own/", outputDataConfig={"s3OutputDataConfig": {"s3Uri": uri}}))
        equal(job["status"], "Failed", uri[:40])
        true(job["message"].startswith(f"The store refuses to write to {uri}"[:100]), job["message"])


def check_line_of_100_mb():
    """At full size, and the record before it is no reason to begin."""
    body = line("a") + b'\n{"modelInput": {"text": "' + b"x" * 100_000_000 + b'"}}\n'
    bucket.put("line/a.jsonl", body)
    begin = time.monotonic()
    job = bucket.ended(create("line/a.jsonl"))
    equal((job["status"], job["message"]), ("Failed", "Line 2 of s3://bad-batch/line/a.jsonl: the line is longer than 33554432 bytes."), "job")
    true(time.monotonic() - begin < 10, f"it took {time.monotonic() - begin:.1f} s")


# What is done to jobs that run. The engine is slow, so that there is time: a
# part of the output is written every few hundred records, and four chunks of two
# thousand are worked on at a time.

RECORDS = 16000

def running(name, output="out/", records=RECORDS, key="slow/a.jsonl", target=None):
    (target or bucket).put(key, b"\n".join(line(str(i)) for i in range(records)))
    arn = (target or bucket).create(name, key, outputDataConfig={"s3OutputDataConfig": {"s3Uri": f"s3://{(target or bucket).name}/{output}"}})
    end = time.monotonic() + 60
    while get(arn)["processedRecordCount"] == 0:
        true(time.monotonic() < end, "it does not begin")
        time.sleep(0.02)
    return arn


def empty(name):
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        for o in page.get("Contents", []):
            s3.delete_object(Bucket=name, Key=o["Key"])


def delete_bucket(name):
    """It is full again and again as long as the job writes."""
    for _ in range(500):
        empty(name)
        try:
            return s3.delete_bucket(Bucket=name)
        except botocore.exceptions.ClientError as error:
            equal(error.response["Error"]["Code"], "BucketNotEmpty", "code")
    raise AssertionError("the bucket cannot be deleted")


def deed_bucket_is_deleted():
    gone = Bucket("gone-batch")
    arn = running("deleted", target=gone)
    delete_bucket(gone.name)
    job = gone.ended(arn)
    equal(job["status"], "Failed", "status")
    true("gone-batch" in job["message"], job["message"])


def deed_bucket_is_deleted_of_a_job_that_is_stopped():
    gone = Bucket("stopped-batch")
    arn = running("stopped-deleted", target=gone)
    control.stop_model_invocation_job(jobIdentifier=arn)
    delete_bucket(gone.name)
    equal(gone.ended(arn)["status"], "Stopped", "status")


def deed_input_is_deleted_or_changed():
    arn = running("input-gone", key="gone/a.jsonl")
    s3.delete_object(Bucket=bucket.name, Key="gone/a.jsonl")
    job = bucket.ended(arn)
    equal((job["status"], job["message"]), ("Failed", "There is nothing at s3://bad-batch/gone/a.jsonl."), "deleted")
    for name, size in (("shorter", 2), ("longer", RECORDS + 1)):
        arn = running(name, key=f"{name}/a.jsonl")
        bucket.put(f"{name}/a.jsonl", b"\n".join(line(str(i)) for i in range(size)))
        job = bucket.ended(arn)
        equal((job["status"], job["message"]), ("Failed", f"The input s3://bad-batch/{name}/a.jsonl was changed while the job ran."), name)


def deed_answers_are_deleted():
    arn = running("parts-gone", output="parts/", records=3000)
    for o in s3.list_objects_v2(Bucket=bucket.name, Prefix="parts/").get("Contents", []):
        s3.delete_object(Bucket=bucket.name, Key=o["Key"])
    job = bucket.ended(arn)
    equal(job["status"], "Failed", "status")
    true("were removed while the job ran" in job["message"], job["message"])


def deed_stopped_early_and_twice():
    bucket.put("own/a.jsonl", line("a"))
    for i in range(10):  # some of them are not yet validated
        arn = bucket.create(f"early-{i}", "slow/")
        control.stop_model_invocation_job(jobIdentifier=arn)
        try:
            control.stop_model_invocation_job(jobIdentifier=arn)
        except botocore.exceptions.ClientError as error:  # it has stopped meanwhile
            equal(error.response["Error"]["Code"], "ConflictException", "code")
        equal(bucket.ended(arn)["status"], "Stopped", "status")


def deed_two_jobs_with_one_output_in_their_input():
    first = running("first", output="slow/", records=3000)
    second = bucket.create("second", "slow/", outputDataConfig={"s3OutputDataConfig": {"s3Uri": "s3://bad-batch/slow/"}})
    for arn in (first, second):
        job = bucket.ended(arn)
        equal((job["status"], job["successRecordCount"]), ("Completed", 3000), job["jobName"])
    third = bucket.ended(bucket.create("third", "slow/"))
    equal((third["status"], third["totalRecordCount"]), ("Completed", 3000), "after them")


def deed_prefix_of_a_thousand_files():
    """More than a page of a list; every fiftieth of them is an input."""
    many = Bucket("many-batch")
    for i in range(1050):
        many.put(f"in/{i % 7}/\u00fc {i:04d}+.{'txt' if i % 50 else 'jsonl'}", line(str(i)))
    arn = many.create("many", "in/")
    job = many.ended(arn)
    equal((job["status"], job["successRecordCount"]), ("Completed", 21), "job")
    keys = [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="many-batch", Prefix=many.folder(job)) for o in page["Contents"]]
    equal(len([key for key in keys if "/.parts/" not in key]), 22, "objects of the output")
    equal([l["recordId"] for l in many.lines(job, "0/\u00fc 0700+.jsonl.out")], ["700"], "a file of it")


checks = Checks()
if sys.argv[1] == "line":
    checks.run("line_of_100_mb", check_line_of_100_mb)
else:
    prefix = {"input": "check_", "deeds": "deed_"}[sys.argv[1]]
    for name, check in list(globals().items()):
        if name.startswith(prefix) and name != "check_line_of_100_mb":
            checks.run(name[len(prefix):], check)
sys.exit(checks.end())
