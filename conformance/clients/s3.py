"""boto3 against the built-in S3, on the same endpoint as Bedrock.

Usage: s3.py KEYED [OTHER_ID OTHER_SECRET]

KEYED is "keyed" or "open". With keys, OTHER is a key of another account.
"""
import hashlib
import io
import os
import sys
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from checks import Checks, Skip, equal, true

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
BUCKET = "my-batch-bucket"
ODD = ["a b", "a+b", "a%20b", "ü/日本.txt", "q?=&#;:@,$", "(x)!*'~_-.", "deep/er/and/deeper", "trailing/"]
KEYED = sys.argv[1] == "keyed"

s3 = boto3.client("s3", config=Config(retries={"max_attempts": 1}))
v4 = boto3.client("s3", config=Config(signature_version="s3v4"))


def refused(code, status, call, **members):
    try:
        call(**members)
    except ClientError as error:
        equal(error.response["Error"]["Code"], code, "code")
        equal(error.response["ResponseMetadata"]["HTTPStatusCode"], status, "status")
        return error.response
    raise AssertionError(f"no error, want {code}")


def fetch(url, data=None, method="GET", headers=None):
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def put(key, body=b"hello", **more):
    return s3.put_object(Bucket=BUCKET, Key=key, Body=body, **more)


def get(key, client=s3, **more):
    return client.get_object(Bucket=BUCKET, Key=key, **more)["Body"].read()


def check_a_bucket_is_made():
    s3.create_bucket(Bucket=BUCKET)
    s3.head_bucket(Bucket=BUCKET)
    true(BUCKET in [b["Name"] for b in s3.list_buckets()["Buckets"]], "it is not listed")
    equal(s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"], None, "location")


def check_b_objects_keep_bytes_and_metadata():
    body = os.urandom(300_000)
    etag = put("plain", body, ContentType="application/jsonl", Metadata={"colour": "red"})["ETag"]
    equal(etag, '"%s"' % hashlib.md5(body).hexdigest(), "ETag")
    got = s3.get_object(Bucket=BUCKET, Key="plain")
    true(got["Body"].read() == body, "other bytes")
    equal((got["ContentType"], got["Metadata"], got["ContentLength"]), ("application/jsonl", {"colour": "red"}, 300_000), "members")
    head = s3.head_object(Bucket=BUCKET, Key="plain")
    equal((head["ETag"], head["ContentLength"]), (etag, 300_000), "head")
    equal(put("empty", b"")["ETag"], '"d41d8cd98f00b204e9800998ecf8427e"', "ETag of nothing")
    equal(get("empty"), b"", "nothing")


def check_c_odd_keys():
    for key in ODD:
        body = b"" if key.endswith("/") else key.encode()
        put("odd/" + key, body)
        equal(get("odd/" + key), body, key)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="odd/", PaginationConfig={"PageSize": 3})
    equal(sorted(o["Key"] for p in pages for o in p.get("Contents", [])), sorted("odd/" + k for k in ODD), "listed keys")
    for key in ["a//b", "a/../b", "/a", "."]:
        refused("InvalidURI", 400, put, key=key)


def check_d_listings_have_folders():
    for key in ["tree/a", "tree/b/1", "tree/b/2"]:
        put(key)
    got = s3.list_objects_v2(Bucket=BUCKET, Prefix="tree/", Delimiter="/")
    equal([o["Key"] for o in got["Contents"]], ["tree/a"], "objects")
    equal([p["Prefix"] for p in got["CommonPrefixes"]], ["tree/b/"], "folders")
    equal(len(s3.list_objects(Bucket=BUCKET, Prefix="tree/")["Contents"]), 3, "objects of the old listing")


def check_e_ranges():
    put("digits", b"0123456789")
    for wanted, body in {"bytes=0-0": b"0", "bytes=3-5": b"345", "bytes=-2": b"89", "bytes=8-": b"89"}.items():
        got = s3.get_object(Bucket=BUCKET, Key="digits", Range=wanted)
        equal((got["Body"].read(), got["ResponseMetadata"]["HTTPStatusCode"]), (body, 206), wanted)
    refused("InvalidRange", 416, s3.get_object, Bucket=BUCKET, Key="digits", Range="bytes=10-")


