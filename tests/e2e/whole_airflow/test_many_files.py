"""One task imports and waits for many files, and takes two worker processes."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.runs import Run, Runs, end_imports_once_deferred

FILES = 50


def start_runs(runs: Runs, aws: dict[str, AdsEmulator]) -> Future[Run]:
    ads = aws["aws_many_files"]
    for number in range(FILES):
        ads.upload(f"s3://inventory/many/{number}.csv", f"ExternalId,HostName\n{number},{number}.example\n")

    def keep_imports_running() -> dict[str, Any]:
        ads.import_seconds = 3600
        return {}

    return runs.start("many_files", keep_imports_running, end_imports_once_deferred(ads, "import_files"))


@pytest.fixture
def run(started: Any) -> Run:
    run: Run = started[__name__].result()
    return run


def test_the_task_takes_two_worker_processes(run: Run) -> None:
    assert run.states() == {"import_files": "success"}
    assert [event for event in run.events("import_files") if event in {"running", "deferred", "success"}] == [
        "running",
        "deferred",
        "running",
        "success",
    ]


def test_each_file_is_imported_once(run: Run, aws: dict[str, AdsEmulator]) -> None:
    imports = [task for task in aws["aws_many_files"].import_tasks() if task["name"].startswith(run.run_id)]
    assert [task["importUrl"] for task in imports] == [f"s3://inventory/many/{number}.csv" for number in range(FILES)]
    assert [(task["status"], task["serverImportSuccess"]) for task in imports] == [("IMPORT_COMPLETE", 1)] * FILES
    assert run.xcom("import_files") == [task["importTaskId"] for task in imports]
