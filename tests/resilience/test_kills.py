"""
Each intention is carried out exactly once, no matter what is killed and when.

An intention is an import that a run starts, an import that a run deletes, or the files that a run writes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.resilience.kill_points import HALT_FOLDER, KillPoint, Moment, Victim
from tests.resilience.kills import DagRun, DagRunKiller, in_turn
from tests.resilience.parameters import KILLS
from tests.resilience.results import Result, add_table
from tests.support.airflow import LocalAirflow
from tests.support.inventories import sheets
from tests.support.moto import objects_under
from tests.support.recording_emulator import RecordingEmulator

HERE = Path(__file__).parent

UNDISTURBED = KillPoint(Victim.NOTHING, Moment.NEVER)

# The Dags.
STARTS = ("start", "start_and_poke", "start_and_defer")
LISTS = ("start_list", "start_list_and_poke", "start_list_and_defer")
PREPARES = ("prepare", "prepare_workbook")
FILES = ("fetch", *PREPARES)
DELETIONS = ("delete_poking", "prune_deferrable", "delete_deferrable", "prune_poking")
ROTATED_DELETIONS = DELETIONS[2:] + DELETIONS[:2]

#: Number of files in a list.
FILES_OF_A_LIST = 20

FAILED_ROWS = 'ExternalId,RAM.TotalSizeInMB\r\n2,"very\r\nmuch"\r\n'

EXPORT: list[list[object]] = [
    ["HostName", "RAM.TotalSizeInMB"],
    *([f"web{number:05}", number] for number in range(3_500)),
    ["web", "much"],
]
EXPORT_FILES = {"quarantine.csv", "part-0001.csv", "part-0002.csv", "part-0003.csv"}


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagRunKiller]:
    """Kill everything that can be killed, and wait until all runs have ended."""
    folder = tmp_path_factory.mktemp("kills")
    (folder / "halting").mkdir()
    # Deletions take long enough for a task to wait for them.
    with RecordingEmulator(import_seconds=0.05, delete_seconds=2) as ads:
        environment = {
            "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
            "AIRFLOW__AWS__SESSION_FACTORY": "tests.resilience.halting.HaltingSessionFactory",
            # Airflow notices kills within seconds.
            "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "5",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
            HALT_FOLDER: str(folder / "halting"),
            "PYTHONPATH": str(HERE.parents[1]),
        }
        with LocalAirflow(folder / "airflow", HERE / "dags", environment) as airflow:
            killer = DagRunKiller(airflow, ads, ConfMaker(ads))
            kill_everywhere(killer)
            yield killer
        assert airflow.processes() == []


class ConfMaker:
    """Adds the data of a run to the emulator, and returns the run's configuration."""

    def __init__(self, ads: AdsEmulator) -> None:
        ads.upload("s3://inventory/inventory.csv", FAILED_ROWS + "1,1024\r\n")
        ads.upload("s3://inventory/export.csv", "".join(f"{name},{memory}\r\n" for name, memory in EXPORT))
        ads.upload("s3://inventory/export.xlsx", sheets(Servers=EXPORT))
        for number in range(1, FILES_OF_A_LIST + 1):
            ads.upload(f"s3://inventory/parts/part-{number:04}.csv", f"ExternalId\r\n{number}\r\n")
        self.ads = ads
        self._numbers = count()

    def __call__(self, dag_id: str) -> dict[str, Any]:
        if dag_id in STARTS:
            return {"call": 1}
        if dag_id in LISTS:
            # Between any two calls of a list, there is a kill after the first and one before the second.
            return {"call": 1 + next(self._numbers) % FILES_OF_A_LIST}
        if dag_id == "fetch":
            return {"import_task_id": self.ads.import_tasks()[0]["importTaskId"], "call": 1}
        if dag_id in PREPARES:
            return {"call": 1 + next(self._numbers) % len(EXPORT_FILES)}
        return {"call": 1, **self._add_series(f"series-{next(self._numbers)}")}

    def _add_series(self, series: str) -> dict[str, Any]:
        """Add old imports of a series, the new ones that replace them, and some that must stay."""
        now = datetime.now(UTC)

        def add(name: str, hours: float, status: str = "IMPORT_COMPLETE") -> str:
            return self.ads.add_import_task(
                name=name, status=status, importRequestTime=now - timedelta(hours=hours), serverImportSuccess=1
            )

        add(f"{series}-running", 3, "IMPORT_IN_PROGRESS")
        add(f"{series}b-of-another-series", 3)
        return {
            "series": series,
            "old": [add(f"{series}-old", 2 - number / 100) for number in range(12)],
            "new": [add(f"{series}-new", 1), add(f"{series}-new", 0.5)],
        }


def kill_everywhere(killer: DagRunKiller) -> None:
    # Its import is the one whose failed rows are fetched.
    killer.start_runs(UNDISTURBED, ["start_and_poke"])
    killer.wait_for_runs()
    killer.start_runs(UNDISTURBED, [*FILES, *DELETIONS, *LISTS])
    starts, lists, files = in_turn(STARTS, 2 * KILLS), in_turn(LISTS, 2 * KILLS), KILLS * FILES
    deletions, others = in_turn(DELETIONS, 2 * KILLS), in_turn(ROTATED_DELETIONS, 2 * KILLS)
    killer.kill_halting_tasks(Moment.BEFORE_CALL, [*starts, *lists, *files, *deletions])
    killer.kill_halting_tasks(Moment.BETWEEN, [*starts, *lists, *files, *others])
    killer.kill_halting_tasks(Moment.AFTER_ANSWER, [*starts, *lists, *files, *others])
    killer.kill_halting_tasks(Moment.WAITING, [*in_turn(LISTS[1:], 2 * KILLS), *deletions])
    deferrable = [*3 * ["start_and_defer"], "start_list_and_defer", "delete_deferrable", "prune_deferrable"]
    killer.kill_triggerer(KILLS, deferrable)
    killer.kill_while_busy(Victim.SCHEDULER, KILLS, [*STARTS[:2], LISTS[0]])
    killer.kill_while_busy(Victim.EVERYTHING, KILLS, [*STARTS, LISTS[2]])
    killer.kill_at_random(3 * KILLS, [*STARTS, *LISTS, *FILES, *DELETIONS])
    killer.wait_for_runs()


