"""Imports of many files at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor

with DAG(dag_id="one_wait_for_a_batch", schedule=None, start_date=datetime(2026, 1, 1)):
    start = AdsStartImportTaskOperator.partial(
        task_id="start",
        name="cmdb-{{ run_id }}-{{ ti.map_index }}",
        map_index_template="{{ task.import_url }}",
        aws_conn_id="aws_slow",
    ).expand(import_url=[f"s3://inventory/part-{number}.csv" for number in range(20)])

    AdsImportTaskSensor(
        task_id="wait",
        import_task_id=start.output,
        deferrable=True,
        poke_interval=timedelta(seconds=5),
        aws_conn_id="aws_slow",
    )

with DAG(dag_id="one_wait_for_each", schedule=None, start_date=datetime(2026, 1, 1)):
    start = AdsStartImportTaskOperator.partial(
        task_id="start",
        import_url="s3://inventory/good.csv",
        client_request_token=None,
        wait_for_completion=False,
        deferrable=False,
        poll_interval=60,
        max_failed_records=0,
        aws_conn_id="aws_default",
        region_name="us-west-2",
        verify=None,
        botocore_config=None,
    ).expand(name=["mapped-a-{{ run_id }}", "mapped-b-{{ run_id }}"])

    AdsImportTaskSensor.partial(
        task_id="wait",
        max_failed_records=0,
        deferrable=True,
        poke_interval=5,
        timeout=300,
        aws_conn_id="aws_default",
        region_name="us-west-2",
        verify=None,
        botocore_config=None,
    ).expand(import_task_id=start.output)
