"""One Airflow for the test of the triggerer, on which all runs happen before the first look at them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.resilience.load.notes import NOTES_FOLDER
from tests.resilience.load.waits import CONNECTIONS, Load
from tests.support.airflow import LocalAirflow

HERE = Path(__file__).parent
ROOT = HERE.parents[2]

FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Load]:
    """The runs, all of which have ended."""
    folder = tmp_path_factory.mktemp("load")
    for name in ("dags", "notes"):
        (folder / name).mkdir()
    shutil.copy(HERE / "dags.py", folder / "dags")
    with AdsEmulator() as ads:
        ads.upload("s3://inventory/inventory.csv", "ExternalId,HostName\n1,a.example\n")
        environment = {
            **{f"AIRFLOW_CONN_{name.upper()}": ads.airflow_connection for name in CONNECTIONS},
            "AIRFLOW_CONN_FS_DEFAULT": json.dumps({"conn_type": "fs"}),
            # Another triggerer takes over soon.
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
            NOTES_FOLDER: str(folder / "notes"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE / "settings")]),
        }
        with LocalAirflow(folder / "airflow", folder / "dags", environment) as airflow:
            load = Load(airflow, ads, folder)
            load.wait_for_imports("left alone")
            load.wait_for_imports("triggerer killed", load.kill_the_triggerer_half_way)
            load.wait_for_files()
            pytestconfig.stash[FIGURES] = list(load.figures())
            yield load
        assert airflow.processes() == []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for line in config.stash.get(FIGURES, []):
        terminalreporter.write_line(line)
