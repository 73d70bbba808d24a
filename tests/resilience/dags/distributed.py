"""A Dag for each account, which starts and awaits many imports."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsStartImportTaskOperator
from tests.resilience.distributed_imports import ACCOUNTS, POLL_INTERVAL, imports_of

for account in ACCOUNTS:
    with DAG(dag_id=account, schedule=None, start_date=datetime(2026, 1, 1), max_active_tasks=1000):
        AdsStartImportTaskOperator.partial(
            task_id="start_and_wait",
            name="{{ dag.dag_id }} {{ ti.map_index }}",
            wait_for_completion=True,
            deferrable=True,
            poll_interval=POLL_INTERVAL,
            aws_conn_id=f"aws_{account}",
            retries=5,
            retry_delay=timedelta(seconds=5),
        ).expand(import_url=[each.import_url for each in imports_of(account)])
