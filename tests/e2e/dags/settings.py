"""Tasks with a role and a region of their own that leave deferral to Airflow's configuration."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor

with DAG(
    dag_id="settings",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    default_args={"aws_conn_id": "aws_role", "region_name": "eu-west-1"},
):
    start = AdsStartImportTaskOperator(task_id="start", name="first", import_url="s3://inventory/good.csv")
    AdsImportTaskSensor(task_id="wait", import_task_id=start.output, poke_interval=timedelta(seconds=5))
    AdsStartImportTaskOperator(
        task_id="start_and_wait",
        name="second",
        import_url="s3://inventory/good.csv",
        wait_for_completion=True,
        poll_interval=timedelta(seconds=5),
    )
