"""Rows that failed come back as they were sent, also when the wait failed because of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.conftest import ODD_HEADER, ODD_ROWS
from tests.e2e.whole_airflow.runs import Run
from tests.support.moto import objects_under


@pytest.fixture
def run(finished: dict[str, Run]) -> Run:
    return finished["failed_records"]


@pytest.fixture
def import_task(run: Run, aws: dict[str, AdsEmulator]) -> dict[str, Any]:
    """What the service says of the import."""
    (found,) = [task for task in aws["aws_default"].import_tasks() if task["importTaskId"] == run.xcom("start")]
    return found


def test_they_are_fetched_after_a_wait_that_failed_and_nothing_is_deleted(run: Run) -> None:
    assert run.states() == {"start": "success", "wait": "failed", "fetch": "success", "prune": "upstream_failed"}
    assert run.state == "failed"


def test_they_are_in_s3_byte_for_byte(run: Run, import_task: dict[str, Any]) -> None:
    folder = f"s3://inventory/failed/{import_task['importTaskId']}/"
    fetched = objects_under(folder)
    assert fetched.keys() == {"errors.csv", "failed-entries.csv"}
    assert fetched["failed-entries.csv"] == (ODD_HEADER + "".join(ODD_ROWS)).encode()
    assert run.xcom("fetch")["failed_entries_url"] == f"{folder}failed-entries.csv"
    assert run.xcom("fetch")["errors_url"] == f"{folder}errors.csv"


def test_log_result_and_service_count_alike(run: Run, import_task: dict[str, Any]) -> None:
    events = [json.loads(line)["event"] for line in run.log("fetch").splitlines()]
    (logged,) = [event for event in events if "Failed rows" in event]
    _, _, *errors = logged.splitlines()
    assert import_task["serverImportFailure"] == run.xcom("fetch")["failed_records"] == len(ODD_ROWS) == 3
    assert "Failed rows: 3," in logged
    assert [error.split()[:2] for error in errors] == [
        ["3", "RAM.TotalSizeInMB"],
        ["5", "ExternalId"],
        ["5", "RAM.TotalSizeInMB"],
        ["7", "CPU.NumberOfCores"],
    ]


def test_without_an_import_there_is_nothing_to_fetch(finished: dict[str, Run]) -> None:
    run = finished["failed_records_of_no_import"]
    assert run.states() == {
        "start": "failed",
        "wait": "upstream_failed",
        "fetch": "skipped",
        "prune": "upstream_failed",
    }
    assert run.state == "failed"
    assert "There is no import to ask about" in run.log("fetch")
