"""Whole batch jobs on a real transformer engine with random weights.

What such a model says is noise: the records, their lengths and what was
counted are checked.

Usage: batch_engine.py MODEL    (endpoint and credentials come from the environment)
"""
import sys


from checks import Checks, equal, true
from jobs import Bucket

MODEL = sys.argv[1]
RECORDS = 24
bucket = Bucket("engine-batch")


def prompt(i):
    return f"Tell me about number {i}. " + "word " * (i % 7)


def native(i):
    """Every record asks for a length of its own, by which its answer is known."""
    return {"recordId": f"native-{i}", "modelInput": {"prompt": prompt(i), "max_gen_len": 3 + i}}


def converse(i):
    return {"recordId": f"converse-{i}", "modelInput": {"messages": [{"role": "user", "content": [{"text": prompt(i)}]}], "inferenceConfig": {"maxTokens": 3 + i}}}


def of_native(output):
    equal(output["stop_reason"], "length", "stop reason")
    true(output["generation"], "no text")
    return output["prompt_token_count"], output["generation_token_count"]


def of_converse(output):
    equal((output["output"]["message"]["role"], output["stopReason"]), ("assistant", "max_tokens"), "role and stop reason")
    true(output["output"]["message"]["content"][0]["text"], "no text")
    usage = output["usage"]
    equal(usage["totalTokens"] - usage["outputTokens"], usage["inputTokens"] + usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0), "total")
    return usage["totalTokens"] - usage["outputTokens"], usage["outputTokens"]


def run(kind, make, measure, wrong):
    """One job with good records and wrong ones, in two files. Each record is in
    the output of its file once, and the manifest is the sum of them."""
    good = [make(i) for i in range(RECORDS)]
    bucket.put(f"{kind}/first.jsonl", good[: RECORDS // 2] + wrong)
    bucket.put(f"{kind}/more/second.jsonl", good[RECORDS // 2:])
    job = bucket.ended(bucket.create(f"engine-{kind}", f"{kind}/", modelId=MODEL, modelInvocationType=kind))
    equal((job["status"], job.get("message")), ("Completed", None), "job")
    equal((job["totalRecordCount"], job["successRecordCount"], job["errorRecordCount"]), (RECORDS + len(wrong), RECORDS, len(wrong)), "counts of the job")
    first, second = bucket.output(job, "first.jsonl.out"), bucket.output(job, "more/second.jsonl.out")
    equal(sorted(first), sorted(r["recordId"] for r in good[: RECORDS // 2] + wrong), "records of the first file")
    equal(sorted(second), sorted(r["recordId"] for r in good[RECORDS // 2:]), "records of the second file")
    lines, read, written = first | second, 0, 0
    for i, record in enumerate(good):
        line = lines[record["recordId"]]
        equal(sorted(line), ["modelInput", "modelOutput", "recordId"], "members")
        equal(line["modelInput"], record["modelInput"], "the input")
        one, other = measure(line["modelOutput"])
        equal(other, 3 + i, "output tokens of " + record["recordId"])
        read, written = read + one, written + other
    for record in wrong:
        line = lines[record["recordId"]]
        equal(sorted(line), ["error", "modelInput", "recordId"], "members of a record that fails")
        equal((line["modelInput"], line["error"]["errorCode"]), (record["modelInput"], 400), "a record that fails")
        true(line["error"]["errorMessage"], "no message")
    equal(bucket.manifest(job), {
        "totalRecordCount": RECORDS + len(wrong), "processedRecordCount": RECORDS + len(wrong), "successRecordCount": RECORDS,
        "errorRecordCount": len(wrong), "inputTokenCount": read, "outputTokenCount": written}, "manifest")


def check_invoke_model_records():
    run("InvokeModel", native, of_native, [
        {"recordId": "too-long", "modelInput": {"prompt": "word " * 40000, "max_gen_len": 5}},
        {"recordId": "no-prompt", "modelInput": {"max_gen_len": 5}}])


def check_converse_records():
    run("Converse", converse, of_converse, [
        {"recordId": "too-long", "modelInput": {"messages": [{"role": "user", "content": [{"text": "word " * 40000}]}]}},
        {"recordId": "no-messages", "modelInput": {"inferenceConfig": {"maxTokens": 5}}}])


checks = Checks()
checks.all(globals())
sys.exit(checks.end())
