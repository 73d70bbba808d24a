"""Failed records fail the tasks that wait and can be fetched, and no secret appears in anything that Airflow stores."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.conftest import CLIENT_REQUEST_TOKEN, SECRETS, tokens
from tests.e2e.whole_airflow.runs import Run, Runs, end_imports_once_deferred
from tests.e2e.whole_airflow.stored_text import database_texts, log_texts, places_of, tables
from tests.support.airflow import AIRFLOW_3_4, LocalAirflow, TaskInstance
from tests.support.moto import read_object

HEADER = "ExternalId,HostName,OS.Name\n"
FAILED_ROW = ",,Linux\n"

#: These tables contain a trigger's arguments and its event only until the task resumes.
SHORT_LIVED = ["task_instance", "trigger"]


def start_runs(runs: Runs, aws: dict[str, AdsEmulator]) -> tuple[Future[Run], set[str]]:
    """
    Start the run.

    :return: the run, and where Airflow's database contained import task ids or secrets during it.
    """
    ads = aws["aws_failed_records"]
    ads.upload("s3://inventory/half-bad.csv", f"{HEADER}1,a.example,Linux\n{FAILED_ROW}")
    ads.upload("s3://inventory/good.csv", f"{HEADER}1,a.example,Linux\n")
    found: set[str] = set()
    end_imports = end_imports_once_deferred(ads, "wait", "start_and_wait", "start_list")

    def search(run_id: str, task_instances: list[TaskInstance]) -> None:
        ids = [task["importTaskId"] for task in ads.import_tasks()]
        found.update(places_of([*ids, *SECRETS, *tokens(aws)], database_texts(runs.airflow, SHORT_LIVED)))
        end_imports(run_id, task_instances)

    return runs.start("failed_records", while_running=search), found


@pytest.fixture
def run(started: Any) -> Run:
    run: Run = started[__name__][0].result()
    return run


def test_failed_records_fail_the_wait_without_a_retry_and_can_be_fetched(run: Run) -> None:
    assert run.states() == {
        "start": "success",
        "wait": "failed",
        "fetch": "success",
        "start_and_wait": "failed",
        "start_list": "failed",
        "fetch_list": "success",
    }
    assert {task.try_number for task in run.task_instances} == {1}
    assert run.xcom("wait", "import_task")["serverImportFailure"] == 1
    assert read_object(run.xcom("fetch")["failed_entries_url"]).decode() == HEADER + FAILED_ROW


def test_the_failed_rows_of_a_list_can_be_fetched_after_the_task_that_waits_has_failed(run: Run) -> None:
    good, half_bad = run.xcom("fetch_list")
    assert (good["failed_records"], half_bad["failed_records"]) == (0, 1)
    assert read_object(half_bad["failed_entries_url"]).decode() == HEADER + FAILED_ROW


def test_airflow_stores_no_secret(airflow: LocalAirflow, run: Run, aws: dict[str, AdsEmulator], started: Any) -> None:
    imports = aws["aws_failed_records"].import_tasks()
    with_own_token = [task for task in imports if not task["name"].startswith("list-")]
    assert all(CLIENT_REQUEST_TOKEN in task["clientRequestToken"] for task in with_own_token)
    assert all("X-Amz-Signature" in task["errorsAndFailedEntriesZip"] for task in with_own_token)
    ids = [task["importTaskId"] for task in imports]
    words = [*ids, *SECRETS, *tokens(aws)]
    found = started[__name__][1] | places_of(words, database_texts(airflow, tables(airflow)))
    in_logs = places_of(words, log_texts(airflow))
    xcom, rendered = ("xcom_v2", "rtif_v2") if AIRFLOW_3_4 else ("xcom", "rendered_task_instance_fields")
    # The ids are not secret; finding them shows that the search works.
    for id_ in ids:
        assert {f"{id_} in {xcom}", f"{id_} in trigger"} <= found
        assert any(place.startswith(f"{id_} in ") for place in in_logs)
    assert f"{run.xcom('start')} in {rendered}" in found
    assert [place for place in found | in_logs if not place.startswith("import-task-")] == []
