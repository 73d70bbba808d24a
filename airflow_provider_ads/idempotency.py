"""
Retry-safe starts: a task starts at most one import, no matter how many times it is killed and retried.

A task learns the id of its import only from the service's answer, and can be killed before it has stored that id. The
service starts only one import per client request token. The token is therefore derived from values that are the same
in every attempt and on every worker, so that it need not be stored.
https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_StartImportTask.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.parameters import check_import_url, check_name
from airflow_provider_ads.discovery.retention import mark_due
from airflow_provider_ads.hooks import AdsHook

__all__ = ["StartRequest", "due_time_of_run"]


def due_time_of_run(dag_run: Any) -> datetime | None:
    """
    Return the time at which a Dag run was due: for a run that was triggered for an earlier date, that date.

    :param dag_run: the Dag run. Airflow 2 has no ``run_after``, and a run need not have a logical date.
    """
    run_after = getattr(dag_run, "run_after", None)
    if getattr(dag_run, "run_type", None) in ("scheduled", "backfill"):
        due: datetime | None = run_after or dag_run.data_interval_end
        return due
    return min((time for time in (run_after, dag_run.logical_date) if time is not None), default=None)


@dataclass(frozen=True)
class StartRequest:
    """
    The one import that a task instance starts until the task is cleared.

    If the import failed or was deleted, a retry starts another one: the next *generation*.

    :param name: the name of the import.
    :param import_url: the URL of the file.
    :param task_instance_key: values that identify the task instance and change when the task is cleared.
    :param try_number: Airflow's number of the current attempt, which is also the maximum number of generations.
    :param due: when the Dag run was due; None if Airflow does not know.
    """

    name: str
    import_url: str
    task_instance_key: tuple[str | float, ...]
    try_number: int
    due: datetime | None = None

    @classmethod
    def from_context(cls, context: Mapping[str, Any], name: str, import_url: str) -> Self | None:
        """
        Return the start request of a task instance.

        :param context: the task's context.
        :param name: the rendered name of the import.
        :param import_url: the rendered URL of the file.
        :return: the request; None if Airflow does not know when the Dag run started. Without that date, the token would
            be the same for a run that was deleted and created again, and for the same run of another Airflow that uses
            the same account.
        :raises ValueError: the service does not accept the name or the URL.
        """
        name, import_url = check_name(name), check_import_url(import_url)
        ti = context["ti"]
        dag_run = context["dag_run"]
        # dag.test(), which "airflow dags test" calls, sets the start date of a run to its logical date.
        if dag_run.start_date in (None, dag_run.logical_date):
            return None
        started = dag_run.start_date.timestamp()
        # max_tries is constant over the retries of a task. A clear sets it to the number of attempts so far plus
        # retries, which is another number unless retries has been lowered by exactly the attempts since the last clear.
        task_instance_key = (ti.dag_id, ti.run_id, started, ti.task_id, ti.map_index, ti.max_tries)
        return cls(name, import_url, task_instance_key, ti.try_number, due_time_of_run(dag_run))

    def token(self, generation: int) -> str:
        """
        Return the client request token of a generation.

        :param generation: 0 for the first import.
        """
        return mark_due(self._digest(generation), self.due)

    def _digest(self, generation: int) -> str:
        # AWS stores the tokens: a change here would make a retry start its import a second time.
        parts = [*self.task_instance_key, self.name, self.import_url, generation]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def start(self, hook: AdsHook, log: Any) -> ImportTask:
        """
        Start the import, or adopt the one that an earlier attempt started, unless it failed or was deleted.

        :param hook: the hook that calls the service.
        :param log: the task's logger.
        :return: the new or adopted import.
        :raises AdsCallError: a call failed.
        """
        generation = 0
        if self.try_number > 1:
            import_tasks = list(hook.list_import_tasks(name=self.name))
            if latest := self.latest(import_tasks):
                generation, task = latest
                if not _is_lost(task):
                    log.warning(
                        "Import %s. Adopted: an earlier attempt of this task started it%s. To import again, clear the "
                        "task",
                        task,
                        _age(task.import_request_time),
                    )
                    return task
                log.info("Import %s. An earlier attempt of this task started it. Starting another import", task)
                generation += 1
            else:
                for task in import_tasks:
                    if task.import_url == self.import_url and statuses.is_running(task.status):
                        log.warning(
                            "Import %s. It has the same name and file, but it was started by another task, or by this "
                            "one before it was cleared",
                            task,
                        )
        task = hook.start_import_task(self.name, self.import_url, self.token(generation))
        # The service can return a failed or deleted import that it did not list.
        while _is_lost(task) and generation < self.try_number - 1:
            generation += 1
            task = hook.start_import_task(self.name, self.import_url, self.token(generation))
        if _is_lost(task):
            log.warning(
                "Import %s. AWS returned this import, which this task started before, and started no other. To import "
                "again, clear the task",
                task,
            )
        return task

    def latest(self, import_tasks: Iterable[ImportTask]) -> tuple[int, ImportTask] | None:
        """
        Return the generation and the import that this request started last, or None.

        :param import_tasks: the imports with the same name.
        """
        generations = {self.token(generation): generation for generation in range(self.try_number)}
        # Version 0.1.0 sent tokens without a due time.
        generations |= {self._digest(generation): generation for generation in range(self.try_number)}
        found = [
            (generations[task.client_request_token], task)
            for task in import_tasks
            if task.client_request_token in generations
        ]
        return max(found, key=lambda each: each[0], default=None)


def _is_lost(task: ImportTask) -> bool:
    return statuses.is_failed(task.status) or statuses.is_deletion(task.status)


def _age(time: datetime | None) -> str:
    return "" if time is None else f" {timedelta(seconds=int((datetime.now(UTC) - time).total_seconds()))} ago"
