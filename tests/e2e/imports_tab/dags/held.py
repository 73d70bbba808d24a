"""A Dag whose tasks read it, as every attempt does first, but do not get further while a file named "hold" exists."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsStartImportTaskOperator

while (Path(os.environ["AIRFLOW_HOME"]) / "hold").exists():
    time.sleep(0.1)

with DAG(dag_id="tab_held", schedule=None, start_date=datetime(2026, 1, 1)):
    AdsStartImportTaskOperator(
        task_id="import_file",
        name="{{ run_id }}",
        import_url="s3://inventory/cleared.csv",
        aws_conn_id="aws_cleared",
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=1),
    )
