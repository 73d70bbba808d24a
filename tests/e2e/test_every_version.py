"""Imports on a whole Airflow of any version, on PostgreSQL and with the executor that runs tasks side by side."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.runs import Run, Runs
from tests.support.airflow import LocalAirflow
from tests.support.postgresql import LocalPostgresql

#: As warnings of Python and of Airflow name the file that gives rise to them.
OUR_CODE = "airflow_provider_ads/"

#: A line of a Dag file that makes a warning look as if it came from there.
PLANTED = f"__import__('warnings').warn_explicit('planted', DeprecationWarning, '{OUR_CODE}planted.py', 1)\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The run of the Dag, which has ended."""
    folder = tmp_path_factory.mktemp("every-version")
    dags = folder / "dags"
    dags.mkdir()
    shutil.copy(Path(__file__).parent / "dags" / "every_version.py", dags)
    with (dags / "every_version.py").open("a") as dag:
        dag.write(PLANTED)
    with AdsEmulator(import_seconds=8) as ads, LocalPostgresql() as postgresql:
        ads.upload("s3://inventory/inventory.csv", "ExternalId,HostName\n1,a.example\n2,b.example\n")
        environment = {
            "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
            "PYTHONWARNINGS": "always::DeprecationWarning,always::FutureWarning",
        }
        with LocalAirflow(folder / "airflow", dags, environment, postgresql.url) as airflow:
            yield Runs(airflow).run("every_version")
        assert airflow.processes() == []


def test_every_import_ends_well(run: Run) -> None:
    assert run.states() == dict.fromkeys(["sync", "deferred", "start", "wait"], "success")
    summaries = [run.xcom("sync", "import_task"), run.xcom("deferred", "import_task"), run.xcom("wait")]
    assert [(task["name"], task["status"]) for task in summaries] == [
        ("sync", "IMPORT_COMPLETE"),
        ("deferred", "IMPORT_COMPLETE"),
        ("started", "IMPORT_COMPLETE"),
    ]


def test_who_defers_waits_in_the_triggerer(run: Run) -> None:
    waited = [task_id for task_id in run.states() if "Waiting in the triggerer for import-task-" in run.log(task_id)]
    assert sorted(waited) == ["deferred", "wait"]


def test_our_code_gives_rise_to_no_warning(run: Run) -> None:
    logs = [path.read_text() for path in run.airflow.home.rglob("*.log*") if path.is_file()]
    warnings = [line for log in logs for line in log.splitlines() if "Warning" in line and OUR_CODE in line]
    assert warnings, "the planted warning is not seen"
    assert [line for line in warnings if "planted" not in line] == []
