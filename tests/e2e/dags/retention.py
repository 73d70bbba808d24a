"""Series of nightly imports in three parts: a night replaces the nights before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsPruneImportTasksOperator, AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor

#: The series of each Dag, whether its tasks are deferred, and how it prunes.
NIGHTS: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "nightly_sync": ("sync", False, {}),
    "nightly_deferrable": ("deferrable", True, {}),
    "nightly_lenient": ("deferrable", True, {"allow_failed_records": True}),
}

for dag_id, (series, deferrable, arguments) in NIGHTS.items():
    with DAG(
        dag_id=dag_id,
        schedule=None,
        start_date=datetime(2026, 1, 1),
        default_args={"aws_conn_id": "aws_nightly", "retries": 1, "retry_delay": timedelta(0)},
    ):
        start = AdsStartImportTaskOperator.partial(
            task_id="start", name=f"{series}-{{{{ run_id }}}}-{{{{ ti.map_index }}}}"
        ).expand(import_url=[f"s3://inventory/{series}-{part}.csv" for part in range(3)])

        wait = AdsImportTaskSensor(
            task_id="wait",
            import_task_id=start.output,
            max_failed_records=None,
            deferrable=deferrable,
            poke_interval=timedelta(seconds=2),
        )

        wait >> AdsPruneImportTasksOperator(
            task_id="prune",
            name_prefix=f"{series}-",
            superseded_by=start.output,
            deferrable=deferrable,
            poll_interval=timedelta(seconds=2),
            **arguments,
        )
