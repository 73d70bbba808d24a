"""Tasks that start an import and wait for it, and whose first try crashes if the run's configuration says so."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NoReturn

from airflow.sdk import DAG, get_current_context

from airflow_provider_ads.operators import AdsStartImportTaskOperator
from tests.e2e.whole_airflow.crashes import CrashingTrigger


class CrashingOperator(AdsStartImportTaskOperator):
    """An operator whose first try can crash in the triggerer, or on the worker after it has succeeded."""

    def crashes(self, context: Any, when: str) -> bool:
        return (context["dag_run"].conf["crash"], context["ti"].try_number) == (when, 1)

    def defer(self, *, trigger: Any, **kwargs: Any) -> NoReturn:
        if self.crashes(get_current_context(), "while waiting"):
            trigger = CrashingTrigger(**trigger.serialize()[1])
        super().defer(trigger=trigger, **kwargs)

    def post_execute(self, context: Any, result: Any = None) -> None:
        if self.crashes(context, "after success"):
            raise RuntimeError("crashed after success")


with DAG(
    dag_id="retries",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    max_active_runs=100,
    default_args={"retries": 1, "retry_delay": timedelta(0), "aws_conn_id": "aws_retries"},
):
    for mode, deferrable in {"sync": False, "deferrable": True}.items():
        CrashingOperator(
            task_id=mode,
            name=f"{mode} {{{{ run_id }}}}",
            import_url="s3://inventory/good.csv",
            wait_for_completion=True,
            deferrable=deferrable,
            poll_interval=timedelta(seconds=5),
        )

with DAG(dag_id="start", schedule=None, start_date=datetime(2026, 1, 1), default_args={"aws_conn_id": "aws_retries"}):
    AdsStartImportTaskOperator(task_id="start", name="started by {{ run_id }}", import_url="s3://inventory/good.csv")
