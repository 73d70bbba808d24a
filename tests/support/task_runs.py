"""Run single tasks like Airflow's workers and triggerer, without a scheduler."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from threading import Event, Thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models.crypto import get_fernet
from airflow.models.trigger import Trigger
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS
from airflow.serialization.serialized_objects import BaseSerialization

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.version_compat import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

if TYPE_CHECKING or AIRFLOW_V_3_0_PLUS:
    from airflow.sdk.execution_time.context import OutletEventAccessors
else:
    from airflow.utils.context import OutletEventAccessors

try:
    from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferred
except ImportError:
    from airflow.exceptions import AirflowRescheduleException, TaskDeferred  # type: ignore[no-redef]

__all__ = [
    "TRIGGER_CRASHED",
    "TRIGGER_TIMED_OUT",
    "Run",
    "TaskDeferred",
    "at_the_second_poll",
    "context_of",
    "decode",
    "encode",
    "event_at_the_deadline",
    "only_event",
    "row_of",
    "run_task",
    "through_database",
    "trigger_of",
]

#: The module with which newer versions of Airflow serialize arguments.
SERDE = "airflow.sdk.serde" if AIRFLOW_V_3_0_PLUS and find_spec("airflow.sdk.serde") else None

#: When the tasks of this process were first rescheduled, by their ids.
_first_reschedules: dict[str, datetime] = {}

TRIGGER_CRASHED = {"error": "Trigger failure", "traceback": ["Traceback (most recent call last):", "boom"]}
TRIGGER_TIMED_OUT = {"error": "Trigger timeout" if AIRFLOW_V_3_0_PLUS else "Trigger/execution timeout"}


@dataclass
class Run:
    """
    The end of a task.

    :param state: the state that Airflow gives the task instance.
    :param result: the returned value.
    :param error: the raised exception.
    :param xcoms: the XComs that the task has at its end, except those of links.
    :param pushes: the key and value of each XCom that it pushed, except those of links.
    :param links: the XComs that it pushed for its links.
    :param outlet_events: Airflow's accessors of the events of the task's outlets.
    :param deferrals: the arguments of each deferral's trigger.
    :param deferral_timeouts: Airflow's own limit on each deferral.
    :param events: the triggers' events.
    :param task: the operator or sensor as it was in the last process.
    """

    state: str = ""
    result: Any = None
    error: BaseException | None = None
    xcoms: dict[str, Any] = field(default_factory=dict)
    pushes: list[tuple[str, Any]] = field(default_factory=list)
    links: dict[str, Any] = field(default_factory=dict)
    outlet_events: Any = field(default_factory=OutletEventAccessors)
    deferrals: list[dict[str, Any]] = field(default_factory=list)
    deferral_timeouts: list[timedelta | None] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    task: Any = None


def context_of(
    task: Any, run: Run | None = None, run_started: datetime | None = None, **ti_fields: Any
) -> dict[str, Any]:
    """
    Return the part of a task's context that the operators and sensors use.

    :param run: receives XComs and events of outlets.
    :param run_started: the start of the Dag run; now, if None.
    :param ti_fields: attributes of the task instance that differ from the usual ones.
    """
    run = run or Run()

    def xcom_push(key: str, value: Any, **_: Any) -> None:
        value = json.loads(json.dumps(value))
        if key in {link.key for link in task.operator_extra_links}:
            run.links[key] = value
        else:
            run.xcoms[key] = value
            run.pushes.append((key, value))

    ti = {
        "dag_id": "dag",
        "task_id": task.task_id,
        "run_id": "run",
        "map_index": -1,
        "try_number": 1,
        "max_tries": task.retries,
        "start_date": datetime.now(UTC),
        "task": task,
        "xcom_push": xcom_push,
        "xcom_pull": lambda *, task_ids, key, map_indexes: run.xcoms.get(key),
    }
    return {
        "dag_run": SimpleNamespace(start_date=run_started or datetime.now(UTC), logical_date=None),
        "outlet_events": run.outlet_events,
        "task": task,
        "ti": SimpleNamespace(**{**ti, **ti_fields}),
    }


def run_task(
    task: Any,
    monkeypatch: pytest.MonkeyPatch,
    deferral_failure: dict[str, Any] | None = None,
    on_event: Callable[[Any], Any] = lambda event: event,
    wait: Callable[[Any], Coroutine[Any, Any, Any]] | None = None,
    start_date: datetime | None = None,
    run_started: datetime | None = None,
    **ti_fields: Any,
) -> Run:
    """
    Execute a task, and reschedule or resume it until it has ended.

    Tasks with different ids can run at the same time, in threads.

    :param task: an operator or sensor.
    :param deferral_failure: fails the deferral; ``TRIGGER_CRASHED`` or ``TRIGGER_TIMED_OUT``.
    :param on_event: replaces an event on its way to the worker.
    :param wait: runs a trigger and returns its event; :func:`only_event`, if None.
    :param start_date: the first start of the task; now, if None.
    :param run_started: the start of the Dag run; now, if None.
    :param ti_fields: attributes of the task instance that differ from the usual ones, ``try_number`` for example.
    """
    run = Run()
    run_started = run_started or datetime.now(UTC)
    _first_reschedules.pop(task.task_id, None)
    if not AIRFLOW_V_3_0_PLUS:
        # Airflow 2 reads this date from its database, and runs tasks only in the main thread.
        monkeypatch.setattr(
            "airflow.sensors.base._orig_start_date", lambda task_id, **_: _first_reschedules.get(task_id)
        )
        safeguard = import_module("airflow.models.baseoperator").ExecutorSafeguard
        vars(safeguard._sentinel).setdefault("callers", {})
    method = "execute"
    kwargs: dict[str, Any] = {}
    while True:
        # Each execution is a process of its own, without the state of the one before.
        run.task = process = copy.copy(task)
        context = context_of(process, run, run_started, **ti_fields)
        context["ti"].start_date = start_date or context["ti"].start_date
        context["ti"].get_first_reschedule_date = lambda _: _first_reschedules.get(task.task_id)
        started = datetime.now(UTC)
        try:
            if method == "execute":
                run.result = process.execute(context)
            else:
                run.result = process.resume_execution(method, kwargs, context)
        except TaskDeferred as deferred:
            trigger = through_database(deferred.trigger)
            run.deferrals.append(trigger.serialize()[1])
            run.deferral_timeouts.append(deferred.timeout)
            method, kwargs = deferred.method_name, dict(deferred.kwargs or {})
            if deferral_failure is not None:
                method, kwargs = "__fail__", deferral_failure
            else:
                event = on_event(json.loads(json.dumps(asyncio.run((wait or only_event)(trigger)))))
                run.events.append(event)
                kwargs["event"] = event
        except AirflowRescheduleException as reschedule:
            _first_reschedules.setdefault(task.task_id, started)
            # Airflow clears the XComs before each execution that does not resume a deferral.
            run.xcoms.clear()
            time.sleep(max(0.0, (reschedule.reschedule_date - datetime.now(UTC)).total_seconds()))
        except Exception as error:
            is_final = isinstance(error, AirflowFailException | AirflowSensorTimeout) or not task.retries
            is_skip = isinstance(error, AirflowSkipException)
            run.state, run.error = "skipped" if is_skip else "failed" if is_final else "up_for_retry", error
            return run
        else:
            run.state = "success"
            return run


async def only_event(trigger: Any) -> Any:
    """Return the only event of a trigger; fail if it takes a minute."""
    async with asyncio.timeout(60):
        events = [event.payload async for event in trigger.run()]
    assert len(events) == 1
    return events[0]


async def event_at_the_deadline(ads: AdsEmulator, trigger: Any) -> Any:
    """
    Return the only event of a trigger whose deadline is less than 50 seconds away.

    After the third poll, when two have ended for sure, the clock of the event loop goes forward past the deadline.
    """
    loop = asyncio.get_running_loop()
    calls = ads.calls().total()
    event = asyncio.create_task(only_event(trigger))
    async with asyncio.timeout(60):
        while not event.done() and ads.calls().total() < calls + 3:
            await asyncio.sleep(0.01)
    clock = loop.time
    loop.time = lambda: clock() + 50  # type: ignore[method-assign]
    return await event


def through_database(trigger: Any) -> Any:
    """Return the trigger that a triggerer creates from the row that a worker wrote into Airflow's database."""
    return trigger_of(*row_of(trigger))


