"""An Airflow of its own, with a database, for every test session."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_ads.emulator import AdsEmulator

RunInAirflow = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def ads() -> Iterator[AdsEmulator]:
    """An emulator whose imports take two seconds, so that a wait defers."""
    with AdsEmulator(import_seconds=2) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an Airflow whose database is ready."""
    home = tmp_path_factory.mktemp("airflow-home")
    command = [str(Path(sys.executable).with_name("airflow")), "db", "migrate"]
    subprocess.run(command, env=environment(home), check=True, capture_output=True, timeout=300)
    return home


@pytest.fixture
def run_in_airflow(airflow_home: Path, ads: AdsEmulator) -> RunInAirflow:
    """Run a Python file with this Airflow and with ``aws_default`` leading to the emulator."""

    def run(path: Path, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, path],
            env={**environment(airflow_home), "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection, **extra},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )

    return run


def environment(home: Path) -> dict[str, str]:
    """The environment of Airflow's processes."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW__DATABASE")}
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
