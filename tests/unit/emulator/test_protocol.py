"""Requests and answers on the wire, without a client that would hide them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any, NamedTuple

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.emulator.import_tasks import ImportTasks

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKIA/20260102/us-west-2/discovery/aws4_request, "
    "SignedHeaders=host;x-amz-date;x-amz-target, Signature=0"
)
DISCOVERY = "AWSPoseidonService_V2015_11_01"
START = {"name": "n", "importUrl": "s3://bucket/key"}
TASK = f"import-task-{'0' * 32}"


class Answer(NamedTuple):
    status: int
    headers: Any
    content: dict[str, Any]


def send(
    ads: AdsEmulator,
    operation: str,
    parameters: object,
    *,
    prefix: str = DISCOVERY,
    authorization: str = AUTHORIZATION,
) -> Answer:
    body = parameters if isinstance(parameters, bytes) else json.dumps(parameters).encode()
    headers = {
        "X-Amz-Target": f"{prefix}.{operation}",
        "Authorization": authorization,
        "Content-Type": "application/x-amz-json-1.1",
    }
    request = urllib.request.Request(ads.endpoint_url, body, headers, method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return Answer(answer.status, answer.headers, json.load(answer))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, json.load(error))


def test_answer(ads: AdsEmulator) -> None:
    answer = send(ads, "DescribeImportTasks", {})
    assert (answer.status, answer.content) == (200, {"tasks": []})
    assert answer.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert answer.headers["x-amzn-RequestId"]


def test_times_are_epoch_seconds_with_a_fraction(ads: AdsEmulator) -> None:
    send(ads, "StartImportTask", START)
    (task,) = ads.import_tasks()
    (described,) = send(ads, "DescribeImportTasks", {}).content["tasks"]
    assert described["importRequestTime"] == task["importRequestTime"].timestamp()


def test_error(ads: AdsEmulator) -> None:
    answer = send(ads, "StartImportTask", {"name": "n"})
    assert answer.status == 400
    assert answer.content["__type"] == "InvalidParameterException"
    assert "importUrl" in answer.content["message"]
    assert answer.headers["Content-Type"] == "application/x-amz-json-1.1"
    assert answer.headers["x-amzn-RequestId"]


@pytest.mark.parametrize(
    ("operation", "parameters", "code", "said"),
    [
        ("StartImportTask", {}, "InvalidParameterException", "name"),
        ("StartImportTask", START | {"name": 1}, "InvalidParameterException", "name"),
        (
            "StartImportTask",
            START | {"name": None},
            "InvalidParameterException",
            'Missing required parameter in input: "name"',
        ),
        ("StartImportTask", START | {"colour": "red"}, "InvalidParameterException", "colour"),
        ("StartImportTask", START | {"name": ""}, "InvalidParameterValueException", "minimum of 1"),
        ("StartImportTask", START | {"name": " \n"}, "InvalidParameterValueException", "pattern"),
        ("StartImportTask", START | {"name": "n" * 256}, "InvalidParameterValueException", "maximum of 255"),
        ("StartImportTask", START | {"importUrl": "bucket/key"}, "InvalidParameterValueException", "pattern"),
        ("StartImportTask", START | {"importUrl": " s3://bucket/key"}, "InvalidParameterValueException", "pattern"),
        (
            "StartImportTask",
            START | {"importUrl": "s3://bucket/" + "k" * 4000},
            "InvalidParameterValueException",
            "maximum of 4000",
        ),
        (
            "StartImportTask",
            START | {"clientRequestToken": "t" * 101},
            "InvalidParameterValueException",
            "maximum of 100",
        ),
        ("DescribeImportTasks", {"maxResults": "1"}, "InvalidParameterException", "maxResults"),
        ("DescribeImportTasks", {"maxResults": 0}, "InvalidParameterValueException", "minimum of 1"),
        ("DescribeImportTasks", {"maxResults": 101}, "InvalidParameterValueException", "maximum of 100"),
        ("DescribeImportTasks", {"nextToken": "no token"}, "InvalidParameterValueException", "nextToken"),
        ("DescribeImportTasks", {"nextToken": "aGVsbG8="}, "InvalidParameterValueException", "nextToken"),
        (
            "DescribeImportTasks",
            {"filters": [{"name": "ID", "values": ["x"]}]},
            "InvalidParameterValueException",
            "IMPORT_TASK_ID",
        ),
        (
            "DescribeImportTasks",
            {"filters": [{"name": "NAME", "values": []}]},
            "InvalidParameterValueException",
            "values",
        ),
        (
            "DescribeImportTasks",
            {"filters": [{"name": "NAME", "values": ["x"] * 101}]},
            "InvalidParameterValueException",
            "maximum of 100",
        ),
        (
            "DescribeImportTasks",
            {"filters": [{"name": "NAME", "values": ["fine", "x" * 256]}]},
            "InvalidParameterValueException",
            "values[1]",
        ),
        ("DescribeImportTasks", {"filters": {"name": "NAME"}}, "InvalidParameterException", "filters"),
        ("BatchDeleteImportData", {}, "InvalidParameterException", "importTaskIds"),
        ("BatchDeleteImportData", {"importTaskIds": []}, "InvalidParameterValueException", "minimum of 1"),
        ("BatchDeleteImportData", {"importTaskIds": [TASK] * 11}, "InvalidParameterValueException", "maximum of 10"),
        (
            "BatchDeleteImportData",
            {"importTaskIds": [TASK, "import-task-1"]},
            "InvalidParameterValueException",
            "importTaskIds[1]",
        ),
        (
            "BatchDeleteImportData",
            {"importTaskIds": [TASK], "deleteHistory": "yes"},
            "InvalidParameterException",
            "deleteHistory",
        ),
        ("DescribeImportTasks", b"no JSON", "SerializationException", "JSON"),
        ("DescribeImportTasks", ["a list"], "SerializationException", "object"),
        ("DescribeImportTasks", b"\xff", "SerializationException", "JSON"),
        ("StopDataCollectionByAgentIds", {}, "UnknownOperationException", "StopDataCollectionByAgentIds"),
        ("GetHomeRegion", {}, "UnknownOperationException", "GetHomeRegion"),
    ],
)
def test_request_that_is_refused(ads: AdsEmulator, operation: str, parameters: object, code: str, said: str) -> None:
    answer = send(ads, operation, parameters)
    assert (answer.status, answer.content["__type"]) == (400, code)
    assert said in answer.content["message"]
    assert ads.import_tasks() == []


@pytest.mark.parametrize(
    "parameters",
    [
        {"name": "n" * 255, "importUrl": "s3://bucket/" + "k" * 3988, "clientRequestToken": "t" * 100},
        {"name": "\N{SNOWMAN}" * 255, "importUrl": "s3://b/k\n", "clientRequestToken": " "},
    ],
)
def test_longest_request_that_is_taken(ads: AdsEmulator, parameters: dict[str, str]) -> None:
    assert send(ads, "StartImportTask", parameters).status == 200


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("StartImportTask", START | {"clientRequestToken": None}),
        ("DescribeImportTasks", {"filters": None, "maxResults": None, "nextToken": None}),
        ("DescribeImportTasks", {"filters": [{"name": None, "values": None}]}),
        ("BatchDeleteImportData", {"importTaskIds": [TASK] * 10, "deleteHistory": None}),
    ],
)
def test_null_member_counts_as_absent(ads: AdsEmulator, operation: str, parameters: dict[str, object]) -> None:
    assert send(ads, operation, parameters).status == 200


def test_request_without_a_body(ads: AdsEmulator) -> None:
    assert send(ads, "DescribeImportTasks", b"").content == {"tasks": []}


@pytest.mark.parametrize("authorization", ["", "Bearer token"])
def test_request_without_a_signature(ads: AdsEmulator, authorization: str) -> None:
    answer = send(ads, "DescribeImportTasks", {}, authorization=authorization)
    assert (answer.status, answer.content["__type"]) == (400, "MissingAuthenticationTokenException")


def test_operation_of_migration_hub_config(ads: AdsEmulator) -> None:
    answer = send(ads, "GetHomeRegion", {}, prefix="AWSMigrationHubMultiAccountService")
    assert (answer.status, answer.content) == (200, {"HomeRegion": "us-west-2"})


def test_breakdown_is_the_service_s_internal_error(
    ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ImportTasks, "_describe", None)
    answer = send(ads, "StartImportTask", START)
    assert (answer.status, answer.content["__type"]) == (500, "ServerInternalErrorException")
    assert "StartImportTask broke down" in caplog.text
