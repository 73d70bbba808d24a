"""One intention starts one import: what retries and clears do on the real scheduler, in both modes."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.runs import Run, Runs
from tests.support.airflow import LocalAirflow, TaskInstance

#: Seconds before anything happens to an import, or to a task that waits for it.
LATER = 6

MODES = ("sync", "deferrable")


@dataclass(frozen=True)
class Life:
    """
    What happens to a task instance, and what it comes to.

    :param statuses: what its imports become, one after the other, some time after they began; None: nothing.
    :param imports: how many imports are started.
    :param clear: in which of these states the task is cleared, once.
    :param dies: where the first try dies.
    :param state: how the task ends.
    """

    statuses: Sequence[str | None]
    imports: int
    clear: Collection[str] = ()
    dies: str = ""
    state: str = "success"


LIVES = {
    "retry while the import goes on": Life(["IMPORT_COMPLETE"], imports=1, dies="while it waits"),
    "retry after success": Life(["IMPORT_COMPLETE"], imports=1, dies="afterwards"),
    "retry after IMPORT_FAILED": Life(["IMPORT_FAILED", "IMPORT_COMPLETE"], imports=2),
    "retry after INTERNAL_ERROR": Life(["INTERNAL_ERROR", "IMPORT_COMPLETE"], imports=2),
    "no more retries": Life(["IMPORT_FAILED", "IMPORT_FAILED"], imports=2, state="failed"),
    "clear after success": Life(["IMPORT_COMPLETE", "IMPORT_COMPLETE"], imports=2, clear={"success"}),
    "clear after failure": Life(
        ["IMPORT_FAILED_RECORD_LIMIT_EXCEEDED", "IMPORT_COMPLETE"], imports=2, clear={"failed"}
    ),
    # Airflow 3.1 and later take a task that is cleared while it runs for a new beginning; before, it is a retry.
    "clear while it waits": Life([None, "IMPORT_COMPLETE"], imports=2, clear={"running", "deferred"}),
}


def test_an_intention_starts_one_import_until_it_is_lost_or_cleared(
    airflow: LocalAirflow, runs: Runs, aws: dict[str, AdsEmulator], capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(len(LIVES)) as pool:
        jobs = {name: pool.submit(live, life, airflow, runs, aws["aws_slow"]) for name, life in LIVES.items()}
    table = {name: job.result() for name, job in jobs.items()}
    with capsys.disabled():
        print(f"\n{'what happens, retries=1':<34}mode, imports started, tries, state")
        for name, row in table.items():
            print(f"{name:<34}" + "".join(f"{' '.join(map(str, (mode, *row[mode]))):<26}" for mode in MODES))
    assert table == {name: dict.fromkeys(MODES, (life.imports, 2, life.state)) for name, life in LIVES.items()}


def live(life: Life, airflow: LocalAirflow, runs: Runs, ads: AdsEmulator) -> dict[str, tuple[int, int, str | None]]:
    """
    Let a task live in both modes.

    :return: how many imports were started, the number of the last try, and how it ended.
    """
    done: set[str] = set()
    since: dict[tuple[str, str | None], float] = {}

    def imports_of(run_id: str, mode: str) -> list[dict[str, Any]]:
        return [task for task in ads.import_tasks() if task["name"] == f"{mode} {run_id}"]

    def conf() -> dict[str, Any]:
        done.clear()
        since.clear()
        return {"dies": life.dies}

    def happen(run_id: str, task_instances: list[TaskInstance]) -> None:
        for task in task_instances:
            waited = time.monotonic() - since.setdefault((task.task_id, task.state), time.monotonic())
            if task.task_id not in done and (waited > LATER or task.state in {"success", "failed"}):
                if task.state in life.clear:
                    airflow.clear("lives", run_id, task.task_id)
                    done.add(task.task_id)
                elif (life.dies, task.task_id, task.state) == (
                    "while it waits",
                    "sync",
                    "running",
                ) and airflow.kill_task(task):
                    done.add(task.task_id)
            for number, started in enumerate(imports_of(run_id, task.task_id)):
                age = (datetime.now(UTC) - started["importRequestTime"]).total_seconds()
                lives_on = life.dies == "while it waits" and task.try_number == 1
                status = life.statuses[number] if number < len(life.statuses) and not lives_on else None
                if status and started["status"] == "IMPORT_IN_PROGRESS" and age > LATER:
                    ads.update_import_task(started["importTaskId"], status=status)

    run_id = runs.run("lives", conf, happen).run_id
    # A task that was cleared at its end has begun anew since.
    for task_instances in airflow.watch("lives", run_id, seconds=240):
        happen(run_id, task_instances)
    run = Run(airflow, "lives", run_id)
    return {mode: (len(imports_of(run_id, mode)), run.task(mode).try_number, run.task(mode).state) for mode in MODES}


def test_a_run_that_is_deleted_and_made_again_is_another_intention(
    airflow: LocalAirflow, aws: dict[str, AdsEmulator]
) -> None:
    heard = "Received executor event with state success for task instance TaskInstanceKey(dag_id='start'"
    for _ in range(2):
        before = airflow.log_file("scheduler").read_text().count(heard)
        run_id = airflow.trigger("start", run_id="the-same-run")
        assert [*airflow.watch("start", run_id, seconds=120)][-1][0].state == "success"
        # The next run's task, of the same name, would be taken for this one: https://github.com/apache/airflow/issues/71580
        while airflow.log_file("scheduler").read_text().count(heard) == before:
            time.sleep(0.1)
        airflow.delete_run("start", run_id)
    assert len(started_by(aws["aws_default"], run_id)) == 2


def test_two_airflows_on_one_account_are_two_intentions(
    airflow: LocalAirflow, aws: dict[str, AdsEmulator], tmp_path: Path
) -> None:
    other = LocalAirflow(
        tmp_path / "airflow",
        Path(airflow.environment["AIRFLOW__CORE__DAGS_FOLDER"]),
        {name: value for name, value in airflow.environment.items() if name.startswith(("AIRFLOW_CONN", "PYTHONPATH"))},
    )
    with other:
        for each in (airflow, other):
            run_id = each.trigger("start", run_id="a-run-of-both")
            assert [*each.watch("start", run_id, seconds=120)][-1][0].state == "success"
    assert len(started_by(aws["aws_default"], run_id)) == 2


def started_by(ads: AdsEmulator, run_id: str) -> list[dict[str, Any]]:
    """The imports that the runs of that id have started."""
    return [task for task in ads.import_tasks() if task["name"] == f"started by {run_id}"]
