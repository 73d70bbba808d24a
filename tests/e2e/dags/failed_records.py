"""An import with rows that fail is fetched from, and one that never starts is not."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_ads.operators import (
    AdsFailedRecordsToS3Operator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)
from airflow_provider_ads.sensors import AdsImportTaskSensor

#: What each Dag calls its import; a name that is empty is refused before anything is sent.
NAMES = {"failed_records": "failed-records-{{ run_id }}", "failed_records_of_no_import": ""}

for dag_id, name in NAMES.items():
    with DAG(dag_id=dag_id, schedule=None, start_date=datetime(2026, 1, 1)):
        start = AdsStartImportTaskOperator(task_id="start", name=name, import_url="s3://inventory/odd-rows.csv")
        wait = AdsImportTaskSensor(
            task_id="wait", import_task_id=start.output, deferrable=True, poke_interval=timedelta(seconds=5)
        )
        fetch = AdsFailedRecordsToS3Operator(
            task_id="fetch",
            import_task_id=start.output,
            destination_url="s3://inventory/failed",
            trigger_rule="all_done",
        )
        prune = AdsPruneImportTasksOperator(
            task_id="prune", name_prefix="failed-records-", superseded_by=start.output, poll_interval=5
        )
        wait >> [fetch, prune]
