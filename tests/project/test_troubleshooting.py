"""The documentation shows the messages of tasks whose AWS account, connection or bucket is not set up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
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


def sts_cannot_be_reached(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    connection = json.loads(ads.airflow_connection)
    connection["extra"] |= {
        "role_arn": "arn:aws:iam::123456789012:role/importer",
        "service_config": {"sts": {"endpoint_url": "http://127.0.0.1:1"}},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return start()


def answered_with(code: str, operation: str | None = None, status: int | None = None) -> Provoke:
    def provoke(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
        ads.inject(code, operation=operation, status=status, message="what AWS says")
        return start()

    return provoke


def prepare(source_url: str = URL) -> AdsPrepareImportFileOperator:
    return AdsPrepareImportFileOperator(
        task_id="prepare", source_url=source_url, destination_url="s3://migration-inventory/prepared"
    )


def called_in(region_name: str) -> Provoke:
    return lambda ads, monkeypatch: start(region_name=region_name)


def no_region(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    connection = json.loads(ads.airflow_connection)
    del connection["extra"]["region_name"]
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    return start()


def no_home_region(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    ads.home_region = None
    return start(region_name="us-west-2")


def deny_reading() -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::migration-inventory/*",
    }
    client: Any = S3Hook().conn
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client.put_bucket_policy(Bucket="migration-inventory", Policy=policy)


def may_not_read_to_prepare(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    deny_reading()
    return prepare()


def may_not_read_to_import(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    deny_reading()
    return start(wait_for_completion=True, poll_interval=0.05)


def may_not_list(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    ads.inject("AuthorizationErrorException", operation="DescribeImportTasks", message="what AWS says")
    return AdsImportTaskSensor(task_id="wait_for_import", import_task_id=ads.add_import_task())


def wrong_headers(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    ads.upload(URL, "Server,IP\nweb-1,10.0.0.1\n")
    return start(wait_for_completion=True, poll_interval=0.05)


def no_such_bucket(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    return prepare("s3://migration-inventary/servers.csv")


#: The mistake, a function that makes it, and the code in the message.
CASES: list[tuple[str, Provoke, str]] = [
    ("no credentials", no_credentials, "NoCredentialsError"),
    (
        "no such connection",
        lambda ads, monkeypatch: start(aws_conn_id="aws_defualt", region_name="us-west-2"),
        "NoCredentialsError",
    ),
    ("AWS STS cannot be reached, with a role", sts_cannot_be_reached, "EndpointConnectionError"),
    ("wrong access key", answered_with("UnrecognizedClientException"), "UnrecognizedClientException"),
    ("wrong secret", answered_with("InvalidSignatureException"), "InvalidSignatureException"),
    ("expired credentials", answered_with("ExpiredTokenException"), "ExpiredTokenException"),
    ("wrong region", called_in("eu-west-1"), "HomeRegionNotSetException"),
    ("wrong region, as other services say it", answered_with("InvalidInputException"), "InvalidInputException"),
    ("no region", no_region, "NoRegionError"),
    ("no such region", called_in("us-west"), "UnknownRegionError"),
    ("home region not set", no_home_region, "HomeRegionNotSetException"),
    (
        "no permission to start",
        answered_with("AuthorizationErrorException", "StartImportTask"),
        "AuthorizationErrorException",
    ),
    ("no permission to list, which waits need", may_not_list, "AuthorizationErrorException"),
    ("no permission to read the S3 object, to prepare it", may_not_read_to_prepare, "403"),
    ("no permission to read the S3 object, to import it", may_not_read_to_import, "IMPORT_FAILED"),
    ("wrong headers", wrong_headers, "IMPORT_FAILED_UNSUPPORTED_FILE_TYPE"),
    ("no such bucket", no_such_bucket, "NoSuchBucket"),
    ("unknown error code", answered_with("NewException", status=400), "NewException"),
]


@pytest.mark.parametrize(("case", "provoke", "code"), CASES, ids=[case[0] for case in CASES])
def test_the_documentation_shows_the_message(
    case: str, provoke: Provoke, code: str, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_default.upload(URL, "ExternalId\n1\n")
    run = run_task(provoke(aws_default, monkeypatch), monkeypatch)
    assert run.state == "failed"
    message = str(run.error)
    assert code in message
    # Older versions of botocore have other words for some errors.
    if AIRFLOW_V_3_0_PLUS:
        message = re.sub(r"request id [\w-]+", "request id ...", message)
        message = re.sub(r"import-task-\w+", "import-task-...", message).replace("\n", "<br>")
        folded = f"<details><summary>{case}: <code>{code}</code></summary>\n\n{message}\n\n</details>\n"
        assert folded in PAGE.read_text()