def test_everything_was_killed_and_every_run_succeeds(killer: DagRunKiller) -> None:
    points = killer.runs.keys() - {UNDISTURBED}
    assert min(killer.kills_at(point).total() for point in points) >= KILLS
    assert killer.airflow.query("select distinct state from dag_run") == [("success",)]


def test_one_intention_starts_one_import(killer: DagRunKiller) -> None:
    imports = Counter(task["name"] for task in killer.ads.import_tasks())
    counts = tally(killer, STARTS, lambda run: [imports[f"{run.dag_id} {run.run_id}"]])
    report(killer, "imports started", STARTS, counts)
    assert set().union(*counts.values()) == {1}


def test_a_list_of_files_starts_one_import_of_each(killer: DagRunKiller) -> None:
    imports: dict[str, list[str]] = {}
    for task in killer.ads.import_tasks():
        imports.setdefault(task["name"], []).append(task["importTaskId"])

    def imports_of(run: DagRun) -> list[list[str]]:
        names = [f"{run.dag_id} {run.run_id}-part-{number:04}" for number in range(1, FILES_OF_A_LIST + 1)]
        return [imports.get(name, []) for name in names]

    counts = tally(killer, LISTS, lambda run: [len(ids) for ids in imports_of(run)])
    report(killer, "imports of lists of 20 files started", LISTS, counts)
    assert set().union(*counts.values()) == {1}

    runs = [run for runs in killer.runs.values() for run in runs if run.dag_id in LISTS]
    assert [run for run in runs if result_of(killer, run) != [[ids[0] for ids in imports_of(run)]]] == []


def test_every_superseded_import_is_deleted_once_and_no_other(killer: DagRunKiller) -> None:
    requests = Counter(import_task_id for import_task_id, _ in killer.ads.deletions)
    counts = tally(killer, DELETIONS, lambda run: [requests[import_task_id] for import_task_id in run.conf["old"]])
    report(killer, "imports deleted", DELETIONS, counts)
    assert set().union(*counts.values()) == {1}

    runs = [run for runs in killer.runs.values() for run in runs if run.dag_id in DELETIONS]
    deleted = {task["importTaskId"]: task["status"] for task in killer.ads.import_tasks() if "DELETE" in task["status"]}
    assert deleted == {old: "DELETE_COMPLETE" for run in runs for old in run.conf["old"]}
    assert [deletion for deletion in killer.ads.deletions if "DELETE" in str(deletion[1])] == []
    assert [run for run in runs if result_of(killer, run) != [run.conf["old"]]] == []


def test_every_run_writes_the_files_of_an_undisturbed_run(killer: DagRunKiller) -> None:
    expected = {run.dag_id: outcome_of(killer, run) for run in killer.runs[UNDISTURBED] if run.dag_id in FILES}
    assert FAILED_ROWS.encode() in expected["fetch"][1].values()
    for dag_id in PREPARES:
        assert expected[dag_id][1].keys() == EXPORT_FILES

    counts = tally(killer, FILES, lambda run: [int(outcome_of(killer, run) == expected[run.dag_id])])
    report(killer, "results and files as in an undisturbed run", FILES, counts)
    assert set().union(*counts.values()) == {1}


def tally(killer: DagRunKiller, dags: tuple[str, ...], counts_of: Any) -> dict[KillPoint, list[int]]:
    """Return for each kill point how many times each intention of the runs of some Dags was carried out."""
    counts = {
        point: [each for run in runs if run.dag_id in dags for each in counts_of(run)]
        for point, runs in killer.runs.items()
    }
    return {point: of_point for point, of_point in counts.items() if of_point}


def report(killer: DagRunKiller, title: str, dags: tuple[str, ...], counts: dict[KillPoint, list[int]]) -> None:
    """Add a table of the kills while some Dags ran."""
    others = {*STARTS, *LISTS, *FILES, *DELETIONS}.difference(dags)
    results = []
    for point, of_point in counts.items():
        kills = killer.kills_at(point)
        results.append(Result(str(point), sum(kills[name] for name in kills.keys() - others), of_point))
    add_table(title, results)


def result_of(killer: DagRunKiller, run: DagRun) -> list[Any]:
    """Return the XComs of a run's task, with the run's id replaced."""
    task_id = run.dag_id.partition("_")[0]
    keys = ["return_value", "report"] if task_id == "prepare" else ["return_value"]
    xcoms = [killer.airflow.xcom(run.dag_id, run.run_id, task_id, key) for key in keys]
    return list(json.loads(json.dumps(xcoms).replace(run.run_id, "run")))


def outcome_of(killer: DagRunKiller, run: DagRun) -> tuple[list[Any], dict[str, bytes]]:
    """Return the result of a run's task and the files that it wrote."""
    return result_of(killer, run), objects_under(f"s3://inventory/files/{run.run_id}/")
