"""Many waits at once: for imports, and, to compare them with, for files with Airflow's own sensor."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import DAG, get_current_context, task

from airflow_provider_ads.sensors import AdsImportTaskSensor

SENSORS: dict[str, Any] = {"imports": AdsImportTaskSensor, "files": FileSensor}

for dag_id, sensor in SENSORS.items():
    with DAG(dag_id=dag_id, schedule=None, start_date=datetime(2026, 1, 1), max_active_tasks=1000):

        @task
        def waits() -> list[dict[str, Any]]:
            context: Any = get_current_context()
            return list(context["dag_run"].conf["waits"])

        sensor.partial(task_id="wait", deferrable=True, poke_interval=5, timeout=7200).expand_kwargs(waits())
