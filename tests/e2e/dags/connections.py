"""An inventory is uploaded and imported with a role, in another region than that of the connection."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import DAG, task

from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor

with DAG(
    dag_id="connection_region_and_role",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    default_args={"aws_conn_id": "aws_role", "region_name": "eu-west-1"},
):

    @task
    def check(connection: str, region: str) -> str:
        good, message = AdsHook(connection, region_name=region).test_connection()
        if not good:
            raise RuntimeError(message)
        return message

    @task
    def upload(connection: str, region: str) -> None:
        S3Hook(connection, region_name=region).load_string(
            "ExternalId,HostName\n1,a.example\n", "uploaded.csv", "inventory", replace=True
        )

    start = AdsStartImportTaskOperator(task_id="start", name="with a role", import_url="s3://inventory/uploaded.csv")
    [check("aws_role", "eu-west-1"), upload("aws_role", "eu-west-1")] >> start
    AdsImportTaskSensor(
        task_id="wait", import_task_id=start.output, deferrable=True, poke_interval=timedelta(seconds=5)
    )
