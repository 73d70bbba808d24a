"""Hundreds of deferred tasks on one triggerer, which is killed when half of the imports have ended."""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.resilience.kill_points import KillPoint, Moment, Victim
from tests.resilience.kills import Killer
from tests.resilience.parameters import TASKS
from tests.resilience.results import Result, add_table
from tests.support.airflow import LocalAirflow

HERE = Path(__file__).parent

#: The Airflow connections that the waits use in turn.
CONNECTIONS = ("aws_a", "aws_b", "aws_c")

#: Seconds for which all tasks are deferred before the first import ends, and from one end to the next.
QUIET = 30.0
END_INTERVAL = 0.3

#: Seconds for the run: each task is executed twice, on a machine that may be busy.
TIMEOUT = 600.0 + 20 * TASKS

TRIGGERER_WHILE_WAITING = KillPoint(Victim.TRIGGERER, Moment.WAITING)


class LoadedTriggerer(NamedTuple):
    """
    A run that has ended.

    :param airflow: the Airflow.
    :param import_task_ids: the import that each task waited for, by map index.
    :param blocked_folder: the folder with the records of ``airflow_local_settings.py``.
    """

    airflow: LocalAirflow
    import_task_ids: list[str]
    blocked_folder: Path

    def worker_log(self, map_index: int) -> str:
        """Return what workers wrote into a task's log."""
        (log,) = self._logs(map_index, "attempt=1.log")
        return log

    def trigger_logs(self, map_index: int) -> list[str]:
        """Return what each triggerer wrote into a task's log."""
        return self._logs(map_index, "attempt=1.log.trigger.*.log")

    def _logs(self, map_index: int, file: str) -> list[str]:
        pattern = f"logs/dag_id=load/run_id=*/task_id=wait/map_index={map_index}/{file}"
        return [path.read_text() for path in self.airflow.home.glob(pattern)]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedTriggerer]:
    """Run the Dag, end the imports one by one, and kill the triggerer half way."""
    folder = tmp_path_factory.mktemp("load")
    (folder / "blocked").mkdir()
    with AdsEmulator() as ads:
        environment = {
            **{f"AIRFLOW_CONN_{name.upper()}": ads.airflow_connection for name in CONNECTIONS},
            # The next triggerer soon takes over.
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
            "RESILIENCE_BLOCKED_FOLDER": str(folder / "blocked"),
            "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE / "airflow_settings")]),
        }
        with LocalAirflow(folder / "airflow", HERE / "dags", environment) as airflow:
            ids = [ads.add_import_task(name=f"import {number}") for number in range(TASKS)]
            waits = [
                {"import_task_id": import_task_id, "aws_conn_id": CONNECTIONS[index % len(CONNECTIONS)]}
                for index, import_task_id in enumerate(ids)
            ]
            run_id = airflow.trigger("load", waits=waits)
            ending = False
            for tasks in airflow.watch("load", run_id, TIMEOUT):
                states = Counter(task.state for task in tasks if task.task_id == "wait")
                assert not states["failed"] + states["upstream_failed"], states
                if states["deferred"] == TASKS and not ending:
                    ending = True
                    time.sleep(QUIET)
                    end_imports(ads, ids, Killer(airflow))
            yield LoadedTriggerer(airflow, ids, folder / "blocked")
        assert airflow.processes() == []


def end_imports(ads: AdsEmulator, import_task_ids: list[str], killer: Killer) -> None:
    for index, import_task_id in enumerate(import_task_ids):
        if index == TASKS // 2:
            killer.kill_component(TRIGGERER_WHILE_WAITING, "triggerer")
        ads.update_import_task(import_task_id, status="IMPORT_COMPLETE", serverImportSuccess=1 + index)
        time.sleep(END_INTERVAL)


def test_every_task_returns_the_summary_of_its_own_import(loaded: LoadedTriggerer) -> None:
    rows = loaded.airflow.query("select map_index, value from xcom where task_id = 'wait' and key = 'return_value'")
    fields = ("importTaskId", "status", "serverImportSuccess")
    results = {index: tuple(json.loads(value)[field] for field in fields) for index, value in rows}
    expected = {
        index: (import_task_id, "IMPORT_COMPLETE", 1 + index)
        for index, import_task_id in enumerate(loaded.import_task_ids)
    }
    counts = [int(results.get(index) == expected[index]) for index in expected]
    add_table("waits that returned their import", [Result(str(TRIGGERER_WHILE_WAITING), 1, counts)])
    assert results == expected


def test_each_log_reports_its_own_import_and_no_other(loaded: LoadedTriggerer) -> None:
    for index, import_task_id in enumerate(loaded.import_task_ids):
        worker_log, trigger_logs = loaded.worker_log(index), "".join(loaded.trigger_logs(index))
        assert set(re.findall("import-task-[0-9a-f]{32}", worker_log + trigger_logs)) == {import_task_id}
        # A busy triggerer closes a trigger's log before it has read the last lines, so they may be missing there.
        for text, status in ((worker_log, "IMPORT_COMPLETE"), (trigger_logs, "IMPORT_IN_PROGRESS")):
            assert any(status in line and import_task_id in line for line in text.splitlines())


def test_another_triggerer_takes_over_the_waits_of_the_one_that_was_killed(loaded: LoadedTriggerer) -> None:
    triggerers = Counter(len(loaded.trigger_logs(index)) for index in range(TASKS))
    assert set(triggerers) <= {1, 2}
    assert triggerers[2] >= TASKS / 3


def test_the_provider_never_blocks_the_event_loop(loaded: LoadedTriggerer) -> None:
    recorded = {path.name: path.read_text() for path in loaded.blocked_folder.iterdir()}
    assert list(recorded.values()) == ["", ""]
