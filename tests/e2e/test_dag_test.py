from __future__ import annotations

import re
from pathlib import Path

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.conftest import RunInAirflow

#: What asyncio and aiohttp say when something is left behind.
LEFTOVERS = (
    "Task was destroyed",
    "never awaited",
    "never retrieved",
    "Unclosed",
    "ResourceWarning",
    "Event loop is closed",
)


def test_two_deferrals_in_a_row_leave_nothing_behind(ads: AdsEmulator, run_in_airflow: RunInAirflow) -> None:
    url = ads.upload("s3://inventory/inventory.csv", "ExternalId,HostName\n1,a.example\n2,b.example\n")
    run = run_in_airflow(
        Path(__file__).parent / "dags" / "two_deferrals.py", IMPORT_URL=url, PYTHONWARNINGS="always::ResourceWarning"
    )
    assert run.returncode == 0, run.stdout
    assert [(task["name"], task["status"]) for task in ads.import_tasks()] == [
        ("first", "IMPORT_COMPLETE"),
        ("second", "IMPORT_COMPLETE"),
    ]
    # Airflow 2 prints each line of a task's log twice here.
    assert len(set(re.findall(r"Waiting in the triggerer for (import-task-\w+)", run.stdout))) == 2
    assert "Failed to push an xcom for task operator extra link" not in run.stdout
    for words in LEFTOVERS:
        lines = [line for line in run.stdout.splitlines() if words in line]
        if words == "ResourceWarning":
            # Airflow 2 leaves files and database connections of its own open.
            lines = [line for line in lines if "socket" in line or "client" in line]
        assert not lines
