"""Prepared, imported, waited for, fetched from, and pruned: whatever file a run is told to prepare."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_ads.operators import (
    AdsFailedRecordsToS3Operator,
    AdsPrepareImportFileOperator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)
from airflow_provider_ads.sensors import AdsImportTaskSensor

with DAG(
    dag_id="pipeline",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    default_args={"aws_conn_id": "aws_prepared", "retries": 2},
):
    prepare = AdsPrepareImportFileOperator(
        task_id="prepare",
        source_url="{{ dag_run.conf['source_url'] }}",
        destination_url="s3://inventory/prepared/{{ run_id }}",
        max_file_bytes=100_000,
        on_invalid_rows="quarantine",
    )
    start = AdsStartImportTaskOperator.partial(task_id="start", name="{{ run_id }}-{{ ti.map_index }}").expand(
        import_url=prepare.output
    )
    wait = AdsImportTaskSensor(
        task_id="wait", import_task_id=start.output, deferrable=True, poke_interval=timedelta(seconds=5)
    )
    fetch = AdsFailedRecordsToS3Operator(
        task_id="fetch",
        import_task_id=start.output,
        destination_url="s3://inventory/failed/{{ run_id }}",
        trigger_rule="all_done",
    )
    prune = AdsPruneImportTasksOperator(
        task_id="prune", name_prefix="{{ run_id }}-", superseded_by=start.output, poll_interval=5
    )
    wait >> [fetch, prune]
