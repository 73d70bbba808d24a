"""
Poll import tasks from the triggerer's event loop: many waits, one client.

A trigger says which tasks it waits for and how often to look, and :func:`poll_import_tasks` gives it one
:class:`Poll` after the other, or :func:`poll_newest_import_task` if it waits for a name. What a poll means to the
waiting task is not decided here.

All waits of an event loop that reach AWS in the same way share a poller: one connection, one client, and calls that ask
for 100 tasks at a time, since waits whose looks are due at about the same time share a call. Waits for names share
another one: no call can ask for the tasks of some ids and those of some names. The poller belongs to none of them. It
logs nothing, because a line of its would go to the log of whichever task happened to start it.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from itertools import accumulate
from operator import attrgetter
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_ads.discovery.import_task import (
    MISSING_TASK_LOOKS,
    ImportTask,
    describe_parameters,
    name_some,
    newest_by_name,
)
from airflow_provider_ads.discovery.limits import IMPORT_TASK_PAGE_SIZE, VALUES_PER_FILTER
from airflow_provider_ads.exceptions import (
    EXPIRED_CREDENTIALS_CODES,
    AdsCallError,
    ImportTaskNotFound,
    call_error,
)

__all__ = [
    "LONGEST_BACK_OFF",
    "LONGEST_OUTAGE",
    "LONGEST_SILENCE",
    "AwsSettings",
    "Poll",
    "check_poll_interval",
    "poll_import_tasks",
    "poll_newest_import_task",
]

T = TypeVar("T")

#: Seconds between two polls, at most, while the service cannot be asked (or the poll interval, if longer).
LONGEST_BACK_OFF = 60.0

#: Seconds for which a wait without a deadline puts up with a service that cannot be asked.
LONGEST_OUTAGE = 3_600.0

#: After which part of its interval a wait looks again, by chance, so that waits which started together drift apart.
JITTER = (0.97, 1.0)

#: Which part of its interval earlier a wait looks, if there is room in a call that is made for others.
COALESCENCE = 0.1

#: Seconds after which a wait is told what is known even if nothing has changed.
LONGEST_SILENCE = 600.0

#: Codes of a call that one of its ids may have spoilt for the others.
BAD_ID_CODES = frozenset({"InvalidParameterException", "InvalidParameterValueException"})


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

    :param import_tasks: the tasks by their id, or by the name that was asked for, as last seen; one that was never
        seen is not in it.
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
    may_vanish: bool = False,
) -> AsyncGenerator[Poll, None]:
    """
    Look at import tasks until all have left the running statuses, and say what has changed.

    The first look comes one interval after the start, because the caller has just looked itself. While the
    service cannot be asked (throttling, server errors, no connection) the interval doubles with every look, up
    to :data:`LONGEST_BACK_OFF`; expired credentials are read again once before they count as an error.

    :param settings: how AWS is reached.
    :param import_task_ids: the tasks, any number.
    :param poll_interval: seconds between two looks.
    :param running_statuses: the statuses in which a task is looked at again.
    :param may_vanish: whether a task that the service does not list, like one that is deleted with its history, has
        left them too.
    :return: what a look found that differs from the one before, failed, or is the first one for
        :data:`LONGEST_SILENCE`; ends after the one in which the last task had left the running statuses.
    :raises AdsCallError: the service refused; looking again would not help.
    :raises ImportTaskNotFound: the service did not list a task in several looks one after another.
    """
    seen: dict[str, ImportTask] = {}
    misses: dict[str, int] = {}
    failures = 0
    waiting = list(dict.fromkeys(import_task_ids))
    poller = _join(settings)
    try:
        while waiting:
            try:
                # That all is well again is news.
                known = {} if failures or misses else seen
                found = await poller.look(waiting, _interval(poll_interval, failures), known)
            except AdsCallError as error:
                if not error.transient:
                    raise
                failures += 1
                yield Poll(dict(seen), error)
                continue
            failures = 0
            seen.update(found)
            if may_vanish:
                for import_task_id in set(waiting) - set(found):
                    seen.pop(import_task_id, None)
                waiting = [import_task_id for import_task_id in waiting if import_task_id in found]
            misses = {id_: misses.get(id_, 0) + 1 for id_ in waiting if id_ not in found}
            for import_task_id, count in misses.items():
                if count >= MISSING_TASK_LOOKS:
                    raise ImportTaskNotFound(import_task_id, poller.region_name)
            waiting = [
                import_task_id
                for import_task_id in waiting
                if import_task_id not in found or found[import_task_id].status in running_statuses
            ]
            yield Poll(dict(seen))
    finally:
        await poller.leave()


async def poll_newest_import_task(
    settings: AwsSettings, name: str, poll_interval: float, running_statuses: Collection[str]
) -> AsyncGenerator[Poll, None]:
    """
    Look at the newest import task of a name until it has left the running statuses, and say what has changed.

    When to look, and what is said, are as for :func:`poll_import_tasks`. A name that no task has is looked for until
    one has it, and a newer task takes the place of the one that was seen before.

    :param settings: how AWS is reached.
    :param name: the name.
    :param poll_interval: seconds between two looks.
    :param running_statuses: the statuses in which the task is looked at again.
    :raises AdsCallError: the service refused; looking again would not help.
    """
    newest: dict[str, ImportTask] = {}
    known: dict[str, ImportTask | None] = {}
    failures = 0
    poller = _join(settings, by_name=True)
    try:
        while name not in newest or newest[name].status in running_statuses:
            try:
                newest = await poller.look([name], _interval(poll_interval, failures), known)
            except AdsCallError as error:
                if not error.transient:
                    raise
                failures += 1
                known = {}
                yield Poll(newest, error)
            else:
                failures = 0
                known = {name: newest.get(name)}
                yield Poll(newest)
    finally:
        await poller.leave()


def _interval(poll_interval: float, failures: int) -> float:
    return max(poll_interval, min(poll_interval * 2.0 ** min(failures, 30), LONGEST_BACK_OFF))


@dataclass(eq=False, slots=True)
class _Question:
    """
    What one wait wants to know.

    Times are those of the loop's clock. A wait is woken for news only: most looks bring none, and to wake a hundred
    waits for nothing would take longer than the call.

    :param values: the ids of the tasks, or names.
    :param interval: seconds from one look to the next.
    :param known: what the wait knows of them; None for a value that it knows to have no task.
    :param ends: when it wants to be answered in any case.
    :param answer: the answer.
    """

    values: Sequence[str]
    interval: float
    known: Mapping[str, ImportTask | None]
    ends: float
    answer: asyncio.Future[dict[str, ImportTask]]
    ready: float = 0.0
    due: float = 0.0

    def put_off(self, now: float) -> None:
        """Set when the service may and must be asked."""
        self.due = now + self.interval * random.uniform(*JITTER)
        self.ready = self.due - self.interval * COALESCENCE

    def settle(self, found: Mapping[str, ImportTask], failed: Mapping[str, BaseException], now: float) -> bool:
        """Answer, unless there is no news; return whether that is done, or the wait is over."""
        if self.answer.done():
            return True
        error = next((failed[value] for value in self.values if value in failed), None) if failed else None
        if isinstance(error, asyncio.CancelledError):
            self.answer.cancel()
        elif error is not None:
            self.answer.set_exception(error)
        elif now >= self.ends or any(found.get(value) != self.known.get(value, ...) for value in self.values):
            self.answer.set_result({value: found[value] for value in self.values if value in found})
        return self.answer.done()


@dataclass
class _Loop:
    """What the waits of one event loop share."""

    pollers: dict[str, _Poller] = field(default_factory=dict)
    #: To make a client keeps the loop busy for some milliseconds: one after the other.
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()


def _join(settings: AwsSettings, by_name: bool = False) -> _Poller:
    """Return the poller of this loop and these settings, which starts with the first wait that joins it."""
    loop = _loops.setdefault(asyncio.get_running_loop(), _Loop())
    key = json.dumps([asdict(settings), by_name], sort_keys=True, default=str)
    if key not in loop.pollers:
        loop.pollers[key] = _Poller(settings, by_name, loop.opening, lambda: loop.pollers.pop(key))
    poller = loop.pollers[key]
    poller.waits += 1
    return poller


class _Poller:
    """
    One aiobotocore client for many waits, made when it is first needed and again when its credentials have expired.

    :param settings: how AWS is reached.
    :param by_name: whether the waits ask for the newest tasks of names, instead of for tasks by their ids.
    :param opening: held while a client is made.
    :param forget: called when the last wait has left.
    """

    def __init__(self, settings: AwsSettings, by_name: bool, opening: asyncio.Lock, forget: Callable[[], Any]) -> None:
        self.waits = 0
        self.region_name = settings.region_name
        self._settings = settings
        self._by_name = by_name
        self._opening = opening
        self._forget = forget
        self._context: Any = None
        self._client: Any = None
        self._questions: set[_Question] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None

    async def look(
        self, values: Sequence[str], interval: float, known: Mapping[str, ImportTask | None]
    ) -> dict[str, ImportTask]:
        """
        Look at import tasks every interval, together with others that are due at about that time, until there is news.

        :param values: the ids of the tasks, or names.
        :param interval: seconds.
        :param known: what is no news.
        :return: the tasks that the service lists, by their id or name.
        :raises AdsCallError: the call failed.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        question = _Question(values, interval, known, now + LONGEST_SILENCE, loop.create_future())
        question.put_off(now)
        self._questions.add(question)
        self._wake_at(question.due)
        try:
            return await question.answer
        except (ClientError, BotoCoreError) as error:
            about = f"imports named {values[0]!r}" if self._by_name else name_some(values)
            raise call_error(
                error, "DescribeImportTasks", about, self.region_name, self._settings.aws_conn_id
            ) from error
        finally:
            # A wait that was cancelled does not want to know any more.
            self._questions.discard(question)
            if question.answer.done() and not question.answer.cancelled():
                question.answer.exception()  # else asyncio would say that nobody asked for it

    async def leave(self) -> None:
        """Let a wait go; the last one closes the client."""
        self.waits -= 1
        if not self.waits:
            self._forget()
            await _uncancelled(self._close())

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})
        await self._close_client()

    def _wake_at(self, due: float) -> None:
        # What comes to be due during a call waits for it: one call after the other, so that a slow one makes the next
        # fuller.
        if self._asking is None and (self._timer is None or due < self._timer.when()):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_at(due, self._ask)

    def _ask(self) -> None:
        self._timer = None
        # In a context of its own: in that of a trigger, its lines would go to the log of that trigger's task.
        self._asking = asyncio.get_running_loop().create_task(self._answer(), context=Context())
        self._asking.add_done_callback(self._asked)

    def _asked(self, _: asyncio.Task[None]) -> None:
        self._asking = None
        if self._questions:
            self._wake_at(min(question.due for question in self._questions))

    async def _answer(self) -> None:
        while questions := self._take():
            values = list(dict.fromkeys(value for question in questions for value in question.values))
            found: dict[str, ImportTask] = {}
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
                for question in questions:
                    if not question.settle(found, failed, now):
                        question.put_off(now)
                        self._questions.add(question)

    def _take(self) -> list[_Question]:
        """If a question is due, take those that are ready, the most urgent first, as many as fit into a call."""
        now = asyncio.get_running_loop().time()
        ready = sorted((each for each in self._questions if each.ready <= now), key=attrgetter("due"))
        if not ready or ready[0].due > now:
            return []
        sizes = accumulate(len(question.values) for question in ready)
        # One that is larger than a call goes alone.
        count = max(1, sum(size <= VALUES_PER_FILTER for size in sizes))
        self._questions.difference_update(ready[:count])
        return ready[:count]

    async def _describe_all(
        self, values: Sequence[str], found: dict[str, ImportTask], failed: dict[str, BaseException]
    ) -> None:
        try:
            found.update(await self._describe(values))
        except (ClientError, BotoCoreError) as error:
            if _code(error) not in BAD_ID_CODES or len(values) == 1:
                failed.update(dict.fromkeys(values, error))
                return
            # One bad id must not fail its neighbours.
            middle = len(values) // 2
            await self._describe_all(values[:middle], found, failed)
            await self._describe_all(values[middle:], found, failed)

    async def _describe(self, values: Sequence[str]) -> dict[str, ImportTask]:
        try:
            return await self._call(values)
        except (ClientError, BotoCoreError) as error:
            if _code(error) not in EXPIRED_CREDENTIALS_CODES:
                raise
            # The connection may hold newer credentials by now.
            await self._close_client()
            return await self._call(values)

    async def _call(self, values: Sequence[str]) -> dict[str, ImportTask]:
        if self._client is None:
            async with self._opening:
                await _uncancelled(self._open())
        pages = self._client.get_paginator("describe_import_tasks").paginate(
            **describe_parameters(values, "NAME" if self._by_name else "IMPORT_TASK_ID"),
            PaginationConfig={"PageSize": IMPORT_TASK_PAGE_SIZE},
        )
        result = await pages.build_full_result()
        tasks = [ImportTask.from_response(task) for task in result.get("tasks", [])]
        return newest_by_name(tasks) if self._by_name else {task.import_task_id: task for task in tasks}

    async def _open(self) -> None:
        # The look-up of an Airflow connection blocks, and from any other thread than asgiref's it can end the
        # triggerer of Airflow 3.0 and 3.1.
        self._context = await sync_to_async(self._client_context)()
        self._client = await self._context.__aenter__()
        self.region_name = self._client.meta.region_name

    def _client_context(self) -> Any:
        # Here, because the triggerer imports this module on its event loop, which to load boto3 would keep busy.
        from botocore.config import Config

        from airflow_provider_ads.hooks import AdsHook

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

    async def _close_client(self) -> None:
        if self._client is not None:
            self._client = None
            await _uncancelled(self._context.__aexit__(None, None, None))


def _code(error: ClientError | BotoCoreError) -> str:
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__


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
