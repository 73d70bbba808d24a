"""Print a table of what tox found on every version of Airflow and Python."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

#: The columns, by what the command is about; a path that is left out of a step stands behind an equals sign there.
STEPS = {
    "unit tests": " tests/unit ",
    "provider discovery": " tests/unit/test_provider_info.py",
    "examples": " tests/project/test_example_dags.py",
    "end to end": " tests/e2e/",
}

VERSIONS = {
    "Airflow": "apache-airflow",
    "amazon": "apache-airflow-providers-amazon",
    "common-compat": "apache-airflow-providers-common-compat",
}


def main(results_file: str, *environments: str) -> int:
    """
    Print the table.

    :param results_file: what tox wrote for its option ``--result-json``.
    :param environments: those that must be in it.
    :return: the exit status: 0 if they are, and all of their steps passed, 1 otherwise.
    """
    path = Path(results_file)
    results = json.loads(path.read_text())["testenvs"] if path.exists() else {}
    head = ["environment", "Python", *VERSIONS, *STEPS]
    rows = [row(environment, results.get(environment, {})) for environment in environments]
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
    for line in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    green = all(re.fullmatch(r"\d+ passed", cell) for line in rows for cell in line[-len(STEPS) :])
    print("All green." if green and rows else "Not all green.")
    return 0 if green and rows else 1


def row(environment: str, result: dict[str, Any]) -> list[str]:
    """A line of the table."""
    installed = dict(line.split("==") for line in result.get("installed_packages", []) if "==" in line)
    python = ".".join(map(str, result.get("python", {}).get("version_info", [])[:2]))
    versions = [installed.get(package, "") for package in VERSIONS.values()]
    return [environment, python, *versions, *(outcome(result, about) for about in STEPS.values())]


def outcome(result: dict[str, Any], about: str) -> str:
    """How many tests of a step passed, and how many did not."""
    for run in result.get("test", []):
        command = run["command"] if isinstance(run["command"], str) else " ".join(run["command"])
        if about in f"{command} ":
            last_line = "".join(run["output"].splitlines()[-1:])
            counts = re.findall(r"\d+ (?:passed|failed|errors?)\b", last_line)
            return ", ".join([*counts, *([f"exit {run['retcode']}"] if run["retcode"] else [])])
    return "not run"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
