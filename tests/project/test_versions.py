"""``tox.ini`` lists the supported versions of Airflow and Python; all other files that name them agree with it."""

from __future__ import annotations

import re
import tomllib
from configparser import RawConfigParser
from itertools import groupby, product
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from scripts.matrix_table import STEPS

ROOT = Path(__file__).parents[2]


def read(path: str) -> str:
    return (ROOT / path).read_text()


def minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def following(version: str) -> str:
    """Return the minor version after one."""
    major, number = version.split(".")
    return f"{major}.{int(number) + 1}"


def listed(versions: list[str], last: str) -> str:
    """Join versions as in "3.11, 3.12 or 3.13"."""
    return f"{', '.join(versions[:-1])} {last} {versions[-1]}"


def by_number(versions: set[str]) -> list[str]:
    return sorted(versions, key=lambda version: [int(number) for number in version.split(".")])


def older_pythons() -> str:
    """List the Airflow versions that do not support the newest Python, as in "Airflow 2.11 and 3.0: 3.12"."""
    newest = {
        minor(airflow): by_number({python for python, each in SUPPORTED if each == airflow})[-1] for airflow in AIRFLOWS
    }
    groups = groupby(newest.items(), key=lambda item: item[1])
    return "; ".join(
        f"Airflow {' and '.join(airflow for airflow, _ in group)}: {python}"
        for python, group in groups
        if python != PYTHONS[-1]
    )


def environments() -> list[str]:
    """Expand the braces of ``env_list``."""
    lines = TOX["tox"]["env_list"].split()
    parts = [[part.split(",") for part in re.split(r"[{}]", line)] for line in lines]
    return ["".join(names) for line in parts for names in product(*line)]


TOX = RawConfigParser()
TOX.read(ROOT / "tox.ini")
ENVIRONMENTS = environments()
#: Pairs of a Python and an Airflow.
SUPPORTED = {
    (f"{found[1]}.{found[2]}", found[3])
    for environment in ENVIRONMENTS
    if (found := re.fullmatch(r"py(\d)(\d+)-airflow(.+)", environment))
}
PYTHONS = by_number({python for python, _ in SUPPORTED})
AIRFLOWS = by_number({airflow for _, airflow in SUPPORTED})
LOWEST_PYTHONS = by_number({python for python, airflow in SUPPORTED if airflow == AIRFLOWS[0]})
#: The newest Python for the development environment, some of whose packages support new versions of Python late.
(NEWEST_PYTHON,) = (
    f"{found[1]}.{found[2]}" for name in ENVIRONMENTS if (found := re.fullmatch(r"py(\d)(\d+)-newest", name))
)
DEVELOPMENT_PYTHONS = PYTHONS[: PYTHONS.index(NEWEST_PYTHON) + 1]
PROJECT: dict[str, Any] = tomllib.loads(read("pyproject.toml"))


def test_the_package_metadata() -> None:
    metadata = PROJECT["project"]
    assert metadata["requires-python"] == f">={PYTHONS[0]},<{following(PYTHONS[-1])}"
    prefix = "Programming Language :: Python :: "
    assert [name.removeprefix(prefix) for name in metadata["classifiers"] if name.startswith(prefix)] == PYTHONS
    airflow = Requirement(metadata["dependencies"][0])
    assert airflow.name == "apache-airflow"
    assert str(airflow.specifier) == f"<{int(AIRFLOWS[-1].split('.')[0]) + 1},>={AIRFLOWS[0]}"


def test_the_tools() -> None:
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{PYTHONS[0].replace('.', '')}"
    assert PROJECT["tool"]["mypy"]["python_version"] == PYTHONS[0]
    makefile = read("Makefile")
    assert f"--python-version {PYTHONS[0]} " in makefile
    assert f"Airflow {minor(AIRFLOWS[0])} needs Python {listed(LOWEST_PYTHONS, 'or')}: " in makefile
    assert f"sys.version_info >= (3, {int(LOWEST_PYTHONS[-1].split('.')[1]) + 1})" in makefile
    assert f"$(call as_of,airflow-{AIRFLOWS[0]})" in makefile


