"""Retries and clears on Airflow 2, which counts tries differently; for Airflow 3 see whole_airflow/test_retries.py."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.conftest import environment

#: Steps of ``retries_airflow_2.py``, and the expected number of imports.
SCENARIOS = {
    "retry": (["try", "fail", "try"], 1),
    "clear-while-deferred": (["try", "clear", "try"], 2),
    "clear-while-running": (["try", "run", "clear", "fail", "try"], 1),
    "clear-after-failure": (["try", "fail", "try", "fail", "clear", "try"], 2),
}


@pytest.mark.skipif(AIRFLOW_V_3_0_PLUS, reason="needs Airflow 2")
def test_a_task_starts_one_import_until_it_is_cleared(airflow_home: Path) -> None:
    with AdsEmulator(import_seconds=3600) as ads:
        url = ads.upload("s3://inventory/inventory.csv", "ExternalId\n1\n")
        run = subprocess.run(
            [sys.executable, Path(__file__).with_name("retries_airflow_2.py")],
            env={
                **environment(airflow_home),
                "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
                "IMPORT_URL": url,
                "SCENARIOS": json.dumps({name: steps for name, (steps, _) in SCENARIOS.items()}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        assert run.returncode == 0, run.stdout
        assert run.stdout.count("try: deferred") == sum(steps.count("try") for steps, _ in SCENARIOS.values())
        imports = Counter(task["name"] for task in ads.import_tasks())
    assert imports == {name: expected for name, (_, expected) in SCENARIOS.items()}
