"""The sensor in each of its three modes; each Dag is a row of the table in ``whole_airflow/test_modes.py``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_ads.sensors import AdsImportTaskSensor
from tests.e2e.whole_airflow.crashes import CrashingSensor

MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke", "deferrable": False},
    "reschedule": {"mode": "reschedule", "deferrable": False},
    "deferrable": {"deferrable": True},
}

ARGUMENTS: dict[str, dict[str, Any]] = {
    "complete": {},
    "with_errors_soft_fail": {"soft_fail": True},
    "timeout": {"timeout": timedelta(seconds=8)},
    "refused_soft_fail": {"soft_fail": True, "aws_conn_id": "aws_refused"},
    "crash_soft_fail": {"soft_fail": True},
    "by_name": {},
}

for row, arguments in ARGUMENTS.items():
    with DAG(
        dag_id=f"sensor_{row}",
        schedule=None,
        start_date=datetime(2026, 1, 1),
        default_args={"retries": 1, "retry_delay": timedelta(0)},
    ):
        for mode, mode_arguments in MODES.items():
            wanted: dict[str, Any] = {
                "name" if row == "by_name" else "import_task_id": f"{{{{ dag_run.conf['{mode}'] }}}}"
            }
            (CrashingSensor if row.startswith("crash") else AdsImportTaskSensor)(
                task_id=mode,
                # Airflow 3.0 to 3.3 mistakes a task that resumes sooner for one that was killed.
                poke_interval=timedelta(seconds=5),
                **wanted,
                **arguments,
                **mode_arguments,
            )