def check_f_conditions():
    etag = put("once", b"first", IfNoneMatch="*")["ETag"]
    refused("PreconditionFailed", 412, put, key="once", body=b"second", IfNoneMatch="*")
    equal(get("once", IfMatch=etag), b"first", "content")
    refused("PreconditionFailed", 412, s3.get_object, Bucket=BUCKET, Key="once", IfMatch='"0"')
    refused("304", 304, s3.get_object, Bucket=BUCKET, Key="once", IfNoneMatch=etag)


def check_g_multipart():
    body = os.urandom(20 << 20)
    s3.upload_fileobj(io.BytesIO(body), BUCKET, "big")
    sink = io.BytesIO()
    s3.download_fileobj(BUCKET, "big", sink)
    true(sink.getvalue() == body, "other bytes")
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    first = s3.upload_part(Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=1, Body=body[:5 << 20])
    equal([u["UploadId"] for u in s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]], [upload], "uploads")
    last = s3.upload_part_copy(Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=2, CopySource={"Bucket": BUCKET, "Key": "plain"})
    equal([p["PartNumber"] for p in s3.list_parts(Bucket=BUCKET, Key="parts", UploadId=upload)["Parts"]], [1, 2], "parts")
    done = s3.complete_multipart_upload(Bucket=BUCKET, Key="parts", UploadId=upload, IfNoneMatch="*", MultipartUpload={"Parts": [
        {"PartNumber": 1, "ETag": first["ETag"]}, {"PartNumber": 2, "ETag": last["CopyPartResult"]["ETag"]}]})
    true(done["ETag"].endswith('-2"'), done["ETag"])
    equal(get("parts"), body[:5 << 20] + get("plain"), "content")
    aborted = s3.create_multipart_upload(Bucket=BUCKET, Key="never")["UploadId"]
    s3.abort_multipart_upload(Bucket=BUCKET, Key="never", UploadId=aborted)
    refused("NoSuchUpload", 404, s3.upload_part, Bucket=BUCKET, Key="never", UploadId=aborted, PartNumber=1, Body=b"x")


def check_h_checksums():
    for algorithm in ["CRC32", "SHA256", "CRC64NVME", "CRC32C"]:
        try:
            told = put("summed", b"hello", ChecksumAlgorithm=algorithm)
        except Exception as why:  # botocore needs a C library for two of them
            if "crt" in str(why).lower():
                continue
            raise
        true(told["Checksum" + algorithm], algorithm)
    refused("BadDigest", 400, put, key="summed", body=b"hello", ChecksumSHA256="A" * 43 + "=")
    refused("InvalidDigest", 400, put, key="summed", body=b"hello", ContentMD5="nonsense")


def check_i_presigned_urls():
    put("shared", b"for everybody")
    status, body, _ = fetch(v4.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "shared"}))
    equal((status, body), (200, b"for everybody"), "reading")
    url = v4.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "odd/a b+ü"})
    equal(fetch(url, b"sent", "PUT")[0], 200, "writing")
    equal(get("odd/a b+ü"), b"sent", "content")
    if KEYED:
        equal(fetch(url.replace("shared", "plain").replace("put", "get"), None, "DELETE")[0], 403, "another method")
        old = v4.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "shared"}, ExpiresIn=1)
        equal(fetch(old.replace("X-Amz-Expires=1", "X-Amz-Expires=100"))[0], 403, "a longer life")
    status, body, _ = fetch(s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "shared"}))
    if status != 200:  # boto3 presigns with Signature Version 2 unless it is told otherwise
        equal(status, 400, "version 2")
        true(b"AWS4-HMAC-SHA256" in body and b"<Error>" in body, body)


