"""Imports that tasks start, in every mode, whatever happens to the tasks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NoReturn

from airflow.sdk import DAG, get_current_context

from airflow_provider_ads.operators import AdsStartImportTaskOperator
from tests.e2e.whole_airflow.crashing import CrashingTrigger


class MortalOperator(AdsStartImportTaskOperator):
    """An operator whose first try dies where the run's configuration says so."""

    def dies(self, context: Any, where: str) -> bool:
        return (context["dag_run"].conf["dies"], context["ti"].try_number) == (where, 1)

    def defer(self, *, trigger: Any, **kwargs: Any) -> NoReturn:
        if self.dies(get_current_context(), "while it waits"):
            trigger = CrashingTrigger(**trigger.serialize()[1])
        super().defer(trigger=trigger, **kwargs)

    def post_execute(self, context: Any, result: Any = None) -> None:
        if self.dies(context, "afterwards"):
            raise RuntimeError("died afterwards")


with DAG(
    dag_id="lives",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    max_active_runs=100,
    default_args={"retries": 1, "retry_delay": timedelta(0)},
):
    for mode, deferrable in {"sync": False, "deferrable": True}.items():
        MortalOperator(
            task_id=mode,
            name=f"{mode} {{{{ run_id }}}}",
            import_url="s3://inventory/good.csv",
            wait_for_completion=True,
            deferrable=deferrable,
            poll_interval=timedelta(seconds=5),
            aws_conn_id="aws_slow",
        )

with DAG(dag_id="start", schedule=None, start_date=datetime(2026, 1, 1)):
    AdsStartImportTaskOperator(task_id="start", name="started by {{ run_id }}", import_url="s3://inventory/good.csv")
