"""
The protocol awsJson 1.1: requests validated against botocore's service models, responses and errors as JSON.

AWS does not document which error an invalid parameter gets. The emulator's own choice: ``InvalidParameterException``
for a parameter that is missing, unknown or of the wrong type, and ``InvalidParameterValueException`` for one that is
too long, too short, out of range, or does not match its pattern or enumeration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from botocore.loaders import Loader
from botocore.model import ListShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator
from werkzeug.wrappers import Response

__all__ = [
    "DISCOVERY",
    "HTTP_STATUS",
    "SERVICES",
    "ServiceError",
    "error_response",
    "json_response",
    "parse_parameters",
    "region_of",
    "to_json",
]

#: The HTTP status of each error code. The first six are documented for
#: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html and the next five for
#: https://docs.aws.amazon.com/migrationhub-home-region/latest/APIReference/API_GetHomeRegion.html
#: (``InvalidInputException`` also for calls outside of the home region:
#: https://docs.aws.amazon.com/migrationhub-home-region/latest/APIReference/Welcome.html).
#: ``OperationNotPermittedException`` is an error of StartExportTask, whose status AWS does not document. The others are
#: common to AWS's JSON services; that this service returns them is the emulator's own choice.
HTTP_STATUS = {
    "AuthorizationErrorException": 400,
    "HomeRegionNotSetException": 400,
    "InvalidParameterException": 400,
    "InvalidParameterValueException": 400,
    "ResourceInUseException": 400,
    "ServerInternalErrorException": 500,
    "AccessDeniedException": 400,
    "InternalServerError": 500,
    "InvalidInputException": 400,
    "ServiceUnavailableException": 500,
    "ThrottlingException": 400,
    "OperationNotPermittedException": 400,
    "ExpiredTokenException": 400,
    "IncompleteSignatureException": 400,
    "InternalFailure": 500,
    "InvalidSignatureException": 400,
    "MissingAuthenticationTokenException": 400,
    "RequestExpired": 400,
    "SerializationException": 400,
    "ServiceUnavailable": 503,
    "UnknownOperationException": 400,
    "UnrecognizedClientException": 400,
}


class ServiceError(Exception):
    """
    An error that the service returns.

    :param code: the error code, such as ``ResourceInUseException``.
    :param message: the message for the caller.
    :param status: the HTTP status; required for a code that :data:`HTTP_STATUS` does not list.
    """

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = HTTP_STATUS[code] if status is None else status


def _load_model(name: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


#: The model of Application Discovery Service.
DISCOVERY = _load_model("discovery")

#: The service models by the prefix of the header ``X-Amz-Target``.
SERVICES: dict[str, ServiceModel] = {
    str(model.metadata["targetPrefix"]): model for model in (DISCOVERY, _load_model("migrationhub-config"))
}


def region_of(authorization: str) -> str:
    """
    Return the region in the credential scope of a header ``Authorization``.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

    :raises ServiceError: if there is no credential scope.
    """
    scope = re.search(r"Credential=[^,\s]+/\d{8}/([^/,\s]+)/[^/,\s]+/aws4_request", authorization)
    if scope is None:
        raise ServiceError("MissingAuthenticationTokenException", "The request is not signed with Signature Version 4.")
    return scope[1]


def parse_parameters(body: bytes, operation: OperationModel) -> dict[str, Any]:
    """
    Read the parameters of a call from its body and validate them against the model of the operation.

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
    Drop the members that are null, because servers treat them as absent.

    https://github.com/smithy-lang/smithy/blob/main/smithy-aws-protocol-tests/model/awsJson1_1/null.smithy
    """
    return {name: value for name, value in members.items() if value is not None}


def _value_problems(value: object, shape: Shape, name: str) -> Iterator[str]:
    """Yield each violation of the model's lengths, ranges, patterns and enumerations."""
    size: float | None = None
    if shape.type_name in ("string", "list") and isinstance(value, str | list):
        size = len(value)
    elif shape.type_name in ("integer", "double") and isinstance(value, int | float):
        size = value
    limits = shape.metadata
    if size is None:
        pass
    elif size < limits.get("min", size):
        yield f"{name}: {size} is less than the minimum of {limits['min']}."
    elif size > limits.get("max", size):
        yield f"{name}: {size} exceeds the maximum of {limits['max']}."
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


def to_json(value: object) -> str:
    """
    Write a value as the service does: times are epoch seconds with a fraction.

    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    """
    return json.dumps(value, default=lambda time: round(time.timestamp(), 3))


def json_response(content: object, status: int = 200) -> Response:
    """Create a response of the service, with a request id."""
    return Response(
        to_json(content),
        status,
        headers={"x-amzn-RequestId": str(uuid4())},
        content_type="application/x-amz-json-1.1",
    )


def error_response(error: ServiceError) -> Response:
    """Create the response for an error."""
    return json_response({"__type": error.code, "message": error.message}, error.status)
