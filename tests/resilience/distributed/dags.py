"""A Dag for each account. Some imports have one task that starts them and waits, some have two."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor
from tests.resilience.distributed.imports import ACCOUNTS, POLL_INTERVAL, START, START_AND_WAIT, WAIT, imports_of

for account in ACCOUNTS:
    with DAG(
        dag_id=account,
        schedule=None,
        start_date=datetime(2026, 1, 1),
        max_active_tasks=1000,
        default_args={
            "aws_conn_id": f"aws_{account}",
            "deferrable": True,
            "retries": 5,
            "retry_delay": timedelta(seconds=5),
        },
    ):
        AdsStartImportTaskOperator.partial(
            task_id=START_AND_WAIT,
            name="{{ dag.dag_id }} {{ ti.task_id }} {{ ti.map_index }}",
            wait_for_completion=True,
            poll_interval=POLL_INTERVAL,
        ).expand(import_url=[each.import_url for each in imports_of(account, START_AND_WAIT)])

        start = AdsStartImportTaskOperator.partial(
            task_id=START,
            name="{{ dag.dag_id }} {{ ti.task_id }} {{ ti.map_index }}",
        ).expand(import_url=[each.import_url for each in imports_of(account, START)])

        AdsImportTaskSensor.partial(task_id=WAIT, poke_interval=POLL_INTERVAL).expand(import_task_id=start.output)
