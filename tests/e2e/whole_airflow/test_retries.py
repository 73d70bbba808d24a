"""A task starts one import, no matter how many times Airflow retries it; a cleared task starts another one."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.runs import Run, Runs
from tests.support.airflow import LocalAirflow, TaskInstance

#: Seconds for which an import runs before the test ends it, or clears or kills its task.
DELAY = 6

MODES = ("sync", "deferrable")


@dataclass(frozen=True)
class Scenario:
    """
    A scenario for a task with one retry, and the expected number of imports.

    :param statuses: the final status of each import, in the order of their starts; None if it keeps running.
    :param imports: the number of imports.
    :param clear_in: the task is cleared once, in one of these states.
    :param crash: when the first try crashes.
    """

    statuses: Sequence[str | None]
    imports: int
    clear_in: Collection[str] = ()
    crash: str = ""


SCENARIOS = {
    "crash while waiting": Scenario(["IMPORT_COMPLETE"], imports=1, crash="while waiting"),
    "crash after success": Scenario(["IMPORT_COMPLETE"], imports=1, crash="after success"),
    "failed import": Scenario(["IMPORT_FAILED", "IMPORT_COMPLETE"], imports=2),
    "clear after success": Scenario(["IMPORT_COMPLETE", "IMPORT_COMPLETE"], imports=2, clear_in={"success"}),
    "clear after failure": Scenario(
        ["IMPORT_FAILED_RECORD_LIMIT_EXCEEDED", "IMPORT_COMPLETE"], imports=2, clear_in={"failed"}
    ),
    "clear while waiting": Scenario([None, "IMPORT_COMPLETE"], imports=2, clear_in={"running", "deferred"}),
}


def start_runs(runs: Runs, aws: dict[str, AdsEmulator]) -> dict[str, Future[Run]]:
    return {name: runs.submit(play, scenario, runs, aws["aws_retries"]) for name, scenario in SCENARIOS.items()}


def play(scenario: Scenario, runs: Runs, ads: AdsEmulator) -> Run:
    """Run the Dag, and play the scenario with its task in each mode."""
    airflow = runs.airflow
    done: set[str] = set()

    def conf() -> dict[str, Any]:
        done.clear()
        return {"crash": scenario.crash}

    def change(run_id: str, task_instances: list[TaskInstance]) -> None:
        for task in task_instances:
            imports = imports_of(ads, f"{task.task_id} {run_id}")
            if imports and age(imports[-1]) > DELAY:
                clear_or_kill(run_id, task)
                end_imports(task, imports)

    def clear_or_kill(run_id: str, task: TaskInstance) -> None:
        if task.task_id in done:
            return
        if task.state in scenario.clear_in:
            airflow.clear("retries", run_id, task.task_id)
            done.add(task.task_id)
        # In the other mode, the trigger crashes.
        elif (scenario.crash, task.task_id, task.state) == ("while waiting", "sync", "running") and airflow.kill_task(
            task
        ):
            done.add(task.task_id)

    def end_imports(task: TaskInstance, imports: list[dict[str, Any]]) -> None:
        if scenario.crash == "while waiting" and task.try_number == 1:
            return
        for status, started in zip(scenario.statuses, imports, strict=False):
            if status and started["status"] == "IMPORT_IN_PROGRESS":
                ads.update_import_task(started["importTaskId"], status=status)

    run_id = runs.run("retries", conf, change).run_id
    # A task that was cleared at the end of the run has started again, and so has the run.
    before: set[str] | None = None
    while done != before:
        before = set(done)
        for task_instances in airflow.watch("retries", run_id, seconds=600):
            change(run_id, task_instances)
    return Run(airflow, "retries", run_id)


def age(import_task: dict[str, Any]) -> float:
    """Return the seconds since the import started."""
    requested: datetime = import_task["importRequestTime"]
    return (datetime.now(UTC) - requested).total_seconds()


def imports_of(ads: AdsEmulator, name: str) -> list[dict[str, Any]]:
    return [task for task in ads.import_tasks() if task["name"] == name]


@pytest.mark.parametrize("name", SCENARIOS)
def test_only_a_failed_import_or_a_clear_starts_another_import(
    started: Any, aws: dict[str, AdsEmulator], name: str
) -> None:
    run = started[__name__][name].result()
    ended = {task.task_id: (task.state, task.try_number) for task in run.task_instances}
    assert ended == dict.fromkeys(MODES, ("success", 2))
    imports = {mode: len(imports_of(aws["aws_retries"], f"{mode} {run.run_id}")) for mode in MODES}
    assert imports == dict.fromkeys(MODES, SCENARIOS[name].imports)


def test_a_deleted_run_that_is_created_again_starts_another_import(
    airflow: LocalAirflow, aws: dict[str, AdsEmulator]
) -> None:

    def successes() -> int:
        # Airflow 3.4 puts the task instance's id before its key.
        reported = r"executor event with state success for task instance .*?TaskInstanceKey\(dag_id='start'"
        return len(re.findall(reported, airflow.log_file("scheduler").read_text()))

    for _ in range(2):
        before = successes()
        run_id = airflow.trigger("start", run_id="the-same-run")
        assert [*airflow.watch("start", run_id, seconds=120)][-1][0].state == "success"
        # Otherwise Airflow can mistake the next run's task for this one: https://github.com/apache/airflow/issues/71580
        while successes() == before:
            time.sleep(0.1)
        airflow.delete_run("start", run_id)
    assert len(imports_of(aws["aws_retries"], "started by the-same-run")) == 2
