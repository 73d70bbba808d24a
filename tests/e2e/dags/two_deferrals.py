"""Two deferrals in a row with ``dag.test()``, which on Airflow 2 runs each trigger in an event loop of its own."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow.models import DAG

from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor

with DAG(dag_id="two_deferrals", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
    start_and_wait = AdsStartImportTaskOperator(
        task_id="start_and_wait",
        name="first",
        import_url=os.environ.get("IMPORT_URL", ""),
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=3),
    )
    start = AdsStartImportTaskOperator(task_id="start", name="second", import_url=os.environ.get("IMPORT_URL", ""))
    wait = AdsImportTaskSensor(task_id="wait", import_task_id=start.output, deferrable=True, poke_interval=3)
    start_and_wait >> start >> wait

if __name__ == "__main__":
    run = dag.test()
    raise SystemExit(run.state != "success")
