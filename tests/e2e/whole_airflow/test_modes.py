"""The sensor and the waiting operator end alike in every mode, as Airflow's table of task instances says."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.runs import Run, Runs
from tests.support.airflow import TaskInstance

WAITING = {"poke": "running", "reschedule": "up_for_reschedule", "deferrable": "deferred"}

#: Looks at a task that is waiting, half a second apart, before something happens to its import: for a poking
#: sensor, time to look at the import once.
LOOKS = 10


@dataclass(frozen=True)
class Row:
    """
    A row of the table of modes.

    :param state: how the task ends in every mode.
    :param status: what the import becomes while it is waited for.
    :param by_name: whether it is waited for by its name, and started during the wait, or never without a status.
    :param fault: what AWS answers from then on.
    :param connection: the connection of the row's tasks.
    :param tries: how often it was tried.
    """

    state: str
    status: str | None = None
    by_name: bool = False
    fault: str | None = None
    connection: str = "aws_default"
    tries: int = 1


SENSORS = {
    "complete": Row("success", status="IMPORT_COMPLETE"),
    "with_errors": Row("failed", status="IMPORT_COMPLETE_WITH_ERRORS"),
    "with_errors_soft_fail": Row("skipped", status="IMPORT_COMPLETE_WITH_ERRORS"),
    "internal_error": Row("failed", status="INTERNAL_ERROR"),
    "deleted_soft_fail": Row("skipped", status="DELETE_COMPLETE"),
    "unknown_status_soft_fail": Row("failed", status="IMPORT_OF_THE_FUTURE", tries=2),
    "time_runs_out": Row("failed"),
    "outage_soft_fail": Row("skipped", fault="ThrottlingException", connection="aws_throttled"),
    "refused_soft_fail": Row("failed", fault="AuthorizationErrorException", connection="aws_refused", tries=2),
    "crash_soft_fail": Row("failed", tries=2),
    "named_complete": Row("success", status="IMPORT_COMPLETE", by_name=True),
    "named_failed": Row("failed", status="IMPORT_FAILED", by_name=True),
    "named_time_runs_out": Row("failed", by_name=True),
}

OPERATORS = {
    "complete": Row("success", status="IMPORT_COMPLETE"),
    "failed": Row("failed", status="IMPORT_FAILED", tries=2),
    "record_limit": Row("failed", status="IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"),
}


def test_every_end_is_the_same_in_every_mode(
    runs: Runs, aws: dict[str, AdsEmulator], capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(len(SENSORS) + len(OPERATORS)) as pool:
        sensors = {name: pool.submit(run_sensors, name, row, runs, aws) for name, row in SENSORS.items()}
        operators = {
            name: pool.submit(run_operators, name, row, runs, aws["aws_slow"]) for name, row in OPERATORS.items()
        }
    ended = {f"sensor {name}": (row, sensors[name].result()) for name, row in SENSORS.items()}
    ended |= {f"operator {name}": (row, operators[name].result()) for name, row in OPERATORS.items()}
    with capsys.disabled():
        print(f"\n{'end of the wait, retries=1':<36}task instances: mode, state, tries")
        for name, (_, run) in ended.items():
            print(f"{name:<36}" + "".join(f"{f'{t.task_id} {t.state} {t.try_number}':<24}" for t in in_order(run)))
    for name, (row, run) in ended.items():
        for task in run.task_instances:
            assert (task.state, task.try_number) == (row.state, row.tries), f"{name} {task.task_id}"
        assert "deferred" in run.events("deferrable"), name
        if row.fault == "ThrottlingException":
            assert all("Looking again soon" in run.log(mode) for mode in WAITING)
        if row.by_name:
            message = "Import import-task-" if row.status else "was seen in us-west-2. Check that name is exactly"
            assert all(message in run.log(mode) for mode in WAITING), name
            # Nobody had started it when the wait began.
            assert all("No import named" in run.log(mode) for mode in WAITING), name
    assert Counter(
        task["name"].rpartition("-manual__")[0]
        for task in aws["aws_slow"].import_tasks()
        if task["name"].rpartition("-manual__")[2] in {run.run_id.removeprefix("manual__") for _, run in ended.values()}
    ) == {f"{name}-{mode}": row.tries for name, row in OPERATORS.items() for mode in ("sync", "deferrable")}


def in_order(run: Run) -> list[TaskInstance]:
    return sorted(run.task_instances, key=lambda task: ["poke", "sync", "reschedule", "deferrable"].index(task.task_id))


def run_sensors(name: str, row: Row, runs: Runs, aws: dict[str, AdsEmulator]) -> Run:
    """Run the sensors of a row, and let happen to the import of each what has to, once it waits."""
    ads = aws[row.connection]
    ids: dict[str, str] = {}
    names: dict[str, str] = {}
    looks: Counter[str] = Counter()

    def imports() -> dict[str, Any]:
        ads.clear_faults()
        looks.clear()
        ids.clear()
        names.update({mode: f"{name}-{uuid4()}" for mode in WAITING})
        if row.by_name:
            return names
        ids.update({mode: ads.add_import_task(name=names[mode]) for mode in WAITING})
        return ids

    def change(run_id: str, task_instances: list[TaskInstance]) -> None:
        for task in task_instances:
            mode = task.task_id
            looks[mode] += task.state == WAITING[mode]
            if row.status is None or looks[mode] < LOOKS:
                continue
            if mode in ids:
                ads.update_import_task(ids[mode], status=row.status)
            else:
                ids[mode] = ads.add_import_task(name=names[mode])
                looks[mode] = 0
        # A fault is for all three of them, once they wait.
        if row.fault is not None and all(looks[mode] >= LOOKS for mode in WAITING):
            ads.clear_faults()
            ads.inject(row.fault)

    return runs.run(f"sensor_{name}", imports, change, seconds=400)


def run_operators(name: str, row: Row, runs: Runs, ads: AdsEmulator) -> Run:
    """Run the operators of a row, and let their imports end some time after they have begun."""

    def change(run_id: str, task_instances: list[TaskInstance]) -> None:
        for task in ads.import_tasks():
            age = (datetime.now(UTC) - task["importRequestTime"]).total_seconds()
            if task["name"].endswith(run_id) and task["status"] == "IMPORT_IN_PROGRESS" and age > LOOKS / 2:
                ads.update_import_task(task["importTaskId"], status=row.status)

    return runs.run(f"operator_{name}", while_running=change, seconds=400)
