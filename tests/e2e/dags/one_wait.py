"""One deferred wait."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsStartImportTaskOperator

with DAG(dag_id="one_wait", schedule=None, start_date=datetime(2026, 1, 1)):
    AdsStartImportTaskOperator(
        task_id="start_and_wait",
        name="waited for",
        import_url="s3://inventory/good.csv",
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=5),
    )
