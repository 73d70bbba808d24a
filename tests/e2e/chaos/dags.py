"""One import for each run, started without waiting, with waiting, and with waiting in the triggerer."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG

from tests.e2e.chaos.halting import HaltingOperator

MODES: dict[str, dict[str, Any]] = {
    "not_waiting": {},
    "sync": {"wait_for_completion": True, "deferrable": False},
    "deferrable": {"wait_for_completion": True, "deferrable": True},
}

for mode, arguments in MODES.items():
    with DAG(dag_id=mode, schedule=None, start_date=datetime(2026, 1, 1), max_active_runs=1000, max_active_tasks=1000):
        HaltingOperator(
            task_id="start",
            name=f"{mode} {{{{ run_id }}}}",
            import_url="s3://inventory/inventory.csv",
            poll_interval=timedelta(seconds=5),
            # More than the scheduler and everything are killed.
            retries=1000,
            retry_delay=timedelta(0),
            **arguments,
        )
