"""Many files are imported and waited for in one task."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsStartImportTaskOperator

with DAG(dag_id="many_files", schedule=None, start_date=datetime(2026, 1, 1)):
    AdsStartImportTaskOperator(
        task_id="import_files",
        name="{{ run_id }}",
        import_url=[f"s3://inventory/many/{number}.csv" for number in range(50)],
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=5),
        aws_conn_id="aws_many_files",
    )
