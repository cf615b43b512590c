"""Checks answers against botocore's output shapes.

botocore itself drops unknown members and lets missing ones pass, so a real
client would not notice. Here every required member must be there, every type,
enum, pattern and length must hold, and no member may be unknown.
"""
import base64
import binascii
import re

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
# What real Bedrock sends beyond its model: the padding of stream events.
EXTRA = {"p"}
# Constraints that real Bedrock's own answers break, by shape and constraint.
BROKEN_BY_AWS = {
    ("BrandedName", "max"),  # "Titan Multimodal Embeddings G1" has 30 characters, 20 are allowed
    ("InferenceType", "INFERENCE_PROFILE"),  # of models that only a cross-Region profile reaches
}


class Nonconforming(AssertionError):
    pass


def conform(shape, value, at="", wire=True):
    """Raises Nonconforming unless the value fits the shape. wire means that
    the value is decoded JSON, in which blobs are base64 and times are text;
    otherwise it is what botocore made of an answer."""
    kind = shape.type_name
    if getattr(shape, "is_document_type", False):
        return
    check = globals()["_" + kind]
    check(shape, value, at or "$", wire)


def expect(condition, at, what):
    if not condition:
        raise Nonconforming(f"{at} {what}")


def _structure(shape, value, at, wire):
    expect(isinstance(value, dict), at, f"is {type(value).__name__}, not an object")
    names = {m.serialization.get("name", k): m for k, m in shape.members.items() if not m.serialization.get("location")}
    for name in shape.required_members:
        expect(name in value or name not in names, at, f"lacks the required {name}")
    for name, inner in value.items():
        if name in EXTRA or name == "SDK_UNKNOWN_MEMBER":
            continue
        expect(name in names, at, f"has the unknown member {name}")
        expect(inner is not None, f"{at}.{name}", "is null; AWS leaves members out")
        conform(names[name], inner, f"{at}.{name}", wire)
    if getattr(shape, "is_tagged_union", False):
        expect(len(set(value) - EXTRA) == 1, at, f"is a union of {sorted(value)}, not of one member")


def _list(shape, value, at, wire):
    expect(isinstance(value, list), at, "is not a list")
    _length(shape, value, at)
    for i, inner in enumerate(value):
        conform(shape.member, inner, f"{at}[{i}]", wire)


def _map(shape, value, at, wire):
    expect(isinstance(value, dict), at, "is not a map")
    _length(shape, value, at)
    for key, inner in value.items():
        conform(shape.key, key, f"{at} key", wire)
        conform(shape.value, inner, f"{at}.{key}", wire)


def _string(shape, value, at, wire):
    expect(isinstance(value, str), at, f"is {type(value).__name__}, not text")
    _length(shape, value, at)
    if getattr(shape, "enum", None):
        expect(value in shape.enum or (shape.name, value) in BROKEN_BY_AWS, at, f"is {value!r}, not one of {shape.enum}")
    pattern = shape.metadata.get("pattern")
    if pattern:
        expect(re.search(pattern, value), at, f"is {value!r}, which is not of {pattern}")


def _blob(shape, value, at, wire):
    if wire:
        expect(isinstance(value, str), at, "is not base64 text")
        try:
            value = base64.b64decode(value, validate=True)
        except binascii.Error as why:
            raise Nonconforming(f"{at} is not base64: {why}") from None
    expect(isinstance(value, bytes), at, "is not bytes")
    _length(shape, value, at)


def _boolean(shape, value, at, wire):
    expect(isinstance(value, bool), at, "is not a boolean")


def _integer(shape, value, at, wire):
    expect(isinstance(value, int) and not isinstance(value, bool), at, f"is {value!r}, not an integer")
    _range(shape, value, at)


_long = _integer


def _float(shape, value, at, wire):
    expect(isinstance(value, (int, float)) and not isinstance(value, bool), at, f"is {value!r}, not a number")
    _range(shape, value, at)


_double = _float


def _timestamp(shape, value, at, wire):
    if wire:
        expect(isinstance(value, str) and ISO.match(value), at, f"is {value!r}, not an ISO 8601 time")


def _length(shape, value, at):
    low = shape.metadata.get("min")
    high = None if (shape.name, "max") in BROKEN_BY_AWS else shape.metadata.get("max")
    expect(low is None or len(value) >= low, at, f"has length {len(value)}, less than {low}")
    expect(high is None or len(value) <= high, at, f"has length {len(value)}, more than {high}")


def _range(shape, value, at):
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    expect(low is None or value >= low, at, f"is {value}, less than {low}")
    expect(high is None or value <= high, at, f"is {value}, more than {high}")
