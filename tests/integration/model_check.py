"""Is an answer what AWS's model says? Walks the JSON that was sent against the output shape (or the error's) of its operation: members that
the model does not have, wrong types, missing required members, values outside of an enumeration, pattern, length or range.

    client = checked(hearth)        a boto3 client whose every answer is looked at; a violation fails the test
    violations(shape, value)        a list of sentences; empty when all is well

The model is the newest botocore's on this machine, which need not be the one that the client comes from.
"""
import importlib.util
import json
import re

import botocore.config
import botocore.model

from helpers import REPOSITORY

# Members that answers have and that botocore before 1.34 (Debian 12's) does not know yet.
NEWER_MEMBERS = {"FunctionConfiguration": {"LoggingConfig"}}
# Members that the model calls required and AWS leaves out: no code signing configuration is an empty answer.
NOT_REQUIRED = {"GetFunctionCodeSigningConfigResponse": {"CodeSigningConfigArn", "FunctionName"}}
NEWER_VALUES = {"Runtime": r"nodejs(20|22|24)\.x|python3\.1[0-4]"}


def _compatibility():
    spec = importlib.util.spec_from_file_location("compatibility", REPOSITORY / "scripts" / "compatibility.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_models = {}


def service_model(service):
    if service not in _models:
        scripts = _compatibility()
        _models[service] = botocore.model.ServiceModel(scripts.model_of(scripts.newest_botocore(), service), service)
    return _models[service]


def _wire_members(shape):
    """{name in the JSON: shape} of a structure: what travels in headers, the path or the status is not in the body."""
    return {member.serialization.get("name", name): (name, member) for name, member in shape.members.items()
            if "location" not in member.serialization}


def _structure(shape, value, path):
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is no structure"]
    found, known = [], _wire_members(shape)
    for name, each in value.items():
        if name in known:
            found += violations(known[name][1], each, f"{path}.{name}")
        elif name not in NEWER_MEMBERS.get(shape.name, ()):
            found.append(f"{path}.{name}: {shape.name} has no such member")
    required = {wire for wire, (name, _) in known.items() if name in shape.required_members} - NOT_REQUIRED.get(shape.name, set())
    return found + [f"{path}.{name} is missing" for name in sorted(required - set(value))]


def _string(shape, value, path):
    if not isinstance(value, str):
        return [f"{path}: {value!r} is no string"]
    limits, found = shape.metadata, []
    if limits.get("enum") and value not in limits["enum"] and not re.fullmatch(NEWER_VALUES.get(shape.name, "(?!)"), value):
        found.append(f"{path}: {value!r} is none of {limits['enum']}")
    if limits.get("pattern") and not re.fullmatch(limits["pattern"], value):
        found.append(f"{path}: {value!r} does not match {limits['pattern']}")
    if not limits.get("min", 0) <= len(value) <= limits.get("max", len(value)):
        found.append(f"{path}: {value!r} has {len(value)} characters")
    return found


def _number(shape, value, path):
    if isinstance(value, bool) or not isinstance(value, int):
        return [f"{path}: {value!r} is no integer"]
    limits = shape.metadata
    if not limits.get("min", value) <= value <= limits.get("max", value):
        return [f"{path}: {value} is out of range"]
    return []


def violations(shape, value, path="$"):
    kind = shape.type_name
    if kind == "structure":
        return _structure(shape, value, path)
    if kind == "list":
        if not isinstance(value, list):
            return [f"{path}: {value!r} is no list"]
        return [each for i, item in enumerate(value) for each in violations(shape.member, item, f"{path}[{i}]")]
    if kind == "map":
        if not isinstance(value, dict):
            return [f"{path}: {value!r} is no map"]
        return [each for key, item in value.items()
                for each in _string(shape.key, key, f"{path} key") + violations(shape.value, item, f"{path}.{key}")]
    if kind == "string":
        return _string(shape, value, path)
    if kind in ("integer", "long"):
        return _number(shape, value, path)
    if kind in ("double", "float"):
        limits = shape.metadata
        fine = isinstance(value, (int, float)) and not isinstance(value, bool) and limits.get("min", value) <= value <= limits.get("max", value)
        return [] if fine else [f"{path}: {value!r} is no number in range"]
    if kind == "boolean":
        return [] if isinstance(value, bool) else [f"{path}: {value!r} is no boolean"]
    return [f"{path}: this check knows no {kind}"]


def _header_violations(shape, headers):
    found = []
    for name, member in shape.members.items():
        header = member.serialization.get("name", "")
        if member.serialization.get("location") == "header" and header.lower() in headers:
            found += violations(member, headers[header.lower()], name)
    return found


def error_violations(service, code, status, body):
    """An error's body: the members of its shape when the model has one, and its HTTP status."""
    model = service_model(service)
    if code not in model.shape_names:
        return [] if set(body) <= {"message", "Message", "Type"} else [f"{code}: {sorted(body)}"]
    shape = model.shape_for(code)
    found = violations(shape, body, code)
    wanted = shape.metadata.get("error", {}).get("httpStatusCode")
    if wanted not in (None, status) and status < 500:
        found.append(f"{code} has status {wanted} in the model, not {status}")
    return found


def check_answer(service, operation, status, headers, content):
    """`content`: the body's bytes; None where it is a payload of the function's own."""
    headers = {name.lower(): value for name, value in headers.items()}
    assert headers.get("x-amzn-requestid"), f"{operation}: an answer without a request id"
    code = headers.get("x-amzn-errortype")
    if status >= 300:
        assert code, f"{operation}: status {status} without x-amzn-ErrorType"
        found = error_violations(service, code.split(":")[0], status, json.loads(content))
    else:
        model = service_model(service).operation_model(operation)
        shape, found = model.output_shape, []
        if shape is not None:
            found = _header_violations(shape, headers)
            if content and "payload" not in shape.serialization:
                found += violations(shape, json.loads(content))
    assert not found, f"{operation}: not what AWS's model says:\n  " + "\n  ".join(found)


def checked(hearth, **options):
    """A Lambda client that lets everything through on the way out and looks at everything on the way in."""
    config = botocore.config.Config(parameter_validation=False, retries={"total_max_attempts": 1}, read_timeout=120)
    client = hearth.client("lambda", config=config, **options)

    def look(http_response, model, **_):
        streams = model.has_streaming_output and http_response.status_code < 300
        check_answer("lambda", model.name, http_response.status_code, dict(http_response.headers),
                     None if streams else http_response.content)
    client.meta.events.register("after-call.lambda", look)
    return client
