"""
Retry and clear a task on Airflow 2, whose task instances keep their try numbers when they are cleared.

``test_retries_on_airflow_2.py`` runs this file; the run id of each scenario is its name.
"""

# mypy: ignore-errors
# Types are checked against Airflow 3, which does not have these functions.

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.models import DAG
from airflow.models.taskinstance import clear_task_instances
from airflow.providers.fab.auth_manager import models  # noqa: F401  # Airflow's tables refer to its tables
from airflow.utils.session import create_session
from airflow.utils.types import DagRunType

from airflow_provider_ads.operators import AdsStartImportTaskOperator

with DAG(dag_id="retries_airflow_2", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
    AdsStartImportTaskOperator(
        task_id="start",
        name="{{ run_id }}",
        import_url=os.environ.get("IMPORT_URL", ""),
        retries=1,
        retry_delay=timedelta(0),
        wait_for_completion=True,
        deferrable=True,
    )


def play(scenario: str, steps: list[str]) -> None:
    """
    Take the task through a scenario.

    :param scenario: the run id.
    :param steps: ``try``: run the task until it defers; ``fail``: fail it, as when its worker dies; ``clear``: clear
        it in its current state; ``run``: mark it as running.
    """
    now = datetime.now(UTC)
    with create_session() as session:
        dag_run: Any = dag.create_dagrun(
            run_id=scenario,
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
            print(f"{scenario}: {step}: {ti.state}, try {ti.try_number} of {ti.max_tries + 1}")


if __name__ == "__main__":
    dag.sync_to_db()
    for scenario, steps in json.loads(os.environ["SCENARIOS"]).items():
        play(scenario, steps)
