"""The operators under test, each in a Dag of its own for each of its modes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_ads.operators import (
    AdsDeleteImportDataOperator,
    AdsFailedRecordsToS3Operator,
    AdsPrepareImportFileOperator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)
from tests.resilience.halting import HaltsWhenResumed

STARTS: dict[str, dict[str, Any]] = {
    "start": {},
    "start_and_poke": {"wait_for_completion": True, "deferrable": False},
    "start_and_defer": {"wait_for_completion": True, "deferrable": True},
}

DELETIONS: dict[str, dict[str, Any]] = {
    "poking": {"deferrable": False, "poll_interval": 1},
    "deferrable": {"deferrable": True, "poll_interval": 5},
}


PARTS = [f"s3://inventory/parts/part-{number:04}.csv" for number in range(1, 21)]


class HaltingStart(HaltsWhenResumed, AdsStartImportTaskOperator):
    """The operator, halting when it resumes."""


class HaltingDelete(HaltsWhenResumed, AdsDeleteImportDataOperator):
    """The operator, halting when it resumes."""


class HaltingPrune(HaltsWhenResumed, AdsPruneImportTasksOperator):
    """The operator, halting when it resumes."""


def make_dag(dag_id: str) -> DAG:
    """Return a Dag whose tasks are retried after every kill, however many there are."""
    return DAG(
        dag_id=dag_id,
        schedule=None,
        start_date=datetime(2026, 1, 1),
        max_active_runs=1000,
        max_active_tasks=1000,
        # The list of ids in a run's configuration stays a list.
        render_template_as_native_obj=True,
        default_args={"retries": 1000, "retry_delay": timedelta(0)},
    )


for dag_id, arguments in STARTS.items():
    with make_dag(dag_id):
        AdsStartImportTaskOperator(
            task_id="start",
            name="{{ dag.dag_id }} {{ run_id }}",
            import_url="s3://inventory/inventory.csv",
            poll_interval=timedelta(seconds=5),
            max_failed_records=None,
            **arguments,
        )

for dag_id, arguments in STARTS.items():
    with make_dag(dag_id.replace("start", "start_list", 1)):
        HaltingStart(
            task_id="start",
            name="{{ dag.dag_id }} {{ run_id }}",
            import_url=PARTS,
            poll_interval=timedelta(seconds=5),
            **arguments,
        )

for mode, arguments in DELETIONS.items():
    with make_dag(f"delete_{mode}"):
        HaltingDelete(task_id="delete", import_task_id="{{ dag_run.conf['old'] }}", **arguments)
    with make_dag(f"prune_{mode}"):
        HaltingPrune(
            task_id="prune",
            name_prefix="{{ dag_run.conf['series'] }}-",
            superseded_by="{{ dag_run.conf['new'] }}",
            **arguments,
        )

with make_dag("fetch"):
    AdsFailedRecordsToS3Operator(
        task_id="fetch",
        import_task_id="{{ dag_run.conf['import_task_id'] }}",
        destination_url="s3://inventory/files/{{ run_id }}",
    )

for dag_id, source in {"prepare": "export.csv", "prepare_workbook": "export.xlsx"}.items():
    with make_dag(dag_id):
        AdsPrepareImportFileOperator(
            task_id="prepare",
            source_url=f"s3://inventory/{source}",
            destination_url="s3://inventory/files/{{ run_id }}",
            max_file_bytes=20_000,
            on_invalid_rows="quarantine",
        )
