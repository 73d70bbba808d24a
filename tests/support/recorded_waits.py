"""
Deferred tasks as Airflow stores them in its database, where an upgrade finds them.

``make record`` records those of a release in ``tests/releases/``, with the release's own code, and
``test_recorded_waits.py`` continues them with today's code.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from airflow import __version__ as airflow_version

from airflow_provider_ads import __version__
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.operators import (
    AdsDeleteImportDataOperator,
    AdsExportToS3Operator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)
from airflow_provider_ads.sensors import AdsImportTaskSensor
from tests.support.task_runs import TaskDeferred, context_of, encode, only_event, row_of

__all__ = ["RELEASES", "WAITS", "Wait", "environment_of", "outcome_of", "record", "recording_path", "write_recording"]

RELEASES = Path(__file__).parents[1] / "releases"

FIRST, SECOND = (f"import-task-{digit * 32}" for digit in "12")

#: A timeout of a hundred years, which has not passed either when a later release continues the recorded wait.
LONG = 100 * 365 * 86_400.0

#: A timeout of seconds; on Airflow 2 an operator times out after half of it.
SHORT = 8.0

COMPLETE = {"status": "IMPORT_COMPLETE", "serverImportSuccess": 3, "serverImportFailure": 0}
_TWO = tuple(
    {"importTaskId": import_task_id, "name": "cmdb", "importUrl": "s3://inventory/inventory.csv"}
    for import_task_id in (FIRST, SECOND)
)
_ONE = _TWO[:1]
_ENDED = tuple({**import_task, **COMPLETE} for import_task in _TWO)


def environment_of(ads: AdsEmulator) -> dict[str, str]:
    """Return the variables that point tasks and triggers to an emulator, with and without a connection."""
    return {
        "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
        "AWS_ENDPOINT_URL": ads.endpoint_url,
    }


def _all_become(**fields: Any) -> Callable[[AdsEmulator], None]:
    def change(ads: AdsEmulator) -> None:
        for import_task in ads.import_tasks():
            ads.update_import_task(import_task["importTaskId"], **fields)

    return change


def _exports_fail(ads: AdsEmulator) -> None:
    for export_task in ads.export_tasks():
        ads.update_export_task(export_task["exportId"], exportStatus="FAILED")


_ALL_COMPLETE = _all_become(**COMPLETE)


def _one_appears(ads: AdsEmulator) -> None:
    ads.add_import_task(**_ENDED[0])


def _nothing(ads: AdsEmulator) -> None:
    """Let the wait time out."""


@dataclass(frozen=True)
class Wait:
    """
    A task that defers, and the end of its wait.

    :param task_class: the operator or sensor.
    :param arguments: its arguments as JSON; ``execution_timeout`` is in seconds.
    :param import_tasks: the service's import tasks before the start, as the API returns them.
    :param then: changes the service once the task has deferred.
    :param fault: the error code that the service returns from then on.
    """

    task_class: type[Any]
    arguments: dict[str, Any]
    import_tasks: tuple[dict[str, Any], ...] = ()
    then: Callable[[AdsEmulator], None] = _ALL_COMPLETE
    fault: str | None = None

    @property
    def task_path(self) -> str:
        """The path of the operator or sensor."""
        return f"{self.task_class.__module__}.{self.task_class.__qualname__}"

    def defer(self, ads: AdsEmulator) -> TaskDeferred:
        """Run the task until it defers."""
        for fields in self.import_tasks:
            ads.add_import_task(**fields)
        task = task_of(self.task_path, self.arguments)
        try:
            task.execute(context_of(task))
        except TaskDeferred as deferred:
            return deferred
        raise AssertionError("The task did not defer")


_EXPORT: dict[str, Any] = {"destination_url": "s3://inventory/exports", "deferrable": True, "poll_interval": 0.05}
_START: dict[str, Any] = {"name": "cmdb", "import_url": "s3://inventory/inventory.csv"}


def _sensor(
    import_tasks: tuple[dict[str, Any], ...] = _ONE,
    then: Callable[[AdsEmulator], None] = _ALL_COMPLETE,
    fault: str | None = None,
    **arguments: Any,
) -> Wait:
    settings = {"deferrable": True, "poke_interval": 0.05, "timeout": LONG}
    return Wait(AdsImportTaskSensor, {**settings, **arguments}, import_tasks, then, fault)


def _operator(
    task_class: type[Any],
    import_tasks: tuple[dict[str, Any], ...] = (),
    then: Callable[[AdsEmulator], None] = _ALL_COMPLETE,
    **arguments: Any,
) -> Wait:
    settings = {"deferrable": True, "wait_for_completion": True, "poll_interval": 0.05}
    return Wait(task_class, {**settings, **arguments}, import_tasks, then)


#: Together, these cover every trigger class, every task that creates one, every argument and every kind of event.
WAITS = {
    "sensor of one import": _sensor(import_task_id=FIRST),
    "sensor of many imports": _sensor(_TWO, import_task_id=[SECOND, FIRST], poke_interval=1),
    "sensor of an import that fails": _sensor(then=_all_become(status="IMPORT_FAILED"), import_task_id=FIRST),
    "sensor with all settings": _sensor(
        import_task_id=FIRST,
        aws_conn_id="aws_default",
        region_name="us-west-2",
        verify=False,
        botocore_config={"read_timeout": 7, "retries": {"mode": "standard"}},
    ),
    "sensor without a connection": _sensor(import_task_id=FIRST, aws_conn_id=None, region_name="us-west-2"),
    "sensor of a name that no import has yet": _sensor((), _one_appears, name="cmdb"),
    "sensor of the name of a running import": _sensor(name="cmdb"),
    "sensor that times out": _sensor(then=_nothing, import_task_id=FIRST, timeout=SHORT),
    "sensor that times out in an outage": _sensor(
        then=_nothing, fault="ThrottlingException", import_task_id=FIRST, timeout=SHORT
    ),
    "sensor of a name that times out": _sensor((), _nothing, name="cmdb", timeout=SHORT),
    "sensor that AWS refuses": _sensor(then=_nothing, fault="AuthorizationErrorException", import_task_id=FIRST),
    "start": _operator(AdsStartImportTaskOperator, **_START),
    "start with a timeout": _operator(AdsStartImportTaskOperator, **_START, execution_timeout=LONG),
    "start that times out": _operator(AdsStartImportTaskOperator, (), _nothing, **_START, execution_timeout=SHORT),
    "start of an import that fails": _operator(
        AdsStartImportTaskOperator, (), _all_become(status="IMPORT_FAILED"), **_START
    ),
    "deletion of two imports": _operator(
        AdsDeleteImportDataOperator, _ENDED, _all_become(status="DELETE_COMPLETE"), import_task_id=[FIRST, SECOND]
    ),
    "deletion with the history": _operator(
        AdsDeleteImportDataOperator,
        _ENDED[:1],
        lambda ads: setattr(ads, "delete_seconds", 0.01),
        import_task_id=FIRST,
        delete_history=True,
    ),
    "deletion that fails": _operator(
        AdsDeleteImportDataOperator, _ENDED[:1], _all_become(status="DELETE_FAILED"), import_task_id=FIRST
    ),
    "deletion that times out": _operator(
        AdsDeleteImportDataOperator, _ENDED[:1], _nothing, import_task_id=FIRST, execution_timeout=SHORT
    ),
    "prune": _operator(
        AdsPruneImportTasksOperator,
        ({**_ENDED[0], "importRequestTime": datetime.fromisoformat("2026-11-01T00:00:00+00:00")}, _ENDED[1]),
        lambda ads: ads.update_import_task(FIRST, status="DELETE_COMPLETE"),
        name_prefix="cmdb",
        superseded_by=[SECOND],
    ),
    "export that fails": Wait(AdsExportToS3Operator, _EXPORT, then=_exports_fail),
    "export that times out": Wait(AdsExportToS3Operator, {**_EXPORT, "execution_timeout": SHORT}, then=_nothing),
}


def task_of(task_path: str, arguments: dict[str, Any]) -> Any:
    """Create a task from the path of its class and from the arguments of :class:`Wait`."""
    module, _, name = task_path.rpartition(".")
    seconds = arguments.get("execution_timeout")
    times = {} if seconds is None else {"execution_timeout": timedelta(seconds=seconds)}
    return getattr(import_module(module), name)(task_id="task", **{**arguments, **times})


def outcome_of(wait: dict[str, Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """
    Resume the task of a recorded wait.

    :param wait: the recorded wait.
    :param kwargs: the arguments with which Airflow resumes it.
    :return: the value that it returned, or the name of the exception that it raised.
    """
    task = task_of(wait["task"], wait["arguments"])
    try:
        result = task.resume_execution(wait["next_method"], kwargs, context_of(task))
    except Exception as error:
        return {"raised": type(error).__name__}
    return {"returned": result}


def record(wait: Wait, ads: AdsEmulator) -> dict[str, Any]:
    """
    Run a task to its end.

    :param wait: the task.
    :param ads: an emulator of its own, to which the environment points; nothing there ends on its own.
    :return: the wait as Airflow stores it, the service at its end, the event, and the outcome.
    """
    deferred = wait.defer(ads)
    classpath, stored = row_of(deferred.trigger)
    wait.then(ads)
    if wait.fault is not None:
        ads.inject(wait.fault)
    event = asyncio.run(only_event(deferred.trigger))
    next_kwargs = {**(deferred.kwargs or {}), "event": event}
    recorded = {
        "task": wait.task_path,
        "arguments": wait.arguments,
        "classpath": classpath,
        "kwargs": deferred.trigger.serialize()[1],
        "stored_kwargs": stored,
        "next_method": deferred.method_name,
        "next_kwargs": next_kwargs,
        "stored_next_kwargs": encode(next_kwargs),
        "import_tasks": [
            {name: value for name, value in import_task.items() if name != "clientRequestToken"}
            for import_task in ads.import_tasks()
        ],
        "export_tasks": ads.export_tasks(),
        "fault": wait.fault,
    }
    return {**recorded, "outcome": outcome_of(recorded, next_kwargs)}


def recording_path() -> Path:
    """Return the file of this version's waits on this major version of Airflow."""
    return RELEASES / __version__ / f"airflow-{airflow_version.partition('.')[0]}.json"


def write_recording(waits: dict[str, dict[str, Any]]) -> Path:
    """Write the file of this version's waits, and return its path."""
    path = recording_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    recording = {"version": __version__, "airflow": airflow_version, "waits": waits}
    path.write_text(json.dumps(recording, indent=1, default=datetime.isoformat) + "\n")
    return path
