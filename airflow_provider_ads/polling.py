"""
Poll import tasks from the triggerer's event loop.

A trigger says which tasks it waits for and how often to look, and :func:`poll_import_tasks` gives it one
:class:`Poll` after the other. What a poll means to the waiting task is not decided here.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.limits import IMPORT_TASK_PAGE_SIZE, VALUES_PER_FILTER
from airflow_provider_ads.exceptions import (
    EXPIRED_CREDENTIALS_CODES,
    AdsCallError,
    ImportTaskNotFound,
    call_error,
)
from airflow_provider_ads.hooks import MISSING_TASK_LOOKS, AdsHook, describe_parameters, name_some

__all__ = [
    "LONGEST_BACK_OFF",
    "LONGEST_OUTAGE",
    "AwsSettings",
    "Poll",
    "check_poll_interval",
    "poll_import_tasks",
]

T = TypeVar("T")

#: Seconds between two polls, at most, while the service cannot be asked (or the poll interval, if longer).
LONGEST_BACK_OFF = 60.0

#: Seconds for which a wait without a deadline puts up with a service that cannot be asked.
LONGEST_OUTAGE = 3_600.0

#: By how much a poll may come early: waits that started together drift apart, none is polled late.
JITTER = 0.1


@dataclass(frozen=True)
class AwsSettings:
    """
    How AWS is reached: what a hook is made of, and what a trigger keeps of it.

    :param aws_conn_id: the Airflow connection; None for boto3's own credentials.
    :param region_name: the region; None for that of the connection.
    :param verify: whether certificates are verified, or the path of a CA bundle.
    :param botocore_config: arguments of :class:`botocore.config.Config`.
    """

    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    botocore_config: dict[str, Any] | None


@dataclass(frozen=True)
class Poll:
    """
    What is known after one look at the tasks of a wait.

    :param import_tasks: the tasks by their id, as last seen; one that was never seen is not in it.
    :param error: why this look failed, though the next may not; None when it succeeded.
    """

    import_tasks: Mapping[str, ImportTask]
    error: AdsCallError | None = None


def check_poll_interval(poll_interval: float | timedelta) -> float:
    """
    Return a poll interval in seconds.

    :param poll_interval: seconds, or a :class:`~datetime.timedelta`.
    :raises ValueError: it is not a finite number of more than 0 seconds.
    """
    seconds = poll_interval.total_seconds() if isinstance(poll_interval, timedelta) else poll_interval
    if not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds <= 0:
        raise ValueError(f"The poll interval must be more than 0 seconds; got {poll_interval!r}")
    return float(seconds)


async def poll_import_tasks(
    settings: AwsSettings,
    import_task_ids: Sequence[str],
    poll_interval: float,
    running_statuses: Collection[str],
) -> AsyncGenerator[Poll, None]:
    """
    Look at import tasks until all have left the running statuses.

    The first look comes one interval after the start, because the caller has just looked itself. While the
    service cannot be asked (throttling, server errors, no connection) the interval doubles with every look, up
    to :data:`LONGEST_BACK_OFF`; expired credentials are read again once before they count as an error.

    :param settings: how AWS is reached.
    :param import_task_ids: the tasks, any number.
    :param poll_interval: seconds between two looks.
    :param running_statuses: the statuses in which a task is looked at again.
    :return: what each look found; ends after the one in which the last task had left the running statuses.
    :raises AdsCallError: the service refused; looking again would not help.
    :raises ImportTaskNotFound: the service did not list a task in several looks one after another.
    """
    seen: dict[str, ImportTask] = {}
    misses: Counter[str] = Counter()
    failures = 0
    waiting = list(dict.fromkeys(import_task_ids))
    connection = _Connection(settings)
    try:
        while waiting:
            await asyncio.sleep(_delay(poll_interval, failures))
            try:
                found = await connection.describe(waiting)
            except AdsCallError as error:
                if not error.transient:
                    raise
                failures += 1
                yield Poll(dict(seen), error)
                continue
            failures = 0
            seen.update(found)
            for import_task_id in waiting:
                misses[import_task_id] = 0 if import_task_id in found else misses[import_task_id] + 1
                if misses[import_task_id] >= MISSING_TASK_LOOKS:
                    raise ImportTaskNotFound(import_task_id, connection.region_name)
            waiting = [
                import_task_id
                for import_task_id in waiting
                if import_task_id not in found or found[import_task_id].status in running_statuses
            ]
            yield Poll(dict(seen))
    finally:
        await connection.close()


def _delay(poll_interval: float, failures: int) -> float:
    backed_off = max(poll_interval, min(poll_interval * 2.0 ** min(failures, 30), LONGEST_BACK_OFF))
    return backed_off * random.uniform(1 - JITTER, 1)


class _Connection:
    """An aiobotocore client, made when it is first needed and again when its credentials have expired."""

    def __init__(self, settings: AwsSettings) -> None:
        self.region_name = settings.region_name
        self._settings = settings
        self._context: Any = None
        self._client: Any = None

    async def describe(self, import_task_ids: Sequence[str]) -> dict[str, ImportTask]:
        try:
            return await self._describe(import_task_ids)
        except AdsCallError as error:
            if error.code not in EXPIRED_CREDENTIALS_CODES:
                raise
            await self.close()
            return await self._describe(import_task_ids)

    async def _describe(self, import_task_ids: Sequence[str]) -> dict[str, ImportTask]:
        tasks: list[dict[str, Any]] = []
        try:
            if self._client is None:
                await _uncancelled(self._open())
            for start in range(0, len(import_task_ids), VALUES_PER_FILTER):
                pages = self._client.get_paginator("describe_import_tasks").paginate(
                    **describe_parameters(import_task_ids[start : start + VALUES_PER_FILTER]),
                    PaginationConfig={"PageSize": IMPORT_TASK_PAGE_SIZE},
                )
                tasks += (await pages.build_full_result()).get("tasks", [])
        except (ClientError, BotoCoreError) as error:
            about = name_some(import_task_ids)
            raise call_error(
                error, "DescribeImportTasks", about, self.region_name, self._settings.aws_conn_id
            ) from error
        return {task["importTaskId"]: ImportTask.from_response(task) for task in tasks}

    async def _open(self) -> None:
        # The look-up of an Airflow connection blocks, and from any other thread than asgiref's it can end the
        # triggerer of Airflow 3.0 and 3.1.
        self._context = await sync_to_async(self._client_context)()
        self._client = await self._context.__aenter__()
        self.region_name = self._client.meta.region_name

    def _client_context(self) -> Any:
        hook = AdsHook(
            aws_conn_id=self._settings.aws_conn_id,
            region_name=self._settings.region_name,
            verify=self._settings.verify,
            config=self._settings.botocore_config,
        )
        self.region_name = hook.region_name
        config = hook.config
        if config.retries is None:  # type: ignore[attr-defined]  # set by botocore from its own option table
            # botocore's retries inside a poll would multiply the calls of all waits in an outage.
            config = config.merge(Config(retries={"total_max_attempts": 1}))
        return hook.get_client_type(region_name=hook.region_name, config=config, deferrable=True)

    async def close(self) -> None:
        if self._client is not None:
            self._client = None
            await _uncancelled(self._context.__aexit__(None, None, None))


async def _uncancelled(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run something to its end also when the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(coroutine)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise
