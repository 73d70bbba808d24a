"""The sensor and the waiting operator in every mode. What becomes of the imports is up to the test."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor
from tests.e2e.whole_airflow.crashing import CrashingSensor

#: Airflow 3.0 to 3.3 takes a task that comes back from a deferral or a rescheduling at once for one that was killed.
INTERVAL = timedelta(seconds=5)

SENSOR_MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke", "deferrable": False},
    "reschedule": {"mode": "reschedule", "deferrable": False},
    "deferrable": {"deferrable": True},
}

SENSORS: dict[str, dict[str, Any]] = {
    "complete": {},
    "with_errors": {},
    "with_errors_soft_fail": {"soft_fail": True},
    "internal_error": {},
    "deleted_soft_fail": {"soft_fail": True},
    "unknown_status_soft_fail": {"soft_fail": True},
    "time_runs_out": {"timeout": timedelta(seconds=8)},
    "outage_soft_fail": {
        "soft_fail": True,
        "timeout": timedelta(seconds=30),
        "aws_conn_id": "aws_throttled",
        "botocore_config": {"retries": {"total_max_attempts": 1}},
    },
    "refused_soft_fail": {"soft_fail": True, "aws_conn_id": "aws_refused"},
    "crash_soft_fail": {"soft_fail": True},
    "named_complete": {},
    "named_failed": {},
    "named_time_runs_out": {"timeout": timedelta(seconds=8)},
}

OPERATORS = ["complete", "failed", "record_limit"]


def make_dag(dag_id: str) -> DAG:
    return DAG(
        dag_id=dag_id,
        schedule=None,
        start_date=datetime(2026, 1, 1),
        default_args={"retries": 1, "retry_delay": timedelta(0)},
    )


for row, arguments in SENSORS.items():
    with make_dag(f"sensor_{row}"):
        for mode, mode_arguments in SENSOR_MODES.items():
            wanted: dict[str, Any] = {
                "name" if row.startswith("named") else "import_task_id": f"{{{{ dag_run.conf['{mode}'] }}}}"
            }
            (CrashingSensor if row.startswith("crash") else AdsImportTaskSensor)(
                task_id=mode,
                poke_interval=INTERVAL,
                **wanted,
                **arguments,
                **mode_arguments,
            )

for row in OPERATORS:
    with make_dag(f"operator_{row}"):
        for mode, deferrable in {"sync": False, "deferrable": True}.items():
            AdsStartImportTaskOperator(
                task_id=mode,
                name=f"{row}-{mode}-{{{{ run_id }}}}",
                import_url="s3://inventory/good.csv",
                wait_for_completion=True,
                deferrable=deferrable,
                poll_interval=INTERVAL,
                aws_conn_id="aws_slow",
            )