def check_j_copies_and_deletes():
    put("source", b"copied", Metadata={"a": "b"})
    s3.copy_object(Bucket=BUCKET, Key="target", CopySource={"Bucket": BUCKET, "Key": "source"})
    got = s3.get_object(Bucket=BUCKET, Key="target")
    equal((got["Body"].read(), got["Metadata"]), (b"copied", {"a": "b"}), "copy")
    for i in range(200):
        put(f"many/{i}", b"x")
    keys = [{"Key": f"many/{i}"} for i in range(200)]
    equal(len(s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})["Deleted"]), 200, "deleted")
    true("Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix="many/"), "some are left")
    s3.delete_object(Bucket=BUCKET, Key="target")
    refused("NoSuchKey", 404, s3.get_object, Bucket=BUCKET, Key="target")


def check_k_tags_and_cors():
    put("tagged", Tagging="team=search")
    equal(s3.get_object_tagging(Bucket=BUCKET, Key="tagged")["TagSet"], [{"Key": "team", "Value": "search"}], "tags")
    refused("NoSuchBucketPolicy", 404, s3.get_bucket_policy, Bucket=BUCKET)
    refused("NotImplemented", 501, s3.put_bucket_policy, Bucket=BUCKET, Policy="{}")
    s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [
        {"AllowedMethods": ["PUT"], "AllowedOrigins": ["https://page.example"], "AllowedHeaders": ["*"]}]})
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    ask = {"Origin": "https://page.example", "Access-Control-Request-Method": "PUT"}
    status, _, headers = fetch(f"{endpoint}/{BUCKET}/k", method="OPTIONS", headers=ask)
    equal((status, headers["Access-Control-Allow-Origin"]), (200, "https://page.example"), "preflight")
    ask["Origin"] = "https://evil.example"
    status, body, headers = fetch(f"{endpoint}/{BUCKET}/k", method="OPTIONS", headers=ask)
    equal((status, headers["Access-Control-Allow-Origin"]), (403, None), "preflight of another page")
    true(b"<Error>" in body, body)
    s3.delete_bucket_cors(Bucket=BUCKET)


def check_l_what_is_not_there():
    refused("NoSuchKey", 404, s3.get_object, Bucket=BUCKET, Key="nothing")
    refused("404", 404, s3.head_object, Bucket=BUCKET, Key="nothing")
    refused("NoSuchBucket", 404, s3.list_objects_v2, Bucket="no-such-bucket-here")
    refused("InvalidBucketName", 400, s3.create_bucket, Bucket="Not_A_Bucket")
    refused("BucketNotEmpty", 409, s3.delete_bucket, Bucket=BUCKET)
    s3.create_bucket(Bucket="for-a-moment")
    s3.delete_bucket(Bucket="for-a-moment")
    refused("NoSuchBucket", 404, s3.list_objects_v2, Bucket="for-a-moment")


def check_m_credentials():
    if not KEYED:
        raise Skip("anybody may call")
    wrong = boto3.client("s3", aws_secret_access_key="wrong", aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"])
    refused("SignatureDoesNotMatch", 403, wrong.list_buckets)
    nobody = boto3.client("s3", aws_secret_access_key="wrong", aws_access_key_id="AKIANOBODYNOBODYNOBO")
    refused("InvalidAccessKeyId", 403, nobody.list_buckets)
    status, body, _ = fetch(f"{os.environ['AWS_ENDPOINT_URL']}/{BUCKET}/plain")
    equal(status, 403, "without credentials")
    true(b"<Code>AccessDenied</Code>" in body, body)


def check_n_accounts_are_apart():
    if not KEYED:
        raise Skip("all callers are one account")
    other = boto3.client("s3", aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3])
    equal(other.list_buckets()["Buckets"], [], "buckets of the other account")
    refused("AccessDenied", 403, other.get_object, Bucket=BUCKET, Key="plain")
    refused("AccessDenied", 403, other.list_objects_v2, Bucket=BUCKET)
    refused("AccessDenied", 403, other.put_object, Bucket=BUCKET, Key="plain", Body=b"")
    refused("AccessDenied", 403, other.delete_bucket, Bucket=BUCKET)
    refused("BucketAlreadyExists", 409, other.create_bucket, Bucket=BUCKET)
    other.create_bucket(Bucket="of-the-other")
    refused("AccessDenied", 403, other.copy_object, Bucket="of-the-other", Key="stolen", CopySource={"Bucket": BUCKET, "Key": "plain"})
    refused("AccessDenied", 403, s3.get_object, Bucket="of-the-other", Key="k")


def check_o_bedrock_on_the_same_port():
    got = boto3.client("bedrock-runtime").converse(modelId=HAIKU, messages=[{"role": "user", "content": [{"text": "Hello"}]}])
    true(got["output"]["message"]["content"][0]["text"], "no answer")


checks = Checks()
checks.all(globals())
sys.exit(checks.end())
