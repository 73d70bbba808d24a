"""A sensor ends in the same state whether it pokes, is rescheduled or defers."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.runs import Run, Runs, task_log
from tests.support.airflow import TaskInstance

#: The state of a task that waits, by its mode.
WAITING = {"poke": "running", "reschedule": "up_for_reschedule", "deferrable": "deferred"}

#: The number of samples, more than a second apart, in which a task waits before its import changes.
SAMPLES = 3


@dataclass(frozen=True)
class Row:
    """
    A row of the table of modes.

    :param state: the final state of the tasks in every mode.
    :param status: the status that the import changes to while the tasks wait; None for no change.
    :param fault: the error with which AWS answers from then on.
    :param connection: the AWS connection of the row's tasks.
    :param tries: the number of tries; the tasks have one retry.
    """

    state: str
    status: str | None = None
    fault: str | None = None
    connection: str = "aws_default"
    tries: int = 1


ROWS = {
    "complete": Row("success", status="IMPORT_COMPLETE"),
    "with_errors_soft_fail": Row("skipped", status="IMPORT_COMPLETE_WITH_ERRORS"),
    "timeout": Row("failed"),
    "refused_soft_fail": Row("failed", fault="AuthorizationErrorException", connection="aws_refused", tries=2),
    "crash_soft_fail": Row("failed", tries=2),
    "by_name": Row("success", status="IMPORT_COMPLETE"),
}


def start_runs(runs: Runs, aws: dict[str, AdsEmulator]) -> dict[str, Future[Run]]:
    return {name: start_run(name, row, runs, aws[row.connection]) for name, row in ROWS.items()}


def start_run(name: str, row: Row, runs: Runs, ads: AdsEmulator) -> Future[Run]:
    """Run the sensors of a row, and change the import of each once the sensor waits for it."""
    dag_id = f"sensor_{name}"
    names: dict[str, str] = {}
    ids: dict[str, str] = {}
    samples: Counter[str] = Counter()

    def conf() -> dict[str, Any]:
        ads.clear_faults()
        samples.clear()
        names.update({mode: f"{name}-{uuid4()}" for mode in WAITING})
        if name == "by_name":
            ids.clear()
            return names
        ids.update({mode: ads.add_import_task(name=names[mode]) for mode in WAITING})
        return ids

    def change(run_id: str, task_instances: list[TaskInstance]) -> None:
        for task in task_instances:
            mode = task.task_id
            # A poking sensor waits once it has logged the name of the import.
            polled = mode != "poke" or names[mode] in task_log(runs.airflow, dag_id, run_id, mode)
            samples[mode] += task.state == WAITING[mode] and polled
            if row.status is None or samples[mode] < SAMPLES:
                continue
            if mode in ids:
                ads.update_import_task(ids[mode], status=row.status)
            else:
                ids[mode] = ads.add_import_task(name=names[mode])
                samples[mode] = 0
        # A fault affects all three tasks.
        if row.fault and all(samples[mode] >= SAMPLES for mode in WAITING):
            ads.clear_faults()
            ads.inject(row.fault)

    return runs.start(dag_id, conf, change)


@pytest.mark.parametrize("name", ROWS)
def test_the_end_is_the_same_in_every_mode(started: Any, name: str) -> None:
    run = started[__name__][name].result()
    row = ROWS[name]
    assert {task.task_id: (task.state, task.try_number) for task in run.task_instances} == dict.fromkeys(
        WAITING, (row.state, row.tries)
    )
    assert "deferred" in run.events("deferrable")


@pytest.mark.parametrize("mode", WAITING)
def test_the_log_of_a_skipped_task_has_its_reason_once(started: Any, mode: str) -> None:
    log = started[__name__]["with_errors_soft_fail"].result().log(mode)
    assert log.count("Correct the failed records and import them again") == 1


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 itself logs the message of an exception twice")
@pytest.mark.parametrize("mode", WAITING)
def test_the_log_of_a_failed_task_has_its_reason_and_a_traceback_once(started: Any, mode: str) -> None:
    log = started[__name__]["timeout"].result().log(mode)
    assert log.count("Timed out waiting for the import") == 1
    (exceptions,) = (json.loads(line)["error_detail"] for line in log.splitlines() if "error_detail" in line)
    assert len(exceptions) == 1
