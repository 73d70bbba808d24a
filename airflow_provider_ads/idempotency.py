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
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.import_table import count_imports, format_table
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.parameters import check_import_url, check_name
from airflow_provider_ads.discovery.retention import mark_due
from airflow_provider_ads.hooks import AdsHook

__all__ = ["Start", "StartRequest", "due_time_of_run", "is_failed_or_deleted", "log_starts", "start_all"]


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
        # Airflow 3.4 runs a task of a loop once for each iteration, with the same map index.
        iteration = (str(ti.region_id), ti.region_index) if "loop" in context else ()
        task_instance_key = (ti.dag_id, ti.run_id, started, ti.task_id, ti.map_index, ti.max_tries, *iteration)
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

    def start(self, hook: AdsHook, listed: Iterable[ImportTask]) -> Start:
        """
        Start the import, or adopt the one that an earlier attempt started, unless it failed or was deleted.

        :param hook: the hook that calls the service.
        :param listed: the imports with the same name; empty in the first attempt.
        :return: the new or adopted import.
        :raises AdsCallError: the call failed.
        """
        generation = 0
        earlier = None
        if latest := self.latest(listed):
            generation, earlier = latest
            if not is_failed_or_deleted(earlier):
                return Start(earlier, earlier)
            generation += 1
        task = hook.start_import_task(self.name, self.import_url, self.token(generation))
        # The service can return a failed or deleted import that it did not list.
        while is_failed_or_deleted(task) and generation < self.try_number - 1:
            generation += 1
            task = hook.start_import_task(self.name, self.import_url, self.token(generation))
        others = () if earlier else tuple(each for each in listed if self._is_same_file(each))
        return Start(task, earlier, others)

    def _is_same_file(self, task: ImportTask) -> bool:
        return task.import_url == self.import_url and statuses.is_running(task.status)

    def has_started(self, task: ImportTask) -> bool:
        """
        Return True if this task instance has started an import since it was last cleared, for any name and file.

        :param task: the import, as the service lists it.
        """
        if task.name is None or task.import_url is None:
            return False
        return replace(self, name=task.name, import_url=task.import_url).latest([task]) is not None

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


@dataclass(frozen=True)
class Start:
    """
    The import of a start request.

    :param import_task: the import that was started or adopted.
    :param earlier: the import that an earlier attempt started: the same one if it was adopted, or one that failed or
        was deleted.
    :param others: running imports with the same name and file that the request did not start.
    """

    import_task: ImportTask
    earlier: ImportTask | None = None
    others: tuple[ImportTask, ...] = ()

    @property
    def is_adopted(self) -> bool:
        """True if an earlier attempt started the import."""
        return self.earlier is self.import_task

    @property
    def outcome(self) -> str:
        """The outcome of the start, for a table."""
        if self.is_adopted:
            return "adopted"
        if self.is_failed_or_deleted:
            return "not started"
        return "started again" if self.earlier else "started"

    @property
    def is_failed_or_deleted(self) -> bool:
        """True if AWS returned an import that has failed or was deleted, instead of starting a new one."""
        return is_failed_or_deleted(self.import_task)

    def log_to(self, log: Any, region_name: str | None) -> None:
        """
        Log the import and everything about its start that a user might not expect.

        :param log: the task's logger.
        :param region_name: the region in which the import runs.
        """
        for task in self.others:
            log.warning(
                "%s.\nAnother task started this import with the same name and file, or this task did before it was "
                "cleared",
                task,
            )
        if self.earlier and not self.is_adopted:
            log.info("%s. Started by an earlier attempt of this task", self.earlier)
        line = self.import_task.describe(f"{self.outcome} in {region_name}", with_url=True)
        if self.is_adopted:
            log.warning(
                "%s.\nTo import again, clear the task: an earlier attempt of it started this import%s",
                line,
                "" if self.import_task.age is None else f" {self.import_task.age} ago",
            )
        elif self.is_failed_or_deleted:
            log.warning(
                "%s.\nTo import again, clear the task: AWS returned this import, which the task had started "
                "earlier, instead of starting a new one",
                line,
            )
        else:
            log.info("%s", line)


def log_starts(starts: Sequence[Start], total: int, is_adoptable: bool, log: Any) -> None:
    """
    Log the starts of several imports as a table under their total, the adopted ones last.

    :param starts: the imports that were started or adopted so far.
    :param total: the number of imports that the task is to start.
    :param is_adoptable: True if a retry adopts what was started.
    :param log: the task's logger.
    """
    outcomes = Counter(start.outcome for start in starts)
    started, adopted = outcomes["started"] + outcomes["started again"], outcomes["adopted"]
    summary = f"{started} of {total} imports started"
    if adopted:
        summary += (
            f", {adopted} adopted, which an earlier attempt of this task started. To import those again, clear the task"
        )
    if left := total - len(starts):
        retry = "starts them and adopts the others" if is_adoptable else "starts every import again"
        summary += f". {left} not started; a retry {retry}"
    # The table shows only the first rows, and the user most likely knows about the adopted imports.
    in_order = sorted(starts, key=lambda start: start.is_adopted)
    table = format_table([start.import_task for start in in_order], [start.outcome for start in in_order])
    level = logging.WARNING if adopted or left else logging.INFO
    log.log(level, "%s", "\n".join(filter(None, [summary, table])))
    lost = [start.import_task for start in starts if start.is_failed_or_deleted]
    if lost:
        log.warning(
            "%s not started: AWS returned these imports, which this task had started earlier, instead of starting new "
            "ones. To import again, clear the task\n%s",
            len(lost),
            format_table(lost),
        )
    others = [task for start in starts for task in start.others]
    if others:
        log.warning(
            "Running: %s with the same name and file as new ones. Another task started them, or this task did before "
            "it was cleared\n%s",
            count_imports(others),
            format_table(others),
        )


def start_all(requests: Sequence[StartRequest], hook: AdsHook) -> Iterator[Start]:
    """
    Start or adopt the import of each request, in the order given.

    :param requests: requests of one task instance, each with another name.
    :param hook: the hook that calls the service.
    :return: the imports, each as soon as it has been started.
    :raises AdsCallError: a call failed; the imports that were already returned are running.
    """
    listed: dict[str | None, list[ImportTask]] = {}
    if requests[0].try_number > 1:
        for task in hook.list_import_tasks(name=[request.name for request in requests]):
            listed.setdefault(task.name, []).append(task)
    for request in requests:
        yield request.start(hook, listed.get(request.name, []))


def is_failed_or_deleted(task: ImportTask) -> bool:
    """Return True if an import has failed or was deleted, so that its file is to be imported again."""
    return statuses.is_failed(task.status) or statuses.is_deletion(task.status)
