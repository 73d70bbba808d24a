"""Imports of real files that fail, in part or as a whole, under a client request token."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor

FILES = {"partial": "half-bad.csv", "failing": "bad.csv"}
WAITS: dict[str, dict[str, Any]] = {
    "strict": {},
    "soft_fail": {"soft_fail": True},
    "lenient": {"max_failed_records": None},
}

with DAG(
    dag_id="outcomes",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    default_args={"retries": 1, "retry_delay": timedelta(0)},
):
    for kind, file in FILES.items():
        start = AdsStartImportTaskOperator(
            task_id=f"start_{kind}",
            name=kind,
            import_url=f"s3://inventory/{file}",
            client_request_token=f"{kind}-{{{{ var.value.intention }}}}",
        )
        for wait, arguments in WAITS.items():
            AdsImportTaskSensor(
                task_id=f"{kind}_{wait}",
                import_task_id=start.output,
                deferrable=True,
                poke_interval=timedelta(seconds=5),
                **arguments,
            )
    AdsStartImportTaskOperator(
        task_id="partial_start_and_wait",
        name="partial",
        import_url="s3://inventory/half-bad.csv",
        client_request_token="waiting-{{ var.value.intention }}",
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=5),
    )
