"""An import that a worker waits for, and two that the triggerer waits for; a Dag of Airflow 2 and 3."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow import DAG

from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor

INTERVAL = timedelta(seconds=5)

with DAG(dag_id="every_version", schedule=None, start_date=datetime(2026, 1, 1)):
    for name, deferrable in {"sync": False, "deferred": True}.items():
        AdsStartImportTaskOperator(
            task_id=name,
            name=name,
            import_url="s3://inventory/inventory.csv",
            wait_for_completion=True,
            deferrable=deferrable,
            poll_interval=INTERVAL,
        )
    start = AdsStartImportTaskOperator(task_id="start", name="started", import_url="s3://inventory/inventory.csv")
    AdsImportTaskSensor(task_id="wait", import_task_id=start.output, deferrable=True, poke_interval=INTERVAL)
