"""
The protocol awsJson 1.1: requests checked against botocore's service models, answers and errors as JSON.

Which error a wrong parameter gets is documented nowhere. The emulator's own choice:
``InvalidParameterException`` for one that is missing, unknown or of the wrong type,
``InvalidParameterValueException`` for one that is too long, too short, out of range, or does not match its
pattern or enumeration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from botocore.loaders import Loader
from botocore.model import ListShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator
from werkzeug.wrappers import Response

from airflow_provider_ads.emulator.errors import ServiceError

__all__ = ["SERVICES", "error_response", "json_response", "parse_parameters", "region_of", "to_json"]


def _load_models(*names: str) -> Iterator[ServiceModel]:
    loader = Loader()
    for name in names:
        yield ServiceModel(loader.load_service_model(name, "service-2"), name)


#: The service models by the prefix of the header ``X-Amz-Target``.
SERVICES: dict[str, ServiceModel] = {
    str(model.metadata["targetPrefix"]): model for model in _load_models("discovery", "migrationhub-config")
}


def region_of(authorization: str) -> str:
    """
    Tell the region that a request was signed for.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

    :param authorization: the header ``Authorization``.
    :return: the region in its credential scope.
    :raises ServiceError: if there is no credential scope.
    """
    scope = re.search(r"Credential=[^,\s]+/\d{8}/([^/,\s]+)/[^/,\s]+/aws4_request", authorization)
    if scope is None:
        raise ServiceError("MissingAuthenticationTokenException", "The request is not signed with Signature Version 4.")
    return scope[1]


def parse_parameters(body: bytes, operation: OperationModel) -> dict[str, Any]:
    """
    Read the parameters of a call, and check them as the service's model says.

    :param body: the request's body.
    :param operation: botocore's model of the operation.
    :return: the parameters.
    :raises ServiceError: if the body is not a JSON object or a parameter is not valid.
    """
    try:
        parameters = json.loads(body or b"{}", object_hook=_without_nulls)
    except ValueError as error:
        raise ServiceError("SerializationException", f"The body is not JSON: {error}") from error
    if not isinstance(parameters, dict):
        raise ServiceError("SerializationException", "The body is not a JSON object.")
    shape = operation.input_shape
    if shape is not None:
        for problem in _value_problems(parameters, shape, "input"):
            raise ServiceError("InvalidParameterValueException", problem)
        report = ParamValidator().validate(parameters, shape)
        if report.has_errors():
            raise ServiceError("InvalidParameterException", report.generate_report())
    return parameters


def _without_nulls(members: dict[str, Any]) -> dict[str, Any]:
    """
    Drop the members that are null, which servers take for absent.

    https://github.com/smithy-lang/smithy/blob/main/smithy-aws-protocol-tests/model/awsJson1_1/null.smithy
    """
    return {name: value for name, value in members.items() if value is not None}


def _value_problems(value: object, shape: Shape, name: str) -> Iterator[str]:
    """Yield what the model's lengths, ranges, patterns and enumerations say against a value."""
    size = {"string": _length, "list": _length, "integer": _number}.get(shape.type_name, _nothing)(value)
    limits = shape.metadata
    if size is None:
        pass
    elif size < limits.get("min", size):
        yield f"{name}: {size} is less than the minimum of {limits['min']}."
    elif size > limits.get("max", size):
        yield f"{name}: {size} is more than the maximum of {limits['max']}."
    elif isinstance(value, str):
        if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
            yield f"{name}: does not match the pattern {limits['pattern']}"
        if "enum" in limits and value not in limits["enum"]:
            yield f"{name}: {value!r} is not one of {', '.join(limits['enum'])}."
    if isinstance(shape, StructureShape) and isinstance(value, Mapping):
        for member, member_shape in shape.members.items():
            if member in value:
                yield from _value_problems(value[member], member_shape, f"{name}.{member}")
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _value_problems(item, shape.member, f"{name}[{index}]")


def _length(value: object) -> int | None:
    return len(value) if isinstance(value, str | list) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _nothing(value: object) -> None:
    return None


def to_json(value: object) -> str:
    """
    Write a value as the service does: times are epoch seconds with a fraction.

    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html

    :param value: what ``json`` can write, and times.
    :return: the JSON text.
    """
    return json.dumps(value, default=_epoch_seconds)


def _epoch_seconds(value: object) -> float:
    if isinstance(value, datetime):
        return round(value.timestamp(), 3)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def json_response(content: object, status: int = 200) -> Response:
    """
    Make an answer of the service.

    :param content: the answer's content.
    :param status: the HTTP status.
    :return: the HTTP response, with a request id.
    """
    return Response(
        to_json(content),
        status,
        headers={"x-amzn-RequestId": str(uuid4())},
        content_type="application/x-amz-json-1.1",
    )


def error_response(error: ServiceError) -> Response:
    """
    Make the answer for an error.

    :param error: the error.
    :return: the HTTP response.
    """
    return json_response({"__type": error.code, "message": error.message}, error.status)
