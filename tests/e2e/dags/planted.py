"""What a scan for secrets has to find."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk import DAG, BaseOperator

from airflow_provider_ads.triggers import AdsImportTaskTrigger


class PlantingOperator(BaseOperator):
    """Put a word into a log, an XCom, a rendered field and the arguments of a trigger, and defer."""

    template_fields = ("word",)

    def __init__(self, *, word: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.word = word

    def execute(self, context: Any) -> None:
        self.log.info("planted-log")
        context["ti"].xcom_push(key="planted", value={"list": ["planted-xcom"]})
        self.defer(
            trigger=AdsImportTaskTrigger(
                import_task_ids=["import-task-" + "0" * 32],
                poll_interval=3600,
                botocore_config={"user_agent_extra": "planted-trigger-argument"},
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Any, event: Any = None) -> None:
        """Take up the task."""


with DAG(dag_id="planted", schedule=None, start_date=datetime(2026, 1, 1)):
    PlantingOperator(task_id="plant", word="planted-{{ 'rendered' }}-field")