def row_of(trigger: Any) -> tuple[str, Any]:
    """Return a trigger's class path and its decrypted arguments, as in Airflow's database."""
    classpath, kwargs = trigger.serialize()
    # The worker sends it to the API server, which stores it.
    row = Trigger(classpath, decode(json.loads(json.dumps(encode(kwargs)))))
    return classpath, json.loads(get_fernet().decrypt(row.encrypted_kwargs.encode()))


def trigger_of(classpath: str, stored: Any) -> Any:
    """Return the trigger that a triggerer creates from the result of :func:`row_of`."""
    row = Trigger(classpath, {})
    row.encrypted_kwargs = get_fernet().encrypt(json.dumps(stored).encode()).decode()
    module, _, name = classpath.rpartition(".")
    return getattr(import_module(module), name)(**row.kwargs)


def encode(value: Any) -> Any:
    """Serialize the arguments of triggers and of resumed tasks, as Airflow stores and sends them."""
    if SERDE:
        return import_module(SERDE).serialize(value)
    return BaseSerialization.serialize(value)


def decode(encoded: Any) -> Any:
    """Undo :func:`encode`, also for data that an older Airflow has stored."""
    if SERDE:
        with suppress(ImportError, KeyError, AttributeError, TypeError):
            return import_module(SERDE).deserialize(encoded)
    return BaseSerialization.deserialize(encoded)


@contextmanager
def at_the_second_poll(ads: AdsEmulator, change: Callable[[], Any]) -> Iterator[None]:
    """Call a function after the second poll; a deferrable sensor has deferred by then."""
    polls = ads.calls()["DescribeImportTasks"]
    stop = Event()

    def watch() -> None:
        while not stop.wait(0.005):
            if ads.calls()["DescribeImportTasks"] >= polls + 2:
                change()
                return

    thread = Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
