"""Each operator in a Dag of its own for each of its modes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG

from tests.resilience.chaos.halting import HaltingDeletion, HaltingFetch, HaltingPrepare, HaltingPrune, HaltingStart

STARTS: dict[str, dict[str, Any]] = {
    "not_waiting": {},
    "sync": {"wait_for_completion": True, "deferrable": False},
    "deferrable": {"wait_for_completion": True, "deferrable": True},
}

DELETIONS: dict[str, dict[str, Any]] = {
    "sync": {"deferrable": False, "poll_interval": 1},
    "deferrable": {"deferrable": True, "poll_interval": 5},
}


def make_dag(dag_id: str) -> DAG:
    return DAG(
        dag_id=dag_id,
        schedule=None,
        start_date=datetime(2026, 1, 1),
        max_active_runs=1000,
        max_active_tasks=1000,
        # So that a list of ids is one.
        render_template_as_native_obj=True,
        # More than the scheduler and everything are killed.
        default_args={"retries": 1000, "retry_delay": timedelta(0)},
    )


for mode, arguments in STARTS.items():
    with make_dag(mode):
        HaltingStart(
            task_id="start",
            name=f"{mode} {{{{ run_id }}}}",
            import_url="s3://inventory/inventory.csv",
            poll_interval=timedelta(seconds=5),
            **arguments,
        )

for mode, arguments in DELETIONS.items():
    with make_dag(f"delete_{mode}"):
        HaltingDeletion(task_id="delete", import_task_id="{{ dag_run.conf['old'] }}", **arguments)
    with make_dag(f"prune_{mode}"):
        HaltingPrune(
            task_id="prune",
            name_prefix="{{ dag_run.conf['series'] }}-",
            superseded_by="{{ dag_run.conf['new'] }}",
            **arguments,
        )

with make_dag("fetch"):
    HaltingFetch(
        task_id="fetch",
        import_task_id="{{ dag_run.conf['import_task_id'] }}",
        destination_url="s3://inventory/files/{{ run_id }}",
    )

with make_dag("prepare"):
    HaltingPrepare(
        task_id="prepare",
        source_url="s3://inventory/export.csv",
        destination_url="s3://inventory/files/{{ run_id }}",
        max_file_bytes=20_000,
        on_invalid_rows="quarantine",
    )
