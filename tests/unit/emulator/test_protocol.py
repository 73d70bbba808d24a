"""Requests and responses as they are sent, without a client that hides details."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.emulator.protocol import HTTP_STATUS
from tests.unit.emulator.conftest import START, UNKNOWN_TASK, send

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKIA/20260102/us-west-2/discovery/aws4_request, "
    "SignedHeaders=host;x-amz-date;x-amz-target, Signature=0"
)

#: Calls that the emulator refuses and parts of its messages, by error code.
INVALID_CALLS: dict[str, list[tuple[str, object, str]]] = {
    # Missing, unknown and mistyped parameters.
    "InvalidParameterException": [
        ("StartImportTask", {}, "name"),
        ("StartImportTask", START | {"name": None}, 'Missing required parameter in input: "name"'),
        ("StartImportTask", START | {"colour": "red"}, "colour"),
        ("DescribeImportTasks", {"maxResults": "1"}, "maxResults"),
        ("DescribeImportTasks", {"filters": {"name": "NAME"}}, "filters"),
        ("BatchDeleteImportData", {"importTaskIds": [UNKNOWN_TASK], "deleteHistory": "yes"}, "deleteHistory"),
    ],
    # Parameters of the right type with an invalid value.
    "InvalidParameterValueException": [
        ("StartImportTask", START | {"name": ""}, "minimum of 1"),
        ("StartImportTask", START | {"name": " \n"}, "pattern"),
        ("StartImportTask", START | {"name": "n" * 256}, "maximum of 255"),
        ("StartImportTask", START | {"importUrl": " s3://bucket/key"}, "pattern"),
        ("DescribeImportTasks", {"maxResults": 0}, "minimum of 1"),
        ("DescribeImportTasks", {"maxResults": 101}, "maximum of 100"),
        ("DescribeImportTasks", {"nextToken": "no token"}, "nextToken"),
        ("DescribeImportTasks", {"nextToken": "aGVsbG8="}, "nextToken"),
        ("DescribeImportTasks", {"nextToken": "aGVsbG8gMQ=="}, "nextToken"),
        ("DescribeImportTasks", {"filters": [{"name": "ID", "values": ["x"]}]}, "IMPORT_TASK_ID"),
        ("DescribeImportTasks", {"filters": [{"name": "NAME", "values": []}]}, "values"),
        ("DescribeImportTasks", {"filters": [{"name": "NAME", "values": ["fine", "x" * 256]}]}, "values[1]"),
        ("BatchDeleteImportData", {"importTaskIds": [UNKNOWN_TASK] * 11}, "maximum of 10"),
        ("BatchDeleteImportData", {"importTaskIds": [UNKNOWN_TASK, "import-task-1"]}, "importTaskIds[1]"),
    ],
    "SerializationException": [
        ("DescribeImportTasks", b"no JSON", "JSON"),
        ("DescribeImportTasks", b"\xff", "JSON"),
        ("DescribeImportTasks", ["a list"], "not a JSON object"),
    ],
    "UnknownOperationException": [("GetHomeRegion", {}, "GetHomeRegion")],
}


class Answer(NamedTuple):
    status: int
    headers: Any
    content: dict[str, Any]


def call(ads: AdsEmulator, operation: str, parameters: object, authorization: str = AUTHORIZATION) -> Answer:
    body = parameters if isinstance(parameters, bytes) else json.dumps(parameters).encode()
    headers = {"X-Amz-Target": f"AWSPoseidonService_V2015_11_01.{operation}", "Authorization": authorization}
    status, response_headers, content = send(ads.endpoint_url, "POST", body, **headers)
    return Answer(status, response_headers, json.loads(content))


@pytest.mark.parametrize(("parameters", "expected"), [({}, (200, "tasks")), ({"maxResults": 0}, (400, "__type"))])
def test_responses_have_a_request_id(ads: AdsEmulator, parameters: object, expected: tuple[int, str]) -> None:
    answer = call(ads, "DescribeImportTasks", parameters)
    assert (answer.status, next(iter(answer.content))) == expected
    assert answer.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert answer.headers["x-amzn-RequestId"]


def test_times_are_epoch_seconds_with_a_fraction(ads: AdsEmulator) -> None:
    call(ads, "StartImportTask", START)
    (task,) = ads.import_tasks()
    (described,) = call(ads, "DescribeImportTasks", {}).content["tasks"]
    assert described["importRequestTime"] == task["importRequestTime"].timestamp()


@pytest.mark.parametrize(
    ("code", "operation", "parameters", "message"),
    [(code, *call) for code, calls in INVALID_CALLS.items() for call in calls],
)
def test_an_invalid_call_is_refused(
    ads: AdsEmulator, code: str, operation: str, parameters: object, message: str
) -> None:
    answer = call(ads, operation, parameters)
    assert (answer.status, answer.content["__type"]) == (400, code)
    assert message in answer.content["message"]
    assert ads.import_tasks() == []


def test_the_longest_parameters_are_accepted(ads: AdsEmulator) -> None:
    parameters = {
        "name": "\N{SNOWMAN}" * 255,
        "importUrl": "s3://b/" + "k" * 3992 + "\n",
        "clientRequestToken": "t" * 100,
    }
    assert call(ads, "StartImportTask", parameters).status == 200


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("DescribeImportTasks", {"filters": None, "maxResults": None, "nextToken": None}),
        ("DescribeImportTasks", {"filters": [{"name": None, "values": None}]}),
        ("BatchDeleteImportData", {"importTaskIds": [UNKNOWN_TASK] * 10, "deleteHistory": None}),
    ],
)
def test_null_counts_as_absent(ads: AdsEmulator, operation: str, parameters: dict[str, object]) -> None:
    assert call(ads, operation, parameters).status == 200


def test_an_empty_body_has_no_parameters(ads: AdsEmulator) -> None:
    assert call(ads, "DescribeImportTasks", b"").content == {"tasks": []}


@pytest.mark.parametrize("authorization", ["", "Bearer token"])
def test_a_request_without_a_signature_is_refused(ads: AdsEmulator, authorization: str) -> None:
    answer = call(ads, "DescribeImportTasks", {}, authorization=authorization)
    assert (answer.status, answer.content["__type"]) == (400, "MissingAuthenticationTokenException")


def test_error_codes_have_their_documented_status() -> None:
    assert {"ServerInternalErrorException": 500, "InternalFailure": 500, "ServiceUnavailable": 503}.items() <= (
        HTTP_STATUS.items()
    )
    for code in ("ThrottlingException", "AuthorizationErrorException", "HomeRegionNotSetException"):
        assert HTTP_STATUS[code] == HTTP_STATUS["InvalidInputException"] == HTTP_STATUS["ExpiredTokenException"] == 400
