"""
Poll import tasks and export tasks from the triggerer's event loop: many waits share one client.

A trigger passes the tasks it waits for and its interval to :func:`poll_import_tasks` or :func:`poll_export_tasks`, or a
name to :func:`poll_newest_import_task`, and receives one :class:`Poll` after another. The trigger and the worker
decide what a poll means to the task.

All waits of an event loop that reach AWS in the same way share one connection and one client. Waits of the same
:class:`PollKind` also share a poller, which makes one call for up to 100 tasks whose waits are due at about the same
time. Waits by name are a separate kind, because one call cannot filter by both ids and names. A poller belongs to
no task. It logs nothing: its lines would appear in the log of whichever task happened to start it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextvars import Context
from copy import copy
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_ads.clients import AwsSettings, SharedClient, uncancelled
from airflow_provider_ads.discovery.export_task import ExportTask
from airflow_provider_ads.discovery.import_task import ImportTask, newest_by_name
from airflow_provider_ads.discovery.limits import VALUES_PER_FILTER
from airflow_provider_ads.discovery.parameters import filter_parameters, summarize_ids
from airflow_provider_ads.discovery.record import TaskRecord
from airflow_provider_ads.discovery.verdicts import MISSING_TASK_POLLS
from airflow_provider_ads.exceptions import (
    AdsCallError,
    ExportTaskNotFound,
    ImportTaskNotFound,
    call_error,
    connection_changed_error,
    is_transient,
)

__all__ = [
    "LONGEST_BACK_OFF",
    "LONGEST_SILENCE",
    "Poll",
    "PollKind",
    "poll_export_tasks",
    "poll_import_tasks",
    "poll_newest_import_task",
]

#: Maximum number of seconds between two polls during an outage, unless the poll interval is longer.
LONGEST_BACK_OFF = 60.0

#: The range of random factors for each interval, so that waits that started together drift apart.
JITTER = (0.97, 1.0)

#: The fraction of its interval by which a wait may be polled early, if a call for other waits has room.
COALESCENCE = 0.1

#: Seconds after which a wait receives a poll even if nothing has changed.
LONGEST_SILENCE = 600.0

#: Error codes of calls that might have failed because of a single id.
BAD_ID_CODES = frozenset({"InvalidParameterException", "InvalidParameterValueException"})


@dataclass(frozen=True)
class Poll:
    """
    The state of a wait after one poll.

    :param tasks: the tasks as last described, by their id or by the requested name; without those that were never
        listed. They are import tasks or export tasks, depending on the wait.
    :param error: the reason why this poll failed although the next one might succeed; None if it succeeded.
    """

    tasks: Mapping[str, Any]
    error: AdsCallError | None = None


@dataclass(frozen=True, eq=False)
class PollKind:
    """
    The call that polls for one kind of wait, and how to read its response.

    :param operation: the operation.
    :param paginator: the name of its paginator.
    :param parameters: returns the parameters of the call for up to 100 ids or names.
    :param read: returns the tasks of the response by id or name.
    :param summarize: formats ids or names for a message.
    """

    operation: str
    paginator: str
    parameters: Callable[[Sequence[str]], dict[str, Any]]
    read: Callable[[Mapping[str, Any]], dict[str, TaskRecord]]
    summarize: Callable[[Sequence[str]], str]


#: Import tasks by their ids.
IMPORT_TASKS = PollKind(
    "DescribeImportTasks",
    "describe_import_tasks",
    filter_parameters,
    lambda result: {task["importTaskId"]: ImportTask.from_response(task) for task in result.get("tasks", [])},
    summarize_ids,
)

#: The newest import task of each name.
NEWEST_IMPORT_TASKS = PollKind(
    "DescribeImportTasks",
    "describe_import_tasks",
    lambda names: filter_parameters(names, "NAME"),
    lambda result: {**newest_by_name(ImportTask.from_response(task) for task in result.get("tasks", []))},
    lambda names: f"imports named {names[0]!r}",
)

#: Export tasks by their ids.
EXPORT_TASKS = PollKind(
    "DescribeExportTasks",
    "describe_export_tasks",
    lambda export_ids: {"exportIds": list(export_ids)},
    lambda result: {task["exportId"]: ExportTask.from_response(task) for task in result.get("exportsInfo", [])},
    summarize_ids,
)


def poll_import_tasks(
    settings: AwsSettings,
    import_task_ids: Sequence[str],
    poll_interval: float,
    is_running: Callable[[str | None], bool],
    unlisted_is_done: bool = False,
) -> AsyncGenerator[Poll, None]:
    """
    Poll import tasks until none of them is running, and yield what has changed.

    The first poll comes one interval after the start, because the caller has just described the tasks itself. While the
    service cannot be polled (throttling, server errors, no connection), the interval doubles with every poll up to
    :data:`LONGEST_BACK_OFF`. Expired credentials are read
    again once before the error counts. Once a poll has succeeded, unavailable credentials are treated as an outage.

    :param settings: how to reach AWS.
    :param import_task_ids: the tasks, any number of them.
    :param poll_interval: seconds between two polls.
    :param is_running: returns True for a status that is polled again.
    :param unlisted_is_done: True if a task that the service does not list has ended, for example because it was deleted
        with its history.
    :return: the polls that differ from the previous one, that failed, or that are the first one for
        :data:`LONGEST_SILENCE`. The last one is the one after which no task is running.
    :raises AdsCallError: the service refused, and polling again would not help.
    :raises ImportTaskNotFound: the service did not list a task in several consecutive polls.
    """
    return _poll_ids(
        IMPORT_TASKS, settings, import_task_ids, poll_interval, is_running, ImportTaskNotFound, unlisted_is_done
    )


def poll_export_tasks(
    settings: AwsSettings, export_ids: Sequence[str], poll_interval: float, is_running: Callable[[str | None], bool]
) -> AsyncGenerator[Poll, None]:
    """
    Poll export tasks as :func:`poll_import_tasks` polls import tasks.

    :param settings: how to reach AWS.
    :param export_ids: the tasks, any number of them.
    :param poll_interval: seconds between two polls.
    :param is_running: returns True for a status that is polled again.
    :raises AdsCallError: the service refused, and polling again would not help.
    :raises ExportTaskNotFound: the service did not list a task in several consecutive polls.
    """
    return _poll_ids(EXPORT_TASKS, settings, export_ids, poll_interval, is_running, ExportTaskNotFound)


async def _poll_ids(
    kind: PollKind,
    settings: AwsSettings,
    ids: Sequence[str],
    poll_interval: float,
    is_running: Callable[[str | None], bool],
    not_found: Callable[[str, str | None], AdsCallError],
    unlisted_is_done: bool = False,
) -> AsyncGenerator[Poll, None]:
    seen: dict[str, TaskRecord] = {}
    misses: dict[str, int] = {}
    failures = 0
    has_polled = has_replaced = False
    identity: tuple[str | None, ...] | None = None
    waiting = list(dict.fromkeys(ids))
    poller = _join(settings, kind)
    try:
        while waiting:
            try:
                # Report the end of an outage, even if nothing else has changed.
                known = {} if failures or misses else seen
                client_before, identity = poller.client.opened, identity or poller.client.identity
                found = await poller.poll(waiting, _interval(poll_interval, failures), known)
            except AdsCallError as error:
                if not error.is_outage(has_polled):
                    raise
                failures += 1
                yield Poll(dict(seen), error)
                continue
            failures = 0
            has_polled = True
            identity = identity or poller.client.identity
            seen.update(found)
            if unlisted_is_done and set(waiting) - set(found):
                if poller.client.identity != identity:
                    raise connection_changed_error(waiting)
                for id_ in set(waiting) - set(found):
                    seen.pop(id_, None)
                waiting = [id_ for id_ in waiting if id_ in found]
            misses = {id_: misses.get(id_, 0) + 1 for id_ in waiting if id_ not in found}
            missing = [id_ for id_, count in misses.items() if count >= MISSING_TASK_POLLS]
            if missing:
                # The connection might belong to another account by now.
                if has_replaced or not await poller.client.replace(client_before):
                    raise not_found(missing[0], poller.client.region_name)
                has_replaced = True
            waiting = [id_ for id_ in waiting if id_ not in found or is_running(found[id_].status)]
            yield Poll(dict(seen))
    finally:
        await poller.leave()


async def poll_newest_import_task(
    settings: AwsSettings, name: str, poll_interval: float, is_running: Callable[[str | None], bool]
) -> AsyncGenerator[Poll, None]:
    """
    Poll the newest import task with a name until it is no longer running, and yield what has changed.

    Intervals and polls are those of :func:`poll_import_tasks`. As long as no task has the name, polling continues, and
    a newer task replaces the one before it.

    :param settings: how to reach AWS.
    :param name: the exact name.
    :param poll_interval: seconds between two polls.
    :param is_running: returns True for a status that is polled again.
    :raises AdsCallError: the service refused, and polling again would not help.
    """
    newest: dict[str, TaskRecord] = {}
    known: dict[str, TaskRecord | None] = {}
    failures = 0
    has_polled = False
    poller = _join(settings, NEWEST_IMPORT_TASKS)
    try:
        while name not in newest or is_running(newest[name].status):
            try:
                newest = await poller.poll([name], _interval(poll_interval, failures), known)
            except AdsCallError as error:
                if not error.is_outage(has_polled):
                    raise
                failures += 1
                known = {}
                yield Poll(newest, error)
            else:
                failures = 0
                has_polled = True
                known = {name: newest.get(name)}
                yield Poll(newest)
    finally:
        await poller.leave()


def _interval(poll_interval: float, failures: int) -> float:
    return max(poll_interval, min(poll_interval * 2.0 ** min(failures, 30), LONGEST_BACK_OFF))


@dataclass(eq=False, slots=True)
class _PendingPoll:
    """
    The next poll of one wait.

    It gets a result only if a task has changed. Most calls find no changes, and waking a hundred waits for nothing
    would take longer than the call. Times are those of the loop's clock.

    :param values: the ids of the tasks, or names.
    :param interval: seconds between two calls.
    :param known: the tasks that the wait already knows; None for a value that has no task.
    :param result_due: when it gets a result even without changes.
    :param result: the listed tasks by id or name.
    """

    values: Sequence[str]
    interval: float
    known: Mapping[str, TaskRecord | None]
    result_due: float
    result: asyncio.Future[dict[str, TaskRecord]]
    ready: float = 0.0
    due: float = 0.0

    def schedule(self, now: float) -> None:
        """Set the earliest time for the next call, and the time at which it is due."""
        self.due = now + self.interval * random.uniform(*JITTER)
        self.ready = self.due - self.interval * COALESCENCE

    def resolve(self, found: Mapping[str, TaskRecord], failed: Mapping[str, BaseException], now: float) -> bool:
        """Set the result if a task has changed; return True if the poll has ended."""
        if self.result.done():
            return True
        error = next((failed[value] for value in self.values if value in failed), None) if failed else None
        if isinstance(error, asyncio.CancelledError):
            self.result.cancel()
        elif error is not None:
            self.result.set_exception(error)
        elif now >= self.result_due or any(found.get(value) != self.known.get(value, ...) for value in self.values):
            self.result.set_result({value: found[value] for value in self.values if value in found})
        return self.result.done()


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, PollKind], _Poller]] = WeakKeyDictionary()


def _join(settings: AwsSettings, kind: PollKind) -> _Poller:
    """Add a wait to the poller of a kind for these settings on this loop; the first wait creates it."""
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    key = (settings.key, kind)
    if key not in pollers:
        pollers[key] = _Poller(settings, kind, lambda: pollers.pop(key))
    poller = pollers[key]
    poller.waits += 1
    return poller


class _Poller:
    """
    Make the calls for all waits of one kind.

    :param settings: how to reach AWS.
    :param kind: the kind of the waits.
    :param on_last_leave: called when the last wait has left.
    """

    def __init__(self, settings: AwsSettings, kind: PollKind, on_last_leave: Callable[[], Any]) -> None:
        self.waits = 0
        self.client = SharedClient.join(settings)
        self._settings = settings
        self._kind = kind
        self._on_last_leave = on_last_leave
        self._pending: set[_PendingPoll] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._calling: asyncio.Task[None] | None = None

    async def poll(
        self, values: Sequence[str], interval: float, known: Mapping[str, TaskRecord | None]
    ) -> dict[str, TaskRecord]:
        """
        Poll every interval, together with other waits that are due at about the same time, until a task changes.

        :param values: the ids of the tasks, or names.
        :param interval: seconds.
        :param known: the tasks that the wait already knows.
        :return: the tasks that the service lists, by id or name.
        :raises AdsCallError: the call failed.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        pending = _PendingPoll(values, interval, known, now + LONGEST_SILENCE, loop.create_future())
        pending.schedule(now)
        self._pending.add(pending)
        self._wake_at(pending.due)
        try:
            return await pending.result
        except (ClientError, BotoCoreError) as error:
            raise call_error(
                error,
                self._kind.operation,
                self._kind.summarize(values),
                self.client.region_name,
                self._settings.aws_conn_id,
                **self.client.error_details,
            ) from error
        except AdsCallError as error:
            # Many waits share the error, and each raise would extend its traceback.
            raise copy(error) from None
        finally:
            # Stop polling for a wait that was cancelled.
            self._pending.discard(pending)
            if pending.result.done() and not pending.result.cancelled():
                pending.result.exception()  # otherwise asyncio logs that the exception was never retrieved

    async def leave(self) -> None:
        """Remove a wait; the last one closes the client."""
        self.waits -= 1
        if not self.waits:
            self._on_last_leave()
            await uncancelled(self._close())

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._calling is not None:
            self._calling.cancel()
            await asyncio.wait({self._calling})
        await self.client.leave()

    def _wake_at(self, due: float) -> None:
        # Only one call is made at a time, so that the call after a slow one covers more waits.
        if self._calling is None and (self._timer is None or due < self._timer.when()):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_at(due, self._start_calls)

    def _start_calls(self) -> None:
        self._timer = None
        # A new context, because in a trigger's context log lines would go to the log of that trigger's task.
        self._calling = asyncio.get_running_loop().create_task(self._make_calls(), context=Context())
        self._calling.add_done_callback(self._on_calls_ended)

    def _on_calls_ended(self, _: asyncio.Task[None]) -> None:
        self._calling = None
        if self._pending:
            self._wake_at(min(pending.due for pending in self._pending))

    async def _make_calls(self) -> None:
        while batch := self._take_due():
            values = list(dict.fromkeys(value for pending in batch for value in pending.values))
            found: dict[str, TaskRecord] = {}
            failed: dict[str, BaseException] = {}
            try:
                for start in range(0, len(values), VALUES_PER_FILTER):
                    await self._describe_all(values[start : start + VALUES_PER_FILTER], found, failed)
            except BaseException as error:
                failed = dict.fromkeys(values, error)
                if not isinstance(error, Exception):
                    raise
            finally:
                now = asyncio.get_running_loop().time()
                for pending in batch:
                    if not pending.resolve(found, failed, now):
                        pending.schedule(now)
                        self._pending.add(pending)

    def _take_due(self) -> list[_PendingPoll]:
        """Take as many ready polls as fit into one call, the most urgent first; an empty list if none is due."""
        now = asyncio.get_running_loop().time()
        ready = sorted((pending for pending in self._pending if pending.ready <= now), key=attrgetter("due"))
        if not ready or ready[0].due > now:
            return []
        sizes = accumulate(len(pending.values) for pending in ready)
        # A poll that is larger than one call is taken alone.
        count = max(1, sum(size <= VALUES_PER_FILTER for size in sizes))
        self._pending.difference_update(ready[:count])
        return ready[:count]

    async def _describe_all(
        self, values: Sequence[str], found: dict[str, TaskRecord], failed: dict[str, BaseException]
    ) -> None:
        try:
            found.update(await self._describe(values))
        except (ClientError, BotoCoreError) as error:
            if _code(error) not in BAD_ID_CODES or len(values) == 1:
                failed.update(dict.fromkeys(values, error))
                return
            # Find the bad id, so that it does not fail the others.
            middle = len(values) // 2
            await self._describe_all(values[:middle], found, failed)
            await self._describe_all(values[middle:], found, failed)

    async def _describe(self, values: Sequence[str]) -> dict[str, TaskRecord]:
        async with self.client.use() as opened:
            try:
                return await self._call(opened.client, values)
            except (ClientError, BotoCoreError) as error:
                # The connection might have other credentials by now.
                if is_transient(error) or _code(error) in BAD_ID_CODES or not await self.client.replace(opened):
                    raise
        async with self.client.use() as opened:
            return await self._call(opened.client, values)

    async def _call(self, client: Any, values: Sequence[str]) -> dict[str, TaskRecord]:
        pages = client.get_paginator(self._kind.paginator).paginate(
            **self._kind.parameters(values), PaginationConfig={"PageSize": VALUES_PER_FILTER}
        )
        return self._kind.read(await pages.build_full_result())


def _code(error: ClientError | BotoCoreError) -> str:
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
