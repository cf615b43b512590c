"""botocore's models as the oracle.

For every implemented operation: valid requests, made of examples that use
every member of the input shape and of variants with each value at its bounds,
go through the real client, and each answer must fit the output shape; and one
invalid request for each constraint goes over the wire unchecked, and each
must get a ValidationException with status 400 and a request id.

Usage: oracle.py ENDPOINT
"""
import copy
import json
import sys
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.session
import urllib3

import examples
import mutate
from checks import Checks, equal, true
from conform import conform

REGION = "us-east-1"
KEYS = botocore.credentials.Credentials("outcrop", "outcrop")


class Service:
    """One service of the endpoint, as a client and as raw requests."""

    def __init__(self, name, endpoint):
        session = botocore.session.get_session()
        config = botocore.config.Config(retries={"max_attempts": 0}, read_timeout=30, parameter_validation=True)
        self.client = session.create_client(
            name, endpoint_url=endpoint, region_name=REGION, config=config,
            aws_access_key_id=KEYS.access_key, aws_secret_access_key=KEYS.secret_key)
        self.model = self.client.meta.service_model
        self.endpoint = endpoint
        self.pool = urllib3.PoolManager()
        self.raw = None
        self.client.meta.events.register("after-call", self._keep)

    def _keep(self, http_response, **_):
        self.raw = http_response

    def call(self, operation, params):
        return self.client._make_api_call(operation, params)

    def send(self, operation, params):
        """Sends the parameters without any check; returns the answer."""
        method, url, headers, body = wire(self.model.operation_model(operation), params, self.endpoint)
        request = botocore.awsrequest.AWSRequest(method=method, url=url, headers=headers, data=body)
        botocore.auth.SigV4Auth(KEYS, "bedrock", REGION).add_auth(request)
        return self.pool.request(method, url, body=body, headers=dict(request.headers), retries=False, timeout=30)


def wire(operation, params, endpoint):
    """The request that a client without any validation would send."""
    shape, path, query, headers, body = operation.input_shape, operation.http["requestUri"], {}, {}, {}
    payload = shape.serialization.get("payload")
    for name, value in params.items():
        member = shape.members.get(name)
        place = member.serialization if member is not None else {}
        where, key = place.get("location"), place.get("name", name)
        if where == "uri":
            path = path.replace("{" + key + "}", urllib.parse.quote(str(value), safe=""))
        elif where == "querystring":
            query[key] = str(value)
        elif where == "header":
            headers[key] = str(value)
        elif name != payload:
            body[key] = value
    if payload:
        data = params.get(payload, b"")
    elif operation.http["method"] == "GET":
        data = b""
    else:
        data = json.dumps(mutate.jsonable(body)).encode()
        headers["Content-Type"] = "application/json"
    url = endpoint + path + ("?" + urllib.parse.urlencode(query) if query else "")
    return operation.http["method"], url, headers, data


def check_valid(service, operation, params):
    """A valid request gets an answer of the right shape."""
    parsed = service.call(operation, params)
    model = service.model.operation_model(operation)
    true(service.raw.headers.get("x-amzn-requestid"), "no x-amzn-RequestId")
    stream = model.get_event_stream_output()
    if stream is not None:
        return check_stream(stream, parsed, operation)
    payload = model.output_shape.serialization.get("payload")
    if payload:
        true(parsed[payload].read(), "empty body")
        return None
    return conform(model.output_shape, json.loads(service.raw.content))


def check_stream(shape, parsed, operation):
    """Every event fits its shape, and they come in the right order."""
    member = "stream" if operation == "ConverseStream" else "body"
    names = []
    for event in parsed[member]:
        true(len(event) == 1, f"event of {sorted(event)}")
        (name, value), = event.items()
        conform(shape.members[name], value, name, wire=False)
        names.append(name)
    if operation == "ConverseStream":
        equal(names[0], "messageStart", "first event")
        equal(names[-2:], ["messageStop", "metadata"], "last events")
        true("contentBlockStop" in names, "no contentBlockStop")
    else:
        equal(set(names), {"chunk"}, "events")


def check_invalid(service, operation, params):
    """An invalid request gets a ValidationException."""
    answer = service.send(operation, params)
    text = answer.data.decode("utf-8", "replace")
    equal(answer.status, 400, f"status (answer {text[:200]})")
    equal(answer.headers.get("x-amzn-errortype", "").split(":")[0], "ValidationException", "error type")
    true(answer.headers.get("x-amzn-requestid"), "no x-amzn-RequestId")
    message = json.loads(text)["message"]
    true(message.strip(), "empty message")
    return message


def check_refused(service, operation, member, params):
    message = check_invalid(service, operation, params)
    true(member in message, f"the message does not name {member}: {message}")


def check_coverage(shape, cases):
    """Every member of the shape stands in an example, or is listed."""
    used = set()
    for params in cases:
        used |= {(s.name, m) for s, m in mutate.members(shape, params)}
    missing = [m for m in mutate.reachable(shape, set(examples.UNREACHED)) if m not in used]
    true(not missing, f"in no example: {sorted(missing)}")


def suite(checks, service, catalogue):
    for operation, make in catalogue.items():
        shape = service.model.operation_model(operation).input_shape
        cases = make()
        checks.run(f"{operation}/covers the model", check_coverage, shape, cases)
        for i, params in enumerate(cases):
            checks.run(f"{operation}/valid/example {i + 1}", check_valid, service, operation, copy.deepcopy(params))
        for label, params in mutate.valid(shape, cases):
            checks.run(f"{operation}/valid/{label}", check_valid, service, operation, params)
        constraints = {}
        for label, kind, params in mutate.invalid(shape, cases):
            constraints[kind] = constraints.get(kind, 0) + 1
            checks.run(f"{operation}/invalid/{label}", check_invalid, service, operation, params)
        table = ", ".join(f"{n} {kind}" for kind, n in sorted(constraints.items()))
        checks.say(f"constraints of {operation}: {table or 'none'}")


def refusals(checks, service):
    for operation in ("Converse", "ConverseStream"):
        for member, reason, params in examples.REFUSED:
            request = {"modelId": examples.HAIKU, **copy.deepcopy(params)}
            checks.run(f"{operation}/refused/{member} ({reason})", check_refused, service, operation, member, request)
    for operation in ("InvokeModel", "InvokeModelWithResponseStream"):
        request = {"modelId": examples.HAIKU, "body": examples.messages_body(), "guardrailIdentifier": "abc123", "guardrailVersion": "1"}
        checks.run(f"{operation}/refused/guardrailIdentifier", check_refused, service, operation, "uardrail", request)


def main():
    endpoint = sys.argv[1]
    checks = Checks()
    runtime, control = Service("bedrock-runtime", endpoint), Service("bedrock", endpoint)
    suite(checks, control, examples.CONTROL)
    suite(checks, runtime, examples.RUNTIME)
    refusals(checks, runtime)
    sys.exit(checks.end())


if __name__ == "__main__":
    main()
