"""What Airflow 2 tells a task of its tries: a task instance in its database lives through retries and clears."""

# mypy: ignore-errors
# Types are checked against Airflow 3, which has none of this.

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.models import DAG
from airflow.models.taskinstance import clear_task_instances
from airflow.providers.fab.auth_manager import models  # noqa: F401  # tables that Airflow's own refer to
from airflow.utils.session import create_session
from airflow.utils.types import DagRunType

from airflow_provider_ads.operators import AdsStartImportTaskOperator

with DAG(dag_id="lives_airflow_2", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
    AdsStartImportTaskOperator(
        task_id="start",
        name="cmdb",
        import_url=os.environ.get("IMPORT_URL", ""),
        retries=1,
        retry_delay=timedelta(0),
        wait_for_completion=True,
        deferrable=True,
    )


def live(steps: list[str]) -> None:
    """
    Let the task live, in a run of its own.

    :param steps: ``try``: it is scheduled and runs until it defers; ``fail``: its worker fails it, ``clear``: it is
        cleared, as it is; ``run``: a worker takes it up, and does not get far.
    """
    now = datetime.now(UTC)
    with create_session() as session:
        dag_run: Any = dag.create_dagrun(
            run_id=f"manual__{now.timestamp()}",
            run_type=DagRunType.MANUAL,
            execution_date=now,
            start_date=now + timedelta(seconds=1),
            state="running",
            data_interval=(now, now),
            session=session,
        )
        for step in steps:
            ti: Any = dag_run.get_task_instance("start", session=session)
            ti.task = dag.get_task("start")
            if step == "try":
                dag_run.schedule_tis([ti], session=session)
                session.commit()
                ti.run(ignore_all_deps=True, session=session)
            elif step == "fail":
                ti.handle_failure("the worker died", session=session)
            elif step == "run":
                ti.state = "running"
            elif step == "clear":
                clear_task_instances([ti], session=session, dag=dag)
            session.commit()
            session.expire_all()
            ti = dag_run.get_task_instance("start", session=session)
            print(f"{step}: {ti.state}, try {ti.try_number} of {ti.max_tries + 1}")


if __name__ == "__main__":
    dag.sync_to_db()
    live(os.environ["STEPS"].split())
