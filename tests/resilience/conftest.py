"""The tests and the tables of a resilience run, which needs Airflow 3."""

from __future__ import annotations

import os
from typing import Any

from tests.resilience.results import TABLES

#: These take minutes each. pytest collects them if the variable is set, or if the file is named on the command line.
collect_ignore = [
    file
    for file, variable in {
        "test_distributed.py": "RESILIENCE_IMPORTS",
        "test_triggerer_load.py": "RESILIENCE_TASKS",
    }.items()
    if variable not in os.environ
]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in TABLES:
        terminalreporter.write_line(line)
