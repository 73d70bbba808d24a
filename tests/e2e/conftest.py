"""An Airflow home with a database, for tests that run Airflow without its scheduler."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an Airflow with an empty database."""
    home = tmp_path_factory.mktemp("airflow-home")
    command = [str(Path(sys.executable).with_name("airflow")), "db", "migrate"]
    subprocess.run(command, env=environment(home), check=True, capture_output=True, timeout=300)
    return home


def environment(home: Path) -> dict[str, str]:
    """Return the environment variables of Airflow's processes."""
    # Unit tests have a database URL that does not work.
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW__DATABASE")}
    return {**kept, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
