"""
At most one import for one intention, however often the task that starts it is killed and tried again.

A task knows the import that it has started only after the service's answer, and may be killed before it has written
the id anywhere. The service starts one import for a client request token, so the token is derived from what every
try of a task instance knows: the same intention has the same token on every worker, without a store of its own.
https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from airflow_provider_ads.discovery.import_task import (
    DELETION_STATUSES,
    IMPORT_FAILED_STATUSES,
    IMPORT_RUNNING_STATUSES,
    ImportTask,
    check_import_url,
    check_name,
)
from airflow_provider_ads.hooks import AdsHook

__all__ = ["Intention"]

#: The statuses of an import that is of no use any more.
_LOST_STATUSES = IMPORT_FAILED_STATUSES | DELETION_STATUSES


@dataclass(frozen=True)
class Intention:
    """
    One import that somebody wants: what a task instance is to start until it is cleared.

    An import that is lost, because it failed or was deleted, is followed by another one for the same intention: the
    next *generation*.

    :param name: what to call the import.
    :param import_url: the file.
    :param task_instance: what tells the task instance, from one clear to the next, from all others.
    :param tries: how often it was tried, this try included; there are no more generations than tries.
    """

    name: str
    import_url: str
    task_instance: tuple[str | float, ...]
    tries: int

    @classmethod
    def of(cls, context: Mapping[str, Any], name: str, import_url: str) -> Self | None:
        """
        Tell what a task instance is to start.

        :param context: the task's context.
        :param name: the rendered name of the import.
        :param import_url: the rendered URL of the file.
        :return: the intention; None if Airflow does not know when the Dag run has started, as without that date the
            same run of another Airflow on the same account, or one that was made again, could not be told apart.
        :raises ValueError: the service would not take the name or the URL.
        """
        name, import_url = check_name(name), check_import_url(import_url)
        ti = context["ti"]
        dag_run = context["dag_run"]
        # "airflow dags test" of Airflow 2 gives every run of a date that date as its start.
        if dag_run.start_date in (None, dag_run.logical_date):
            return None
        started = dag_run.start_date.timestamp()
        # The number of tries that Airflow allows is constant over the retries of a task. A clear allows more, and is a
        # new intention.
        task_instance = (ti.dag_id, ti.run_id, started, ti.task_id, ti.map_index, ti.max_tries)
        return cls(name, import_url, task_instance, ti.try_number)

    def token(self, generation: int) -> str:
        """
        Derive the client request token of a generation.

        :param generation: 0 for the first import.
        """
        parts = [*self.task_instance, self.name, self.import_url, generation]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def start(self, hook: AdsHook, log: Any) -> ImportTask:
        """
        Start the import, unless an earlier try has, and it is not lost.

        :param hook: the hook to call the service with.
        :param log: the task's logger.
        :return: the import, new or adopted.
        :raises AdsCallError: a call failed.
        """
        generation = 0
        if self.tries > 1:
            import_tasks = list(hook.list_import_tasks(name=self.name))
            if latest := self.latest(import_tasks):
                generation, task = latest
                if task.status not in _LOST_STATUSES:
                    log.warning(
                        "Import %s. Adopted: an earlier try of this task started it%s. To import again, clear the task",
                        task,
                        _ago(task.import_request_time),
                    )
                    return task
                log.info("Import %s. An earlier try of this task started it; another one follows it", task)
                generation += 1
            else:
                for task in import_tasks:
                    if task.import_url == self.import_url and task.status in IMPORT_RUNNING_STATUSES:
                        log.warning("Import %s. It has the same name and file, but this task did not start it", task)
        task = hook.start_import_task(self.name, self.import_url, self.token(generation))
        # The service may know an import that it did not list.
        while task.status in _LOST_STATUSES and generation < self.tries - 1:
            generation += 1
            task = hook.start_import_task(self.name, self.import_url, self.token(generation))
        return task

    def latest(self, import_tasks: Iterable[ImportTask]) -> tuple[int, ImportTask] | None:
        """
        Find the last import that was started for this intention.

        :param import_tasks: the imports of the same name.
        :return: its generation and the import, or None.
        """
        generations = {self.token(generation): generation for generation in range(self.tries)}
        found = [
            (generations[task.client_request_token], task)
            for task in import_tasks
            if task.client_request_token in generations
        ]
        return max(found, key=lambda each: each[0], default=None)


def _ago(time: datetime | None) -> str:
    return "" if time is None else f" {timedelta(seconds=int((datetime.now(UTC) - time).total_seconds()))} ago"
