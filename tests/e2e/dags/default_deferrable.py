"""Tasks that leave it to Airflow's setting whether they defer."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor

with DAG(
    dag_id="default_deferrable",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    default_args={"aws_conn_id": "aws_waiting"},
):
    start = AdsStartImportTaskOperator(task_id="start", name="first", import_url="s3://inventory/good.csv")
    wait = AdsImportTaskSensor(task_id="wait", import_task_id=start.output, poke_interval=timedelta(seconds=5))
    start_and_wait = AdsStartImportTaskOperator(
        task_id="start_and_wait",
        name="second",
        import_url="s3://inventory/good.csv",
        wait_for_completion=True,
        poll_interval=timedelta(seconds=5),
    )
    wait >> start_and_wait
