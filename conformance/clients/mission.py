"""Runs the code of the mission as printed: nothing but the endpoint, which
comes from the environment, and the ARN, for which a model id stands.

Usage: mission.py FOLDER MODEL [MODEL OF THE STREAM]

The printed streaming code names its model; where another model is to answer,
as with the real engine, that one name is replaced.
"""
import contextlib
import io
import json
import pathlib
import sys

import boto3

from checks import Checks, equal, true

PRINTED = "anthropic.claude-3-sonnet-20240229-v1:0"


class Mission:
    def __init__(self, folder, model, stream_model):
        self.folder = pathlib.Path(folder)
        self.stream_model = stream_model
        self.names = {"boto3": boto3, "provisioned_model_arn": model}

    def run(self, block):
        """Executes a block; returns what it prints."""
        source = (self.folder / (block + ".py")).read_text()
        true(block != "streaming_responses" or source.count(PRINTED) == 1, "the block names one model")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source.replace(PRINTED, self.stream_model), block, "exec"), self.names)
        return printed.getvalue()

    def provisioned(self):
        printed = self.run("use_provisioned_throughput")
        response = self.names["response"]
        equal(printed.strip(), response["output"]["message"]["content"][0]["text"].strip(), "printed text")
        true(printed.strip(), "no answer")

    def streaming(self):
        self.run("streaming_responses")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            text = self.names["stream_response"]("Hello, how are you?")
        true(text.strip(), "no answer")
        equal(printed.getvalue(), text, "printed text")

    def usage(self):
        self.run("token_usage_monitoring")
        response = self.names["response"]
        usage = self.names["track_usage"](response)
        true(usage["input_tokens"] > 0 and usage["output_tokens"] > 0, f"usage is {usage}")
        equal(usage["total_tokens"], response["usage"]["totalTokens"], "total")
        true(self.names["estimate_cost"](usage) > 0, "costs nothing")

    def upload(self):
        """Runs what the block does before it creates the job."""
        self.names["boto3"].client("s3").create_bucket(Bucket="my-batch-bucket")
        source = (self.folder / "create_batch_job.py").read_text().split("# Create batch inference job")[0]
        exec(compile(source, "create_batch_job", "exec"), self.names)
        got = self.names["s3"].get_object(Bucket="my-batch-bucket", Key="batch-input/input.jsonl")["Body"].read()
        equal([json.loads(line) for line in got.splitlines()], self.names["input_data"], "what lies in the bucket")

    def connection(self):
        self.run("connection_optimization")
        equal(self.names["config"].retries["mode"], "adaptive", "retry mode")
        self.provisioned_again()

    def provisioned_again(self):
        answer = self.names["runtime"].converse(
            modelId=self.names["provisioned_model_arn"],
            messages=[{"role": "user", "content": [{"text": "Hello"}]}], inferenceConfig={"maxTokens": 32})
        true(answer["output"]["message"]["content"][0]["text"], "no answer")


def main():
    folder, model = sys.argv[1:3]
    mission = Mission(folder, model, sys.argv[3] if len(sys.argv) > 3 else PRINTED)
    checks = Checks()
    checks.run("mission/Use Provisioned Throughput", mission.provisioned)
    checks.run("mission/Streaming Responses", mission.streaming)
    checks.run("mission/Token Usage Monitoring", mission.usage)
    checks.run("mission/Create Batch Job, upload", mission.upload)
    checks.run("mission/Connection Optimization", mission.connection)
    sys.exit(checks.end())


main()
