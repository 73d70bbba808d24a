"""Imports with a failed record, started with a client request token of the user's."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsFailedRecordsToS3Operator, AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor

with DAG(
    dag_id="failed_records",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    default_args={"aws_conn_id": "aws_failed_records", "retries": 1, "retry_delay": timedelta(0)},
):
    start = AdsStartImportTaskOperator(
        task_id="start",
        name="first",
        import_url="s3://inventory/half-bad.csv",
        client_request_token="first-{{ var.value.client_request_token }}",
    )
    wait = AdsImportTaskSensor(
        task_id="wait", import_task_id=start.output, deferrable=True, poke_interval=timedelta(seconds=5)
    )
    fetch = AdsFailedRecordsToS3Operator(
        task_id="fetch",
        import_task_id=start.output,
        destination_url="s3://inventory/failed",
        trigger_rule="all_done",
    )
    wait >> fetch
    AdsStartImportTaskOperator(
        task_id="start_and_wait",
        name="second",
        import_url="s3://inventory/half-bad.csv",
        client_request_token="second-{{ var.value.client_request_token }}",
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=5),
    )
    start_list = AdsStartImportTaskOperator(
        task_id="start_list",
        name="list",
        import_url=["s3://inventory/good.csv", "s3://inventory/half-bad.csv"],
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=5),
    )
    AdsFailedRecordsToS3Operator(
        task_id="fetch_list",
        import_task_id=start_list.output,
        destination_url="s3://inventory/failed-of-list",
        trigger_rule="all_done",
    )
