"""
The sdist and the wheel, which is installed without the emulator, test dependencies or this repository.

``make dist`` tests the files in ``dist/``; other runs build their own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads import __version__
from airflow_provider_ads.emulator import AdsEmulator

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
CONSTRAINTS = ROOT / "constraints"
RELEASE = f"airflow_provider_ads-{__version__}"
WHEEL = f"{RELEASE}-py3-none-any.whl"

#: Messages of asyncio and aiohttp about something that was left open.
LEFT_OPEN = ("Task was destroyed", "never awaited", "never retrieved", "Unclosed", "Event loop is closed")


def build(source: Path, folder: Path) -> Path:
    """Build the wheel and the sdist from one folder into another."""
    constraints = ["--build-constraint", str(CONSTRAINTS / "newest.txt")]
    run([UV, "build", "--wheel", "--sdist", "--quiet", *constraints, "--out-dir", folder, source], os.environ)
    return folder


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the sdist."""
    if "DIST_FOLDER" in os.environ:
        return Path(os.environ["DIST_FOLDER"]).resolve()
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture
def unpacked(dist: Path, tmp_path: Path) -> Path:
    """The folder with the contents of the sdist."""
    with tarfile.open(dist / f"{RELEASE}.tar.gz") as sdist:
        sdist.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    return folder


@pytest.fixture(scope="module")
def environment(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment variables of an Airflow with the wheel and a home of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], os.environ)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PYTHON"))},
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PATH": f"{folder / 'venv' / 'bin'}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(folder / "venv"),
    }
    constraints = CONSTRAINTS / ("newest.txt" if AIRFLOW_V_3_0_PLUS else "lowest.txt")
    run([UV, "pip", "install", "--quiet", "--constraint", constraints, dist / WHEEL], environment)
    return environment


def run(command: Sequence[str | Path], environment: dict[str, str] | os._Environ[str]) -> str:
    """Run a command outside this repository; return its output."""
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


def files_in(folder: Path) -> set[str]:
    """Return the files of a folder, except those with compiled code."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def test_the_wheel_contains_only_the_package(dist: Path) -> None:
    package = {f"airflow_provider_ads/{name}" for name in files_in(ROOT / "airflow_provider_ads")}
    metadata = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        assert set(wheel.namelist()) == package | {f"{RELEASE}.dist-info/{name}" for name in metadata}
    assert "airflow_provider_ads/py.typed" in package


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs git")
def test_the_sdist_contains_the_repository(unpacked: Path) -> None:
    listed = run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"], os.environ)
    assert files_in(unpacked) == {name for name in listed.splitlines() if (ROOT / name).exists()} | {"PKG-INFO"}


def test_the_sdist_builds_identical_files(dist: Path, unpacked: Path, tmp_path: Path) -> None:
    # The folder, the files' age and their permissions must make no difference.
    for path in unpacked.rglob("*"):
        os.utime(path, (0, 0))
        path.chmod(path.stat().st_mode & 0o700)
    again = build(unpacked, tmp_path / "again")
    for name in (WHEEL, f"{RELEASE}.tar.gz"):
        assert (again / name).read_bytes() == (dist / name).read_bytes(), name


def test_airflow_discovers_the_provider(environment: dict[str, str]) -> None:
    listed = run(["airflow", "providers", "list", "--output", "plain"], environment)
    (line,) = [line for line in listed.splitlines() if line.startswith("airflow-provider-ads")]
    assert __version__ in line
    links = run(["airflow", "providers", "links", "--output", "plain"], environment)
    assert "airflow_provider_ads.links.MigrationHubLink" in links


def test_two_deferred_imports_run_and_leave_nothing_open(environment: dict[str, str], tmp_path: Path) -> None:
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
        environment["PYTHONWARNINGS"] = "always::ResourceWarning"
        printed = run(["python", tmp_path / "two_deferrals.py"], environment)
        statuses = [task["status"] for task in ads.import_tasks()]
    assert statuses == ["IMPORT_COMPLETE", "IMPORT_COMPLETE"]
    # Both tasks deferred. Airflow 2 prints each line of a task's log twice.
    assert printed.count("Waiting in the triggerer for 1 import") == printed.count("started in us-west-2") > 0
    assert "Failed to push an xcom for task operator extra link" not in printed
    assert [line for line in printed.splitlines() if any(words in line for words in LEFT_OPEN)] == []
    # Airflow 2 leaves files and database connections open.
    resources = [line for line in printed.splitlines() if "ResourceWarning" in line]
    assert [line for line in resources if "socket" in line or "client" in line] == []
