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
from typing import Any, Self

from airflow_provider_ads.discovery.import_task import ImportTask

__all__ = ["Intention"]


@dataclass(frozen=True)
class Intention:
    """
    One import that somebody wants: what a task instance is to start until it is cleared.

    An import that failed is followed by another one for the same intention: the next *generation*.

    :param parts: what the tokens are derived from.
    :param tries: how often the task was tried, this try included; there are no more generations than tries.
    """

    parts: tuple[str | int, ...]
    tries: int

    @classmethod
    def of(cls, context: Mapping[str, Any], retries: int, name: str, import_url: str) -> Self | None:
        """
        Tell what a task instance is to start.

        :param context: the task's context.
        :param retries: the ``retries`` of the task.
        :param name: the rendered name of the import.
        :param import_url: the rendered URL of the file.
        :return: the intention; None if Airflow does not know when the Dag run has started, as without that date the
            same run of another Airflow on the same account could not be told apart.
        """
        ti = context["ti"]
        started = context["dag_run"].start_date
        if started is None:
            return None
        # Constant over the retries of a task; a clear allows more tries, and is a new intention.
        epoch = ti.max_tries - retries
        parts = (ti.dag_id, ti.run_id, started.timestamp(), ti.task_id, ti.map_index, name, import_url, epoch)
        return cls(parts, ti.try_number)

    def token(self, generation: int) -> str:
        """
        Derive the client request token of a generation.

        :param generation: 0 for the first import.
        """
        return hashlib.sha256(json.dumps([*self.parts, generation]).encode()).hexdigest()

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
