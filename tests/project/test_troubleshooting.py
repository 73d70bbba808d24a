"""The documentation shows the messages of tasks whose AWS account, connection or bucket is not set up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.operators import AdsPrepareImportFileOperator, AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor
from tests.support.task_runs import run_task

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
URL = "s3://migration-inventory/servers.csv"

Provoke = Callable[[AdsEmulator, pytest.MonkeyPatch], Any]


def start(**arguments: Any) -> AdsStartImportTaskOperator:
    return AdsStartImportTaskOperator(task_id="start_import", name="cmdb", import_url=URL, **arguments)


def no_credentials(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    connection = json.loads(ads.airflow_connection)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({**connection, "login": "", "password": ""}))
    return start()


def answered_with(code: str, operation: str | None = None, status: int | None = None) -> Provoke:
    def provoke(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
        ads.inject(code, operation=operation, status=status, message="what AWS says")
        return start()

    return provoke


def wrong_region(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    return start(region_name="eu-west-1")


def no_such_region(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    return start(region_name="us-west")


def no_region(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    connection = json.loads(ads.airflow_connection)
    del connection["extra"]["region_name"]
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    return start()


def no_home_region(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    ads.home_region = None
    return start(region_name="us-west-2")


def deny_reading(ads: AdsEmulator) -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::migration-inventory/*",
    }
    boto3.client(
        "s3",
        endpoint_url=ads.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",
    ).put_bucket_policy(
        Bucket="migration-inventory", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )


def may_not_read_to_prepare(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    deny_reading(ads)
    return AdsPrepareImportFileOperator(
        task_id="prepare", source_url=URL, destination_url="s3://migration-inventory/prepared"
    )


def may_not_read_to_import(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    deny_reading(ads)
    return start(wait_for_completion=True, poll_interval=0.05)


def may_not_list(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    ads.inject("AuthorizationErrorException", operation="DescribeImportTasks", message="what AWS says")
    return AdsImportTaskSensor(task_id="wait_for_import", import_task_id=ads.add_import_task())


def no_such_bucket(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    return AdsPrepareImportFileOperator(
        task_id="prepare",
        source_url="s3://migration-inventary/servers.csv",
        destination_url="s3://migration-inventory/p",
    )


#: The mistake, a function that makes it, the code, and words of the message: the cause and the next step.
CASES: list[tuple[str, Provoke, str, list[str]]] = [
    (
        "no credentials",
        no_credentials,
        "NoCredentialsError",
        ["No credentials were found", "Add an access key"],
    ),
    (
        "wrong access key",
        answered_with("UnrecognizedClientException"),
        "UnrecognizedClientException",
        ["does not recognize these credentials", "Correct the access key"],
    ),
    (
        "wrong secret",
        answered_with("InvalidSignatureException"),
        "InvalidSignatureException",
        ["secret does not match the access key", "Correct the secret of aws_conn_id"],
    ),
    (
        "expired credentials",
        answered_with("ExpiredTokenException"),
        "ExpiredTokenException",
        ["have expired", "Renew the credentials of aws_conn_id"],
    ),
    (
        "wrong region",
        wrong_region,
        "HomeRegionNotSetException",
        ["in eu-west-1", "not the account's home region", "Set region_name to"],
    ),
    (
        "wrong region, as other services say it",
        answered_with("InvalidInputException"),
        "InvalidInputException",
        ["not the account's home region", "Set region_name to"],
    ),
    ("no region", no_region, "NoRegionError", ["No region is set", "Set region_name to"]),
    ("no such region", no_such_region, "UnknownRegionError", ["No such region", "Correct region_name"]),
    (
        "home region not set",
        no_home_region,
        "HomeRegionNotSetException",
        ["or the account has none", "choose one in the console"],
    ),
    (
        "no permission to start",
        answered_with("AuthorizationErrorException", "StartImportTask"),
        "AuthorizationErrorException",
        ["may not call discovery:StartImportTask", "Allow the action in the IAM policy"],
    ),
    (
        "no permission to list, which waits need",
        may_not_list,
        "AuthorizationErrorException",
        ["may not call discovery:DescribeImportTasks", "Allow the action in the IAM policy"],
    ),
    (
        "no permission to read the S3 object, to prepare it",
        may_not_read_to_prepare,
        "403",
        ["may not call s3:GetObject", "Allow the action in the IAM policy", "policies of the bucket"],
    ),
    (
        "no permission to read the S3 object, to import it",
        may_not_read_to_import,
        "IMPORT_FAILED",
        ["No record was imported", "may read it (s3:GetObject)"],
    ),
    ("no such bucket", no_such_bucket, "NoSuchBucket", ["Correct the name of the bucket, or create it"]),
    (
        "unknown error code",
        answered_with("NewException", status=400),
        "NewException",
        ["no advice for this code", "See AWS's message", "AWS Support"],
    ),
]

ROWS: dict[str, str] = {}


@pytest.mark.parametrize(("case", "provoke", "code", "words"), CASES, ids=[case[0] for case in CASES])
def test_the_message_names_the_cause_and_the_next_step(
    case: str,
    provoke: Provoke,
    code: str,
    words: list[str],
    aws_default: AdsEmulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aws_default.upload(URL, "ExternalId\n1\n")
    run = run_task(provoke(aws_default, monkeypatch), monkeypatch)
    assert run.state == "failed"
    message = str(run.error)
    assert code in (getattr(run.error, "code", None), message.partition("'cmdb'): ")[2].partition(".")[0])
    for word in words:
        assert word in message
    ROWS[case] = row(case, code, message)


def row(case: str, code: str, message: str) -> str:
    """Return a row of the table, without the ids that differ between runs."""
    message = re.sub(r"request id [\w-]+", "request id ...", message)
    message = re.sub(r"import-task-\w+", "import-task-...", message)
    return f"| {case} | `{code}` | {message} |"


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="the documentation describes Airflow 3")
def test_the_documentation_has_these_messages() -> None:
    if len(ROWS) < len(CASES):
        pytest.skip("all other tests of this file must have passed")
    table = ["| case | code | message |", "| --- | --- | --- |", *(ROWS[case[0]] for case in CASES)]
    text = "\n".join(table)
    assert text in PAGE.read_text(), f"docs/troubleshooting.md must contain this table:\n{text}"