def test_the_table_of_the_matrix_has_a_column_for_each_command() -> None:
    # `make matrix` ignores the exit status of tox, and fails if a column does.
    commands = [command.split() for command in TOX["testenv"]["commands"].strip().splitlines()]
    assert len(commands) == len(STEPS)
    assert all(step in command for step, command in zip(STEPS.values(), commands, strict=True))


def test_the_pinned_versions() -> None:
    settings = TOX["testenv"]["set_env"]
    names = {airflow: f"airflow-{airflow}" for airflow in AIRFLOWS[:-1]} | {AIRFLOWS[-1]: "newest"}
    for airflow, name in names.items():
        assert f"airflow{airflow}: UV_CONSTRAINT = {{tox_root}}/constraints/{name}.txt" in settings
        for suffix in ("in", "txt"):
            assert f"apache-airflow=={airflow}\n" in read(f"constraints/{name}.{suffix}")
        assert name == "newest" or re.search(r"^# As of \d{4}-\d\d-\d\d$", read(f"constraints/{name}.in"), re.MULTILINE)
    assert f"apache-airflow=={AIRFLOWS[0]}\n" in read("constraints/lowest.txt")
    assert f"apache-airflow>={following(minor(AIRFLOWS[-1]))}.0a0\n" in read("constraints/prerelease.txt")
    assert {path.stem for path in (ROOT / "constraints").iterdir()} == {*names.values(), "lowest", "prerelease"}


def test_continuous_integration() -> None:
    between = re.findall(r"between = (.+)", TOX["tox"]["labels"])[0].split(", ")
    assert set(between) <= set(ENVIRONMENTS)
    assert [environment.partition("-airflow")[2] for environment in between] == AIRFLOWS[1:-1]
    assert "tox list -q --no-desc -m between" in read(".ci/run")
    workflow = read(".github/workflows/ci.yml")
    assert "tox list" in workflow
    (several,) = re.findall(r"python-version: \|\n((?: +[\d.]+\n)+)", workflow)
    assert by_number(set(several.split())) == PYTHONS
    assert TOX[f"testenv:py{NEWEST_PYTHON.replace('.', '')}-prerelease"]["ignore_outcome"] == "true"
    assert "continue-on-error: ${{ endsWith(matrix.environment, '-prerelease') }}" in workflow
    # `make test-all` needs a Python on which the lowest Airflow runs; the other workflows use the same one.
    workflows = "".join(path.read_text() for path in (ROOT / ".github" / "workflows").iterdir())
    assert set(re.findall(r'python-version: "(.+)"', workflows)) <= set(LOWEST_PYTHONS)


def test_the_documentation() -> None:
    lowest, newest = minor(AIRFLOWS[0]), minor(AIRFLOWS[-1])
    readme = read("README.md")
    assert f"Airflow {lowest} to {newest} on Python {PYTHONS[0]} to {PYTHONS[-1]}:" in readme
    assert f"Python {listed(DEVELOPMENT_PYTHONS, 'or')}" in readme
    install = read("docs/install.md")
    assert f"| Airflow | {lowest} | {newest} |\n" in install
    assert f"| Python | {PYTHONS[0]} | {PYTHONS[-1]} ({older_pythons()}) |\n" in install
    assert f"Airflow {listed(AIRFLOWS, 'and')}" in install
    contributing = read("CONTRIBUTING.md")
    assert f"Python {listed(LOWEST_PYTHONS, 'or')}" in contributing
    assert f"needs Python {listed(PYTHONS, 'and')}\n" in contributing
    for dependency in PROJECT["project"]["dependencies"][1:]:
        requirement = Requirement(dependency)
        version = str(requirement.specifier).removeprefix(">=")
        assert re.search(rf"^\| `?{requirement.name}`? \| {version} \|", install, re.MULTILINE)
