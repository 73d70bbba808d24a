"""Exports end in the same way on a worker and in the triggerer, and contain every imported server."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.hooks import AdsHook
from tests.e2e.whole_airflow.connections import TABLE
from tests.e2e.whole_airflow.runs import Run, Runs
from tests.e2e.whole_airflow.stored_text import database_texts, log_texts, places_of, tables
from tests.support.airflow import LocalAirflow
from tests.support.moto import read_object

SERVERS = 300

MODES = ("sync", "deferred")


@dataclass(frozen=True)
class Row:
    """
    A row of the table of exports.

    :param state: the final state of the task in every mode.
    :param shown: a part of the log in every mode.
    :param prepare: changes the service before the run.
    """

    state: str
    shown: str
    prepare: Callable[[AdsEmulator], Any] = lambda ads: None


ROWS = {
    "succeeded": Row("success", "EXPORT: SUCCEEDED, 2 files (export-"),
    "failed": Row(
        "failed",
        "Run the task again, which starts another export: No servers found.",
        lambda ads: ads.inject("EXPORT_FAILED", message="No servers found"),
    ),
    "truncated": Row(
        "success",
        "EXPORT: SUCCEEDED, incomplete, because it would exceed AWS's size limit (export-",
        lambda ads: ads.inject("EXPORT_TRUNCATED"),
    ),
    "denied": Row(
        "failed",
        "Wait until the account's other exports have ended, and run the task again",
        lambda ads: ads.inject(
            "OperationNotPermittedException",
            operation="StartExportTask",
            message="You have reached limit of maximum allowed concurrent exports.",
        ),
    ),
    "timed_out": Row("failed", "retry starts another export, although this one continues at AWS"),
}


def start_runs(runs: Runs, aws: dict[str, AdsEmulator]) -> dict[str, Future[Run]]:
    for name, row in ROWS.items():
        row.prepare(aws[f"aws_export_{name}"])
    import_servers(aws["aws_export_succeeded"])
    return {name: runs.start(f"export_{name}") for name in ROWS}


def import_servers(ads: AdsEmulator) -> None:
    """Import the servers that the export must contain."""
    rows = (f"{number},srv{number:03}.example,2,4096" for number in range(SERVERS))
    text = "\n".join(["ExternalId,HostName,CPU.NumberOfCores,RAM.TotalSizeInMB", *rows])
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_EXPORTED", ads.airflow_connection)
        AdsHook("aws_exported").start_import_task("exported", ads.upload("s3://inventory/exported.csv", text))
    deadline = time.monotonic() + 60
    while ads.import_tasks()[0]["status"] == "IMPORT_IN_PROGRESS":
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("name", ROWS)
def test_the_end_is_the_same_in_both_modes(started: Any, name: str) -> None:
    run = started[__name__][name].result()
    row = ROWS[name]
    for mode in MODES:
        TABLE.append(f"export {name:<9}  {mode:<8}  {run.task(mode).state:<7}  {row.shown}")
    assert run.states() == dict.fromkeys(MODES, row.state)
    for mode in MODES:
        assert row.shown in run.log(mode), run.log(mode)
    assert ("deferred" in run.events("deferred")) is (name != "denied")


@pytest.mark.parametrize("mode", MODES)
def test_the_recommendations_in_s3_have_a_row_for_each_server(started: Any, mode: str) -> None:
    run = started[__name__]["succeeded"].result()
    result = run.xcom(mode)
    (recommendations,) = (url for url in result["files"] if "EC2InstanceRecommendations-" in url)
    assert recommendations.startswith(f"s3://inventory/exports/succeeded/{mode}/{result['export_id']}/")
    rows = list(csv.DictReader(read_object(recommendations).decode().splitlines()))
    assert sorted(row["Server.HostName"] for row in rows) == [f"srv{number:03}.example" for number in range(SERVERS)]
    assert {bool(row["Recommendation.EC2.Instance.Model"]) for row in rows} == {True}
    assert result["is_truncated"] is False


@pytest.mark.parametrize("mode", MODES)
def test_the_result_of_a_truncated_export_is_marked_as_truncated(started: Any, mode: str) -> None:
    assert started[__name__]["truncated"].result().xcom(mode)["is_truncated"] is True


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_task_has_the_summary_of_its_export(started: Any, mode: str) -> None:
    summary = started[__name__]["failed"].result().xcom(mode, "export_task")
    assert (summary["exportStatus"], summary["statusMessage"]) == ("FAILED", "No servers found")


def test_no_log_and_no_table_contains_a_presigned_url(
    started: Any, airflow: LocalAirflow, aws: dict[str, AdsEmulator]
) -> None:
    for run in started[__name__].values():
        run.result()
    assert "X-Amz-Signature" in aws["aws_export_succeeded"].export_tasks()[0]["configurationsDownloadUrl"]
    texts = [*log_texts(airflow), *database_texts(airflow, tables(airflow))]
    assert places_of(["X-Amz-Signature", "X-Amz-Credential"], texts) == set()
