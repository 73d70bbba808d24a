"""
What is released: the sdist, and the wheel, installed alone, with no test dependencies, no emulator, nothing of this
repository on the path. ``make dist`` has the files in ``dist/`` tested, other runs test what they build.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads import __version__, emulator, exceptions, hooks, links, operators, sensors, triggers
from airflow_provider_ads.emulator import AdsEmulator

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
MYPY = Path(sys.executable).with_name("mypy")
CONSTRAINTS = ROOT / "constraints"
RELEASE = f"airflow_provider_ads-{__version__}"
WHEEL = f"{RELEASE}-py3-none-any.whl"


def build(source: Path, folder: Path) -> Path:
    """Build the wheel and the sdist of a folder into another one."""
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
    """What is in the sdist."""
    with tarfile.open(dist / f"{RELEASE}.tar.gz") as sdist:
        sdist.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    return folder


@pytest.fixture(scope="module")
def environment(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of processes of an Airflow that has the wheel, and a home of its own."""
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


def files_in(folder: Path) -> set[str]:
    """The files of a folder, but for what Python leaves there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def test_the_wheel_holds_the_package_alone(dist: Path) -> None:
    package = {f"airflow_provider_ads/{name}" for name in files_in(ROOT / "airflow_provider_ads")}
    about = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        assert set(wheel.namelist()) == package | {f"{RELEASE}.dist-info/{name}" for name in about}
    assert "airflow_provider_ads/py.typed" in package


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a checkout knows what belongs to the repository")
def test_the_sdist_holds_the_repository(unpacked: Path) -> None:
    listed = run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"], os.environ)
    assert files_in(unpacked) == {name for name in listed.splitlines() if (ROOT / name).exists()} | {"PKG-INFO"}


def test_the_sdist_builds_the_same_files_again(dist: Path, unpacked: Path, tmp_path: Path) -> None:
    # Elsewhere, and with files of another age and of a user who lets nobody else read them.
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


@pytest.mark.parametrize("module", [emulator, exceptions, hooks, links, operators, sensors, triggers])
def test_a_users_dag_file_has_every_public_class(module: ModuleType) -> None:
    classes = {name for name in module.__all__ if isinstance(getattr(module, name), type)}
    assert classes <= set(re.findall(r"\w+", (ROOT / "tests" / "e2e" / "users_dag.py").read_text()))


def test_a_users_dag_file_is_checked_against_the_types_of_the_wheel(
    environment: dict[str, str], tmp_path: Path
) -> None:
    if not MYPY.exists():
        pytest.skip("mypy is installed with the newest set")
    shutil.copy(ROOT / "tests" / "e2e" / "users_dag.py", tmp_path)
    # Strict, it reports also a "type: ignore" of a mistake that it does not see.
    options = ["--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"]
    python = f"{environment['VIRTUAL_ENV']}/bin/python"
    run([MYPY, *options, "--python-executable", python, tmp_path / "users_dag.py"], environment)


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
