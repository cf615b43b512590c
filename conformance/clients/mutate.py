"""Variants of example requests, driven by the input shapes.

valid() puts each value of the examples at its bounds; invalid() breaks each
constraint once. A constraint is known by the structure and member, or list or
map, that it stands on, so that the many places of one shape count once.
"""
import base64
import copy
import re


def walk(shape, value, path=(), holder=None, label="$"):
    """Yields (path, shape, holder, label) for the value and all within it.
    holder is the structure and member that the value fills."""
    yield path, shape, holder, label
    if getattr(shape, "is_document_type", False):
        return
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, inner in value.items():
            if name in shape.members:
                yield from walk(shape.members[name], inner, path + (name,), (shape, name), f"{shape.name}.{name}")
    elif shape.type_name == "list" and isinstance(value, list):
        for i, inner in enumerate(value):
            yield from walk(shape.member, inner, path + (i,), (shape, "[]"), f"{shape.name}[]")
    elif shape.type_name == "map" and isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(shape.value, inner, path + (key,), (shape, "{}"), f"{shape.name}{{}}")


def members(shape, value):
    """The structure members that the value uses."""
    for _, _, holder, _ in walk(shape, value):
        if holder and holder[0].type_name == "structure":
            yield holder


def reachable(shape, stop, seen=None):
    """All (structure name, member) below the shape, but for those in stop."""
    seen = set() if seen is None else seen
    if shape.type_name == "list":
        return reachable(shape.member, stop, seen)
    if shape.type_name == "map":
        return reachable(shape.value, stop, seen)
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        for name, inner in shape.members.items():
            if (shape.name, name) in stop or (shape.name, name) in seen:
                continue
            seen.add((shape.name, name))
            reachable(inner, stop, seen)
    return seen


def at(params, path):
    for step in path:
        params = params[step]
    return params


def replaced(params, path, value):
    """A copy of params with the value at path."""
    if not path:
        return value
    changed = copy.deepcopy(params)
    at(changed, path[:-1])[path[-1]] = value
    return changed


def everywhere(params, old, new):
    """A copy of params with every string old replaced: names that refer to
    each other change together."""
    if isinstance(params, dict):
        return {k: everywhere(v, old, new) for k, v in params.items()}
    if isinstance(params, list):
        return [everywhere(v, old, new) for v in params]
    return new if isinstance(params, str) and params == old else params


