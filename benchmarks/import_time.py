"""Measure how long a fresh interpreter takes to import operators and sensors: this provider's, and others."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

#: Number of fresh interpreters; each figure is their median.
RUNS = 5

STATEMENTS = {
    "airflow_provider_ads": "import airflow_provider_ads.operators, airflow_provider_ads.sensors",
    "the Amazon provider's base operator": "import airflow.providers.amazon.aws.operators.base_aws",
    "a plain Airflow operator": "from airflow.sdk import BaseOperator",
}


def main() -> None:
    """Measure the statements in turn, and print a table."""
    with tempfile.TemporaryDirectory() as airflow_home:
        # The first interpreter writes Airflow's configuration and Python's bytecode.
        for statement in STATEMENTS.values():
            seconds(statement, airflow_home)
        runs = [[seconds(statement, airflow_home) for statement in STATEMENTS.values()] for _ in range(RUNS)]
    medians = [statistics.median(seconds_of_one) for seconds_of_one in zip(*runs, strict=True)]
    print(f"{'import, median of ' + str(RUNS) + ' interpreters':36}  seconds  ours / it")
    for name, median in zip(STATEMENTS, medians, strict=True):
        print(f"{name:36}  {median:7.2f}  {medians[0] / median:9.2f}")


def seconds(statement: str, airflow_home: str) -> float:
    """Return the seconds that a statement takes in a fresh interpreter, without the interpreter's own start."""
    timed = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    environment = {**os.environ, "AIRFLOW_HOME": airflow_home}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    output = subprocess.run([sys.executable, "-c", timed], check=True, capture_output=True, text=True, env=environment)
    return float(output.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
