"""One running Airflow for all of these tests, which soon notices what was killed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from tests.resilience.chaos.kills import Chaos
from tests.resilience.chaos.recording import RecordingEmulator
from tests.support.airflow import LocalAirflow

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason="Airflow 2 has neither the API server nor the Dag processor of its own")
    for item in [] if AIRFLOW_V_3_0_PLUS else items:
        if HERE in item.path.parents:
            item.add_marker(skip)


@pytest.fixture(scope="package")
def ads() -> Iterator[RecordingEmulator]:
    """An emulator whose deletions last long enough for a task to wait for them."""
    with RecordingEmulator(import_seconds=0.2, delete_seconds=2) as emulator:
        emulator.upload("s3://inventory/inventory.csv", "ExternalId\n1\n")
        yield emulator


@pytest.fixture(scope="package")
def airflow(ads: RecordingEmulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    """An Airflow whose tasks halt where they are told to."""
    folder = tmp_path_factory.mktemp("chaos")
    (folder / "dags").mkdir()
    (folder / "halting").mkdir()
    shutil.copy(HERE / "dags.py", folder / "dags")
    environment = {
        "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
        "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "5",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
        "CHAOS_FOLDER": str(folder / "halting"),
        "PYTHONPATH": str(HERE.parents[2]),
    }
    with LocalAirflow(folder / "airflow", folder / "dags", environment) as running:
        yield running
    assert running.processes() == []


@pytest.fixture
def chaos(airflow: LocalAirflow, ads: RecordingEmulator) -> Chaos:
    return Chaos(airflow, ads)