def jsonable(value):
    """The value with bytes as base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {k: jsonable(v) for k, v in value.items()}
    if isinstance(value, list):
        return [jsonable(v) for v in value]
    return value


# Strings that must fit a pattern, made to a length.
def filled(shape, length):
    pattern = shape.metadata.get("pattern")
    text = "a" * length
    if pattern and not re.fullmatch(pattern, text):
        return None
    return text


# Places where a bound is valid by the shape but not by a rule that shapes
# cannot say, with the rule.
RULED_OUT = {
    ("ContentBlock", "text"): "blank text is refused",
    ("ConverseRequestAdditionalModelResponseFieldPathsList", "[]"): "must be a JSON pointer",
    ("ConverseStreamRequestAdditionalModelResponseFieldPathsList", "[]"): "must be a JSON pointer",
}
# Names that stand at several places of a request.
LINKED = {("ToolUseBlock", "toolUseId"), ("ToolUseBlock", "name"), ("ToolResultBlock", "toolUseId"),
          ("ToolSpecification", "name"), ("SpecificToolChoice", "name")}
# The bounds of these are tried over raw sockets: the sizes are large.
LARGE = 1 << 20


def valid(shape, cases):
    """Yields (label, params) with each bounded value at its bounds and each
    enum at each of its values."""
    done = set()
    for params in cases:
        for path, inner, holder, label in walk(shape, params):
            if holder is None or inner.serialization.get("location") == "uri":
                continue
            where = (holder[0].name, holder[1])
            if where in RULED_OUT:
                continue
            for what, value in bounds(inner, at(params, path), where):
                if (where, what) in done:
                    continue
                done.add((where, what))
                if where in LINKED:
                    yield f"{label} {what}", everywhere(params, at(params, path), value)
                else:
                    yield f"{label} {what}", replaced(params, path, value)


def bounds(shape, value, where):
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    kind = shape.type_name
    if getattr(shape, "enum", None):
        yield from enum_values(shape, where)
    elif kind == "string":
        for what, length in (("shortest", low), ("longest", high)):
            if length is not None and length < LARGE:
                text = filled(shape, length)
                if text is not None:
                    yield f"{what} ({length})", text
    elif kind in ("integer", "long", "float", "double"):
        for what, bound in (("least", low), ("most", high)):
            if bound is not None:
                yield f"{what} ({bound})", bound
    elif kind == "list" and value:
        for what, length in (("shortest", low), ("longest", high)):
            if length is not None and length < LARGE:
                yield f"{what} ({length})", [copy.deepcopy(value[0]) for _ in range(length)]
    elif kind == "map" and value:
        for what, length in (("smallest", low), ("largest", high)):
            if length is not None:
                inner = next(iter(value.values()))
                yield f"{what} ({length})", {f"key{i}": inner for i in range(length)}


# Enums whose other values need other bytes beside them, or another model.
def enum_values(shape, where):
    if where in {("ImageBlock", "format"), ("DocumentBlock", "format"), ("GuardrailConverseImageBlock", "format"), ("Message", "role")}:
        return
    for value in shape.enum:
        yield f"= {value}", value


def invalid(shape, cases):
    """Yields (label, kind, params), one for each constraint."""
    done = set()
    for params in cases:
        for path, inner, holder, label in walk(shape, params):
            value = at(params, path)
            for what, kind, broken in violations(inner, value) if path else ():
                place = inner.name if holder is None or holder[1] in ("[]", "{}") else label
                if (place, what) in done or in_url(inner):
                    continue
                done.add((place, what))
                yield f"{label} {what}", kind, replaced(params, path, broken)
            if holder is not None and holder[1] == "{}":
                for what, broken in bad_keys(holder[0], at(params, path[:-1])):
                    if (label, what) not in done:
                        done.add((label, what))
                        yield f"{label} {what}", "map key", replaced(params, path[:-1], broken)


def in_url(shape):
    return shape.serialization.get("location") == "uri"


def violations(shape, value):
    """Yields (what, kind, broken value) for each constraint of the shape."""
    if getattr(shape, "is_document_type", False):
        return
    kind = shape.type_name
    place = shape.serialization.get("location")
    if place is None and not (kind == "blob" and shape.name == "Body"):
        yield from wrong_types(kind, shape)
    if kind == "structure":
        yield from broken_structures(shape, value)
    elif kind in ("integer", "long", "float", "double"):
        yield from out_of_range(shape)
    elif kind in ("string", "list", "map", "blob"):
        yield from broken_lengths(shape, value)
    if getattr(shape, "enum", None):
        yield "not in the enum", "enum", "no-such-value"
    elif kind == "string" and shape.metadata.get("pattern"):
        broken = "é!" * max(1, (shape.metadata.get("min") or 1))
        if place in (None, "querystring") and not re.fullmatch(shape.metadata["pattern"], broken):
            yield "against the pattern", "pattern", broken


def wrong_types(kind, shape):
    for_kind = {"structure": ["text", [], 7], "list": ["text", {"a": 1}], "map": ["text", []], "string": [7, {}, []],
                "integer": ["seven", [], 1.5], "long": ["seven", 1.5], "float": ["seven", []], "double": ["seven", []],
                "boolean": ["yes", 1], "blob": [7, "not base64!"]}
    for wrong in for_kind.get(kind, []):
        yield f"as {wrong!r}", "type", wrong


def broken_structures(shape, value):
    for name in shape.required_members:
        if name in value and not in_url(shape.members[name]):
            yield f"without {name}", "required", {k: v for k, v in value.items() if k != name}
    if getattr(shape, "is_tagged_union", False):
        yield "of no member", "union", {}
        other = next((m for m in shape.members if m not in value), None)
        if other is not None:
            yield f"of two members ({other} too)", "union", {**value, other: sample(shape.members[other])}


def out_of_range(shape):
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    step = 1 if shape.type_name in ("integer", "long") else 0.001
    if low is not None:
        yield "below the least", "min", low - step
    if high is not None:
        yield "above the most", "max", high + step


def broken_lengths(shape, value):
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low:
        yield f"shorter than {low}", "min length", resized(shape, value, low - 1)
    if high is not None and high < LARGE:
        yield f"longer than {high}", "max length", resized(shape, value, high + 1)


def resized(shape, value, length):
    if shape.type_name == "string":
        return "a" * length
    if shape.type_name == "blob":
        return b"a" * length
    if shape.type_name == "list":
        return [copy.deepcopy(value[0]) for _ in range(length)] if value else []
    return {f"key{i}": next(iter(value.values())) for i in range(length)}


def bad_keys(shape, value):
    """Yields (what, map) with keys that break the map's constraints on keys."""
    inner, key = next(iter(value.values())), shape.key
    low, high = key.metadata.get("min"), key.metadata.get("max")
    if low:
        yield "key too short", {"": inner}
    if high:
        yield "key too long", {"a" * (high + 1): inner}
    if key.metadata.get("pattern"):
        yield "key against the pattern", {"é!": inner}


def sample(shape):
    """Any value of the right type."""
    kind = shape.type_name
    if getattr(shape, "is_document_type", False):
        return {}
    if kind == "structure":
        if getattr(shape, "is_tagged_union", False):
            name, inner = next(iter(shape.members.items()))
            return {name: sample(inner)}
        return {name: sample(shape.members[name]) for name in shape.required_members}
    if getattr(shape, "enum", None):
        return shape.enum[0]
    return {"string": "a", "list": [], "map": {}, "integer": 1, "long": 1, "float": 1, "double": 1,
            "boolean": True, "blob": b"a"}[kind]
