"""One deferred sensor for each import in the run's configuration."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task

from airflow_provider_ads.sensors import AdsImportTaskSensor

with DAG(dag_id="load", schedule=None, start_date=datetime(2026, 1, 1), max_active_tasks=1000):
    # On a busy machine, Airflow itself can fail to start a task.
    @task(retries=3, retry_delay=timedelta(0))
    def waits() -> list[dict[str, Any]]:
        """Return the arguments of each sensor."""
        context: Any = get_current_context()
        return list(context["dag_run"].conf["waits"])

    AdsImportTaskSensor.partial(task_id="wait", deferrable=True, poke_interval=5, timeout=7200).expand_kwargs(waits())
