"""A file is prepared, and all parts of it are imported, waited for and fetched from; or none is."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.inventories import HEADER, OUT_OF_RANGE, QUARANTINED, ROWS
from tests.e2e.whole_airflow.runs import Run
from tests.support.moto import objects_under


def pipeline(finished: dict[str, Run], name: str) -> Run:
    """The run that prepared a file."""
    return finished[f"pipeline of {name}"]


def imports_of(run: Run, aws: dict[str, AdsEmulator]) -> list[dict[str, Any]]:
    """What the service says of the imports of a run, in the order of their parts."""
    tasks = [task for task in aws["aws_prepared"].import_tasks() if run.run_id in task["importUrl"]]
    return sorted(tasks, key=lambda task: str(task["importUrl"]))


def rows_of(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_every_row_is_imported_in_one_of_the_parts(finished: dict[str, Run], aws: dict[str, AdsEmulator]) -> None:
    run = pipeline(finished, "good.csv")
    assert run.state == "success"
    parts = objects_under(f"s3://inventory/prepared/{run.run_id}/")
    assert sorted(parts) == ["part-0001.csv", "part-0002.csv", "part-0003.csv"]
    assert all(len(content) <= 100_000 for content in parts.values())
    assert [row for name in sorted(parts) for row in rows_of(parts[name].decode())[1:]] == rows_of("".join(ROWS))
    imports = imports_of(run, aws)
    assert [task["importUrl"] for task in imports] == run.xcom("prepare")
    assert [task["serverImportSuccess"] for task in imports] == [
        part["rows"] for part in run.xcom("prepare", "report")["parts"]
    ]
    assert [summary["importTaskId"] for summary in run.xcom("wait")] == [task["importTaskId"] for task in imports]


def test_rows_are_imported_failed_or_quarantined(finished: dict[str, Run], aws: dict[str, AdsEmulator]) -> None:
    run = pipeline(finished, "with-bad-rows.csv")
    report = run.xcom("prepare", "report")
    imports = imports_of(run, aws)
    imported = sum(task["serverImportSuccess"] for task in imports)
    failed = sum(task["serverImportFailure"] for task in imports)
    assert (imported, failed, report["rows_quarantined"]) == (len(ROWS), 1, 1)
    assert report["rows_read"] == imported + failed + report["rows_quarantined"]
    assert QUARANTINED in objects_under(report["quarantine_url"])[""].decode()


def test_failed_rows_are_fetched_although_the_wait_failed_because_of_them(finished: dict[str, Run]) -> None:
    run = pipeline(finished, "with-bad-rows.csv")
    assert run.state == "failed"
    assert {task.state for task in run.task_instances if task.task_id == "start"} == {"success"}
    states = run.states()
    assert (states["wait"], states["fetch"], states["prune"]) == ("failed", "success", "upstream_failed")
    (url,) = [result["failed_entries_url"] for result in run.xcom("fetch") if result["failed_records"]]
    assert objects_under(url)[""].decode() == HEADER + OUT_OF_RANGE


def test_a_file_that_cannot_be_prepared_starts_nothing(finished: dict[str, Run], aws: dict[str, AdsEmulator]) -> None:
    run = pipeline(finished, "semicolons.csv")
    assert run.state == "failed"
    assert run.task("prepare").try_number == 1
    assert "s3://inventory/semicolons.csv: The header on line 1 has semicolons between its columns." in run.log(
        "prepare"
    )
    assert {task.task_id: task.state for task in run.task_instances} == {
        "prepare": "failed",
        "start": "upstream_failed",
        "wait": "upstream_failed",
        "fetch": "skipped",
        "prune": "upstream_failed",
    }
    assert imports_of(run, aws) == []
    assert objects_under(f"s3://inventory/prepared/{run.run_id}/") == {}


@pytest.mark.parametrize("name", ["rvtools.zip", "rvtools.xlsx"])
def test_an_export_of_rvtools_is_imported(finished: dict[str, Run], aws: dict[str, AdsEmulator], name: str) -> None:
    run = pipeline(finished, name)
    assert run.state == "success"
    (task,) = imports_of(run, aws)
    assert (task["fileClassification"], task["status"]) == ("RVTOOLS_EXPORT", "IMPORT_COMPLETE")
    assert (task["serverImportSuccess"], task["importUrl"].rpartition("/")[2]) == (5, "part-0001.zip")
