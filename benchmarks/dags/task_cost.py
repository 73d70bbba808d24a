"""Five ways to import many files. Environment variables set the number of files, and of files in the batch."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from airflow.sdk import DAG, task_group

from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor

FILES, BATCH = (
    [f"s3://inventory/part-{number}.csv" for number in range(int(os.environ[variable]))]
    for variable in ("BENCHMARK_FILES", "BENCHMARK_BATCH")
)
INTERVAL = 5

SENSORS: dict[str, dict[str, Any]] = {
    "poking_sensor": {"mode": "poke", "deferrable": False},
    "deferrable_sensor": {"deferrable": True},
}

for dag_id, arguments in SENSORS.items():
    with DAG(dag_id=dag_id, schedule=None, start_date=datetime(2026, 1, 1)):

        @task_group
        def import_file(import_url: str, arguments: dict[str, Any] = arguments) -> None:
            """Start an import and wait for it."""
            start = AdsStartImportTaskOperator(task_id="start", name="cmdb-{{ run_id }}", import_url=import_url)
            AdsImportTaskSensor(task_id="wait", import_task_id=start.output, poke_interval=INTERVAL, **arguments)

        import_file.expand(import_url=FILES)

with DAG(dag_id="waiting_operator", schedule=None, start_date=datetime(2026, 1, 1)):
    AdsStartImportTaskOperator.partial(
        task_id="start_and_wait",
        name="cmdb-{{ run_id }}",
        wait_for_completion=True,
        deferrable=True,
        poll_interval=INTERVAL,
    ).expand(import_url=FILES)

with DAG(dag_id="one_sensor", schedule=None, start_date=datetime(2026, 1, 1)):
    start_all = AdsStartImportTaskOperator.partial(task_id="start", name="cmdb-{{ run_id }}").expand(import_url=BATCH)
    AdsImportTaskSensor(task_id="wait", import_task_id=start_all.output, deferrable=True, poke_interval=INTERVAL)

with DAG(dag_id="one_task", schedule=None, start_date=datetime(2026, 1, 1)):
    AdsStartImportTaskOperator(
        task_id="start_and_wait",
        name="cmdb-{{ run_id }}",
        import_url=BATCH,
        wait_for_completion=True,
        deferrable=True,
        poll_interval=INTERVAL,
    )
