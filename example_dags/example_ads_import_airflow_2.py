"""Import a server inventory into AWS Migration Hub every night, on Airflow 2.11."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.models import DAG

from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor

with DAG(
    dag_id="example_ads_import_airflow_2",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={
        "region_name": "us-west-2",  # your Migration Hub home region
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
    },
    tags=["example", "migration"],
) as dag:
    start_import = AdsStartImportTaskOperator(
        task_id="start_import",
        name="cmdb-{{ run_id }}",
        import_url="s3://migration-inventory/servers.csv",  # your file
    )

    wait_for_import = AdsImportTaskSensor(
        task_id="wait_for_import",
        import_task_id=start_import.output,
        deferrable=True,
        poke_interval=timedelta(seconds=15),
        timeout=timedelta(hours=6),
        max_failed_records=10,  # more than 10 failed records fail the task
    )
