"""Imports of real files that AWS rejects, in part or as a whole; and no secret in anything that Airflow keeps."""

from __future__ import annotations

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.conftest import INTENTION, SECRETS, tokens_of
from tests.e2e.whole_airflow.runs import Run
from tests.e2e.whole_airflow.traces import database_texts, log_texts, places_of
from tests.support.airflow import LocalAirflow


@pytest.fixture
def run(finished: dict[str, Run]) -> Run:
    return finished["outcomes"]


def test_tasks_end_as_their_imports_and_arguments_say(run: Run) -> None:
    assert run.states() == {
        "start_partial": "success",
        "partial_strict": "failed",
        "partial_soft_fail": "skipped",
        "partial_lenient": "success",
        "start_failing": "success",
        "failing_strict": "failed",
        "failing_soft_fail": "skipped",
        "failing_lenient": "failed",
        "partial_start_and_wait": "failed",
    }
    assert {task.try_number for task in run.task_instances} == {1}
    assert run.xcom("partial_strict", "import_task")["serverImportFailure"] == 1
    assert "Failed records: 1, more than max_failed_records=0 allows" in run.log("partial_strict")


def test_the_scan_finds_what_is_planted(airflow: LocalAirflow) -> None:
    planted = ["planted-log", "planted-xcom", "planted-rendered-field", "planted-trigger-argument"]
    run_id = airflow.trigger("planted")
    for task_instances in airflow.watch("planted", run_id, seconds=60):
        if [task.state for task in task_instances] == ["deferred"]:
            break
    in_database, in_logs = places_of(planted, database_texts(airflow)), places_of(planted, log_texts(airflow))
    assert {
        "planted-xcom in xcom",
        "planted-rendered-field in rendered_task_instance_fields",
        "planted-trigger-argument in trigger",
    } <= in_database
    assert any(place.startswith("planted-log in ") and place.endswith("attempt=1.log") for place in in_logs)


def test_no_secret_stands_anywhere(
    airflow: LocalAirflow, run: Run, aws: dict[str, AdsEmulator], secrets_in_database: set[str]
) -> None:
    tasks = [task for task in aws["aws_default"].import_tasks() if INTENTION in task.get("clientRequestToken", "")]
    assert len(tasks) == 3
    # Of these, a task has fetched the archive.
    fetched = [task for task in aws["aws_default"].import_tasks() if task["name"].startswith("failed-records-")]
    assert fetched
    assert all("X-Amz-Signature" in task["errorsAndFailedEntriesZip"] for task in [*tasks, *fetched]), (
        "no secret to find"
    )
    assert secrets_in_database == set()
    secrets = [*SECRETS, *tokens_of(aws)]
    assert places_of(secrets, log_texts(airflow)) == set()
    assert places_of(secrets, database_texts(airflow)) == set()
