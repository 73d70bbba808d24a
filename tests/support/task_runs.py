"""Run one task the way Airflow's workers and triggerer do, without a scheduler."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import Callable, Iterator
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
    "at_the_second_look",
    "context_of",
    "decode",
    "encode",
    "only_event",
    "row_of",
    "run_task",
    "through_database",
    "trigger_of",
]

#: Where Airflow's newer versions have their own way to store arguments.
SERDE = "airflow.sdk.serde" if AIRFLOW_V_3_0_PLUS and find_spec("airflow.sdk.serde") else None

TRIGGER_CRASHED = {"error": "Trigger failure", "traceback": ["Traceback (most recent call last):", "boom"]}
TRIGGER_TIMED_OUT = {"error": "Trigger timeout" if AIRFLOW_V_3_0_PLUS else "Trigger/execution timeout"}


@dataclass
class Run:
    """
    How a task ended.

    :param state: the state that Airflow gives the task instance, which has retries left.
    :param result: what it returned.
    :param error: what it raised.
    :param xcoms: what it pushed itself, but for links.
    :param outlet_events: Airflow's own accessors of the events of the task's outlets.
    :param links: what it stored to make its links of.
    :param deferrals: the triggers' arguments, one dict for each deferral.
    :param deferral_timeouts: Airflow's own limit on each deferral.
    :param events: what the triggers yielded.
    :param task: the operator or sensor in the process that it ended in.
    """

    state: str = ""
    result: Any = None
    error: BaseException | None = None
    xcoms: dict[str, Any] = field(default_factory=dict)
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
    The part of a task's context that the operators and sensors use.

    :param run: where XComs and the like go.
    :param run_started: when the Dag run has started; None for a run of its own.
    :param ti_fields: what the task instance has else than others.
    """
    run = run or Run()

    def xcom_push(key: str, value: Any, **_: Any) -> None:
        links = {link.key for link in task.operator_extra_links}
        (run.links if key in links else run.xcoms)[key] = json.loads(json.dumps(value))

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
    start_date: datetime | None = None,
    run_started: datetime | None = None,
    **ti_fields: Any,
) -> Run:
    """
    Execute a task, reschedule it, defer it and resume it until it has ended.

    :param task: an operator or sensor.
    :param deferral_failure: what Airflow passes on instead of an event when a trigger crashed or timed out.
    :param on_event: replaces an event on its way to the worker.
    :param start_date: when Airflow first started the task; None for now.
    :param run_started: when the Dag run has started; None for a run of its own.
    :param ti_fields: what the task instance has else than others, ``try_number`` for example.
    """
    run = Run()
    run_started = run_started or datetime.now(UTC)
    first_reschedule: list[datetime] = []
    if not AIRFLOW_V_3_0_PLUS:
        # Airflow 2 reads this date from its database.
        monkeypatch.setattr(
            "airflow.sensors.base._orig_start_date",
            lambda **_: first_reschedule[0] if first_reschedule else None,
        )
    method = "execute"
    kwargs: dict[str, Any] = {}
    while True:
        # Each execution is a process of its own and knows nothing of the one before.
        run.task = process = copy.copy(task)
        context = context_of(process, run, run_started, **ti_fields)
        context["ti"].start_date = start_date or context["ti"].start_date
        context["ti"].get_first_reschedule_date = lambda _: first_reschedule[0] if first_reschedule else None
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
                event = on_event(json.loads(json.dumps(asyncio.run(only_event(trigger)))))
                run.events.append(event)
                kwargs["event"] = event
        except AirflowRescheduleException as reschedule:
            first_reschedule[:] = first_reschedule or [started]
            time.sleep(max(0.0, (reschedule.reschedule_date - datetime.now(UTC)).total_seconds()))
        except AirflowSkipException as error:
            run.state, run.error = "skipped", error
            return run
        except (AirflowFailException, AirflowSensorTimeout) as error:
            run.state, run.error = "failed", error
            return run
        except Exception as error:
            run.state, run.error = ("up_for_retry" if task.retries else "failed"), error
            return run
        else:
            run.state = "success"
            return run


async def only_event(trigger: Any) -> Any:
    """What the trigger yields; it must be one event, and come before the test suite would seem to hang."""
    async with asyncio.timeout(60):
        events = [event.payload async for event in trigger.run()]
    assert len(events) == 1
    return events[0]


def through_database(trigger: Any) -> Any:
    """The trigger that a triggerer makes of what a worker wrote into Airflow's database."""
    return trigger_of(*row_of(trigger))


def row_of(trigger: Any) -> tuple[str, Any]:
    """What Airflow's database holds of a trigger: the path of its class, and its arguments, decrypted."""
    classpath, kwargs = trigger.serialize()
    # From the worker to the API server, before the API server stores it.
    row = Trigger(classpath, decode(json.loads(json.dumps(encode(kwargs)))))
    return classpath, json.loads(get_fernet().decrypt(row.encrypted_kwargs.encode()))


def trigger_of(classpath: str, stored: Any) -> Any:
    """The trigger that a triggerer makes of what :func:`row_of` returned."""
    row = Trigger(classpath, {})
    row.encrypted_kwargs = get_fernet().encrypt(json.dumps(stored).encode()).decode()
    module, _, name = classpath.rpartition(".")
    return getattr(import_module(module), name)(**row.kwargs)


def encode(value: Any) -> Any:
    """The form that Airflow stores and sends the arguments of triggers and of resumed tasks in."""
    if SERDE:
        return import_module(SERDE).serialize(value)
    return BaseSerialization.serialize(value)


def decode(encoded: Any) -> Any:
    """Undo :func:`encode`, as Airflow does it also for what an older Airflow has stored."""
    if SERDE:
        with suppress(ImportError, KeyError, AttributeError, TypeError):
            return import_module(SERDE).deserialize(encoded)
    return BaseSerialization.deserialize(encoded)


@contextmanager
def at_the_second_look(ads: AdsEmulator, change: Callable[[], Any]) -> Iterator[None]:
    """Change something once the service is asked again: a deferrable sensor has deferred by then."""
    asked = ads.calls()["DescribeImportTasks"]
    stop = Event()

    def watch() -> None:
        while not stop.wait(0.005):
            if ads.calls()["DescribeImportTasks"] >= asked + 2:
                change()
                return

    thread = Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
