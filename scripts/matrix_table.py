"""Print a table of the results that tox has written for each version of Airflow and Python."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from packaging.version import Version

#: The columns, each with the argument by which its command is recognized.
STEPS = {
    "unit tests": "tests/unit",
    "provider discovery": "tests/unit/test_provider_info.py",
    "examples": "tests/project/test_example_dags.py",
    "end to end": "tests/e2e/test_example_import.py",
    "Imports tab": "tests/e2e/imports_tab",
}

#: The cell of "Imports tab" for versions of Airflow that have no tabs of plugins.
NO_TAB = "before 3.1"

VERSIONS = {
    "Airflow": "apache-airflow",
    "amazon": "apache-airflow-providers-amazon",
    "common-compat": "apache-airflow-providers-common-compat",
}


def main(results_file: str, *environments: str) -> int:
    """
    Print the table.

    :param results_file: the file that tox wrote for its option ``--result-json``.
    :param environments: the environments that the table must contain.
    :return: the exit status: 0 if all steps of these environments passed, 1 otherwise. Pre-releases may fail, unless
        there are no other environments.
    """
    path = Path(results_file)
    results = json.loads(path.read_text())["testenvs"] if path.exists() else {}
    head = ["environment", "Python", *VERSIONS, *STEPS]
    rows = [row(environment, results.get(environment, {})) for environment in environments]
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
    for line in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    required = [line for line in rows if not line[0].endswith("-prerelease")] or rows
    passed = bool(rows) and all(
        re.fullmatch(rf"\d+ passed|{re.escape(NO_TAB)}", cell) for line in required for cell in line[-len(STEPS) :]
    )
    print("make matrix: passed" if passed else "make matrix: failed")
    return 0 if passed else 1


def row(environment: str, result: dict[str, Any]) -> list[str]:
    """Return an environment's row."""
    installed = dict(line.split("==") for line in result.get("installed_packages", []) if "==" in line)
    python = ".".join(map(str, result.get("python", {}).get("version_info", [])[:2]))
    versions = [installed.get(package, "") for package in VERSIONS.values()]
    outcomes = [outcome(result, argument) for argument in STEPS.values()]
    if (airflow := installed.get("apache-airflow")) and Version(airflow).release < (3, 1):
        outcomes[-1] = NO_TAB
    return [environment, python, *versions, *outcomes]


def outcome(result: dict[str, Any], argument: str) -> str:
    """Return how many tests of a step passed and failed."""
    for run in result.get("test", []):
        command = run["command"].split() if isinstance(run["command"], str) else run["command"]
        if argument in command:
            last_line = "".join(run["output"].splitlines()[-1:])
            counts = re.findall(r"\d+ (?:passed|failed|errors?)\b", last_line)
            return ", ".join([*counts, *([f"exit {run['retcode']}"] if run["retcode"] else [])])
    return "not run"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
