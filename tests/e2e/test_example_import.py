"""The example Dag on a whole Airflow with PostgreSQL; ``make test`` runs it, and the matrix on every version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads.emulator import AdsEmulator
from tests.support.airflow import LocalAirflow, TaskInstance
from tests.support.postgresql import LocalPostgresql

ROOT = Path(__file__).parents[2]
DAG_ID = "example_ads_import" if AIRFLOW_V_3_0_PLUS else "example_ads_import_airflow_2"
DAG_FILE = f"{DAG_ID}.py"

#: A warning contains the name of the file that causes it. While Airflow 3.4 parses a Dag, it puts the name of the Dag's
#: file there instead.
OUR_CODE = "airflow_provider_ads/"

#: A line for the Dag file, whose warning shows that the test sees those of our code.
SAMPLE_WARNING = f"__import__('warnings').warn_explicit('sample', DeprecationWarning, '{OUR_CODE}sample.py', 1)\n"


@dataclass
class Run:
    """
    A finished run of the example Dag.

    :param airflow: the Airflow that it ran on.
    :param run_id: its id.
    :param task_instances: its task instances at the end.
    :param processes: the number of processes of the deferred task, sampled every half second.
    :param statuses_while_deferred: the statuses in the XCom of the deferred task, sampled likewise.
    """

    airflow: LocalAirflow
    run_id: str
    task_instances: list[TaskInstance]
    processes: list[int]
    statuses_while_deferred: set[str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("example-import")
    dags = folder / "dags"
    dags.mkdir()
    shutil.copy(ROOT / "example_dags" / DAG_FILE, dags)
    with (dags / DAG_FILE).open("a") as dag:
        dag.write(SAMPLE_WARNING)
    # The import ends after the sensor's first poll, so the sensor defers.
    with AdsEmulator(import_seconds=10) as ads, LocalPostgresql() as postgresql:
        ads.upload("s3://migration-inventory/servers.csv", (ROOT / "sample_inventories" / "servers.csv").read_text())
        environment = {
            "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            "PYTHONWARNINGS": "always::DeprecationWarning,always::FutureWarning",
        }
        with LocalAirflow(folder / "airflow", dags, environment, postgresql.url) as airflow:
            run_id = airflow.trigger(DAG_ID)
            processes: list[int] = []
            statuses: set[str] = set()
            for task_instances in airflow.watch(DAG_ID, run_id, seconds=240):
                for task in task_instances:
                    if task.state == "deferred":
                        processes.append(len(airflow.processes_of(task)))
                        statuses.add(airflow.xcom(DAG_ID, run_id, task.task_id, "import_task")["status"])
            yield Run(airflow, run_id, task_instances, processes, statuses)
        assert airflow.processes() == []


def test_imports_the_inventory(run: Run) -> None:
    assert {task.task_id: task.state for task in run.task_instances} == {
        "start_import": "success",
        "wait_for_import": "success",
    }
    summary = run.airflow.xcom(DAG_ID, run.run_id, "wait_for_import")
    assert summary["status"] == "IMPORT_COMPLETE_WITH_ERRORS"
    assert (summary["serverImportSuccess"], summary["serverImportFailure"]) == (294, 6)


def test_the_running_import_can_be_seen(run: Run) -> None:
    assert run.statuses_while_deferred == {"IMPORT_IN_PROGRESS"}
    assert run.airflow.xcom(DAG_ID, run.run_id, "start_import", "import_task")["status"] == "IMPORT_IN_PROGRESS"


def test_the_event_of_the_asset_contains_the_counts(run: Run) -> None:
    table = "asset_event" if AIRFLOW_V_3_0_PLUS else "dataset_event"
    ((extra,),) = run.airflow.query(f"select cast(extra as text) from {table}")
    assert json.loads(extra)["import_task"]["serverImportSuccess"] == 294


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="processes of Airflow 2 do not name their task instance")
def test_the_deferred_wait_holds_no_worker_process(run: Run) -> None:
    # The worker reports the deferral before its process ends.
    after_the_worker = list(dropwhile(bool, run.processes))
    assert len(after_the_worker) > 5
    assert set(after_the_worker) == {0}


def test_the_provider_causes_no_warning(run: Run) -> None:
    logs = [path.read_text() for path in run.airflow.home.rglob("*.log*") if path.is_file()]
    lines = [line for log in logs for line in log.splitlines() if "Warning" in line]
    warnings = [line for line in lines if OUR_CODE in line or DAG_FILE in line]
    assert warnings, "the sample warning was not found"
    assert [line for line in warnings if "sample" not in line] == []
