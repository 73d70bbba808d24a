"""The wheel, installed alone: no test dependencies, no emulator, nothing of this repository on the path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads import __version__
from airflow_provider_ads.emulator import AdsEmulator

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
CONSTRAINTS = ROOT / "constraints"


def build(folder: Path) -> Path:
    """Build the wheel into a folder."""
    constraint = ["--build-constraint", str(CONSTRAINTS / "newest.txt")]
    run([UV, "build", "--wheel", "--quiet", *constraint, "--out-dir", folder, ROOT], os.environ)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of processes of an Airflow that has the wheel, and a home of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = build(folder)
    run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], os.environ)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PYTHON"))},
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PATH": f"{folder / 'venv' / 'bin'}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(folder / "venv"),
    }
    constraints = CONSTRAINTS / ("newest.txt" if AIRFLOW_V_3_0_PLUS else "lowest.txt")
    run([UV, "pip", "install", "--quiet", "--constraint", constraints, wheel], environment)
    return environment


def run(command: list[str | Path], environment: dict[str, str] | os._Environ[str]) -> str:
    """Run a command elsewhere than in this repository; return what it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd="/",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_two_builds_are_the_same_and_hold_the_package_alone(tmp_path: Path) -> None:
    first, second = (build(tmp_path / name) for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as wheel:
        folders = {name.partition("/")[0] for name in wheel.namelist()}
    assert folders == {"airflow_provider_ads", f"airflow_provider_ads-{__version__}.dist-info"}


def test_airflow_discovers_the_provider(environment: dict[str, str]) -> None:
    listed = run(["airflow", "providers", "list", "--output", "plain"], environment)
    (line,) = [line for line in listed.splitlines() if line.startswith("airflow-provider-ads")]
    assert __version__ in line
    links = run(["airflow", "providers", "links", "--output", "plain"], environment)
    assert "airflow_provider_ads.links.MigrationHubLink" in links


def test_a_deferred_import_runs(environment: dict[str, str], tmp_path: Path) -> None:
    nothing_else = (
        "from importlib.util import find_spec; "
        "assert not find_spec('moto') and not find_spec('pytest'); print(find_spec('airflow_provider_ads'))"
    )
    assert environment["VIRTUAL_ENV"] in run(["python", "-c", nothing_else], environment)
    shutil.copy(ROOT / "tests" / "e2e" / "dags" / "two_deferrals.py", tmp_path)
    with AdsEmulator(import_seconds=2) as ads:
        import_url = ads.upload("s3://inventory/inventory.csv", "ExternalId\n1\n")
        environment = {**environment, "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection, "IMPORT_URL": import_url}
        environment["AIRFLOW__CORE__DAGS_FOLDER"] = str(tmp_path)
        run(["airflow", "db", "migrate"], environment)
        printed = run(["python", tmp_path / "two_deferrals.py"], environment)
        statuses = [task["status"] for task in ads.import_tasks()]
    assert statuses == ["IMPORT_COMPLETE", "IMPORT_COMPLETE"]
    assert "Waiting in the triggerer for import-task-" in printed
