"""A bucket with batch jobs on it, as users of boto3 have them."""
import json
import time

import boto3
import botocore.config

ROLE = "arn:aws:iam::123456789012:role/BedrockBatchRole"
HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
ENDED = ("Completed", "Failed", "Stopped", "Expired", "PartiallyCompleted")
PATIENCE = 90

control = boto3.client("bedrock", config=botocore.config.Config(retries={"max_attempts": 0}))


def get(arn, bedrock=control):
    return bedrock.get_model_invocation_job(jobIdentifier=arn)


class Bucket:
    """Input and output of jobs in one bucket, which is made; or, with
    results, the output in another one."""

    def __init__(self, name, s3=None, results=None, bedrock=control):
        self.name, self.s3, self.results, self.bedrock = name, s3 or boto3.client("s3"), results or self, bedrock
        self.s3.create_bucket(Bucket=name)

    def put(self, key, records):
        body = records if isinstance(records, bytes) else "".join(json.dumps(r) + "\n" for r in records).encode()
        self.s3.put_object(Bucket=self.name, Key=key, Body=body)

    def read(self, key):
        return self.s3.get_object(Bucket=self.name, Key=key)["Body"].read().decode()

    def create(self, name, source, **more):
        return self.bedrock.create_model_invocation_job(**{
            "jobName": name, "roleArn": ROLE, "modelId": HAIKU,
            "inputDataConfig": {"s3InputDataConfig": {"s3Uri": f"s3://{self.name}/{source}"}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://{self.results.name}/out/"}}, **more})["jobArn"]

    def ended(self, arn):
        end = time.monotonic() + PATIENCE
        while (job := get(arn, self.bedrock))["status"] not in ENDED:
            if time.monotonic() > end:
                raise AssertionError(f"the job does not end: {job['status']}, {job['processedRecordCount']} records")
            time.sleep(0.05)
        return job

    def folder(self, job):
        return "out/" + job["jobArn"].rsplit("/", 1)[1] + "/"

    def lines(self, job, name):
        """The lines of the output, in their order."""
        return [json.loads(line) for line in self.results.read(self.folder(job) + name).splitlines()]

    def output(self, job, name):
        """The lines of the output by recordId; none may stand twice."""
        all = self.lines(job, name)
        by = {line["recordId"]: line for line in all}
        if len(by) != len(all):
            raise AssertionError(f"{len(all)} lines with {len(by)} ids")
        return by

    def manifest(self, job):
        return json.loads(self.results.read(self.folder(job) + "manifest.json.out"))
