"""
Waits as Airflow has them in its database while their tasks are deferred: what an upgrade finds there.

``make record`` records those of a release into ``tests/releases/``, with the release's own code, and
``test_recorded_waits.py`` goes on with them under the code of today.
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
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)
from airflow_provider_ads.sensors import AdsImportTaskSensor
from tests.support.task_runs import TaskDeferred, context_of, encode, only_event, row_of

__all__ = ["RELEASES", "WAITS", "Wait", "environment_of", "outcome_of", "record", "recording_path", "write_recording"]

RELEASES = Path(__file__).parents[1] / "releases"

FIRST, SECOND = (f"import-task-{digit * 32}" for digit in "12")

#: Seconds that no wait, and no test that goes on with a recorded one, lives to see the end of: a hundred years.
LONG = 100 * 365 * 86_400.0

#: Seconds until a wait times out; on Airflow 2 an operator's gives up after half of it.
SHORT = 8.0

COMPLETE = {"status": "IMPORT_COMPLETE", "serverImportSuccess": 3, "serverImportFailure": 0}
_TWO = tuple(
    {"importTaskId": import_task_id, "name": "cmdb", "importUrl": "s3://inventory/inventory.csv"}
    for import_task_id in (FIRST, SECOND)
)
_ONE = _TWO[:1]
_ENDED = tuple({**import_task, **COMPLETE} for import_task in _TWO)


def environment_of(ads: AdsEmulator) -> dict[str, str]:
    """What leads tasks and triggers to an emulator, with the connection ``aws_default`` and without one."""
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


_ALL_COMPLETE = _all_become(**COMPLETE)


def _one_appears(ads: AdsEmulator) -> None:
    ads.add_import_task(**_ENDED[0])


def _nothing(ads: AdsEmulator) -> None:
    """Let time run out."""


@dataclass(frozen=True)
class Wait:
    """
    A task that defers, and what comes of it.

    :param task_class: the operator or sensor.
    :param arguments: its arguments, as JSON has them; ``execution_timeout`` in seconds.
    :param import_tasks: what the service holds before it, by the fields' names in the API.
    :param then: what happens at the service once the task is deferred.
    :param fault: what the service shows from then on.
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
        """Run the task until it is deferred."""
        for fields in self.import_tasks:
            ads.add_import_task(**fields)
        task = task_of(self.task_path, self.arguments)
        try:
            task.execute(context_of(task))
        except TaskDeferred as deferred:
            return deferred
        raise AssertionError("The task did not defer")


_SENSOR = {"deferrable": True, "poke_interval": 0.05, "timeout": LONG}
_OPERATOR = {"deferrable": True, "wait_for_completion": True, "poll_interval": 0.05}
_START = {**_OPERATOR, "name": "cmdb", "import_url": "s3://inventory/inventory.csv"}

#: Every class of triggers, made by every task that makes one, with every argument given and left out, to every event.
WAITS = {
    "sensor of one import": Wait(AdsImportTaskSensor, {**_SENSOR, "import_task_id": FIRST}, _ONE),
    "sensor of many imports": Wait(
        AdsImportTaskSensor, {**_SENSOR, "import_task_id": [SECOND, FIRST], "poke_interval": 1}, _TWO
    ),
    "sensor of an import that fails": Wait(
        AdsImportTaskSensor, {**_SENSOR, "import_task_id": FIRST}, _ONE, _all_become(status="IMPORT_FAILED")
    ),
    "sensor with all settings": Wait(
        AdsImportTaskSensor,
        {
            **_SENSOR,
            "import_task_id": FIRST,
            "aws_conn_id": "aws_default",
            "region_name": "us-west-2",
            "verify": False,
            "botocore_config": {"read_timeout": 7, "retries": {"mode": "standard"}},
        },
        _ONE,
    ),
    "sensor without a connection": Wait(
        AdsImportTaskSensor,
        {**_SENSOR, "import_task_id": FIRST, "aws_conn_id": None, "region_name": "us-west-2"},
        _ONE,
    ),
    "sensor of a name that no import has yet": Wait(
        AdsImportTaskSensor,
        {**_SENSOR, "name": "cmdb"},
        then=_one_appears,
    ),
    "sensor of the name of a running import": Wait(AdsImportTaskSensor, {**_SENSOR, "name": "cmdb"}, _ONE),
    "sensor whose time runs out": Wait(
        AdsImportTaskSensor, {**_SENSOR, "import_task_id": FIRST, "timeout": SHORT}, _ONE, _nothing
    ),
    "sensor whose time runs out in an outage": Wait(
        AdsImportTaskSensor,
        {**_SENSOR, "import_task_id": FIRST, "timeout": SHORT},
        _ONE,
        _nothing,
        "ThrottlingException",
    ),
    "sensor of a name whose time runs out": Wait(
        AdsImportTaskSensor, {**_SENSOR, "name": "cmdb", "timeout": SHORT}, then=_nothing
    ),
    "sensor that AWS refuses": Wait(
        AdsImportTaskSensor,
        {**_SENSOR, "import_task_id": FIRST},
        _ONE,
        _nothing,
        "AuthorizationErrorException",
    ),
    "start": Wait(AdsStartImportTaskOperator, _START),
    "start with a timeout": Wait(AdsStartImportTaskOperator, {**_START, "execution_timeout": LONG}),
    "start whose time runs out": Wait(
        AdsStartImportTaskOperator, {**_START, "execution_timeout": SHORT}, then=_nothing
    ),
    "start of an import that fails": Wait(AdsStartImportTaskOperator, _START, then=_all_become(status="IMPORT_FAILED")),
    "deletion of two imports": Wait(
        AdsDeleteImportDataOperator,
        {**_OPERATOR, "import_task_id": [FIRST, SECOND]},
        _ENDED,
        _all_become(status="DELETE_COMPLETE"),
    ),
    "deletion with the history": Wait(
        AdsDeleteImportDataOperator,
        {**_OPERATOR, "import_task_id": FIRST, "delete_history": True},
        _ENDED[:1],
        lambda ads: setattr(ads, "delete_seconds", 0.01),
    ),
    "deletion that fails": Wait(
        AdsDeleteImportDataOperator,
        {**_OPERATOR, "import_task_id": FIRST},
        _ENDED[:1],
        _all_become(status="DELETE_FAILED"),
    ),
    "deletion whose time runs out": Wait(
        AdsDeleteImportDataOperator,
        {**_OPERATOR, "import_task_id": FIRST, "execution_timeout": SHORT},
        _ENDED[:1],
        _nothing,
    ),
    "prune": Wait(
        AdsPruneImportTasksOperator,
        {**_OPERATOR, "name_prefix": "cmdb", "superseded_by": [SECOND]},
        ({**_ENDED[0], "importRequestTime": datetime.fromisoformat("2026-11-01T00:00:00+00:00")}, _ENDED[1]),
        lambda ads: ads.update_import_task(FIRST, status="DELETE_COMPLETE"),
    ),
}


def task_of(task_path: str, arguments: dict[str, Any]) -> Any:
    """Make a task of its class and its arguments as :class:`Wait` has them."""
    module, _, name = task_path.rpartition(".")
    seconds = arguments.get("execution_timeout")
    times = {} if seconds is None else {"execution_timeout": timedelta(seconds=seconds)}
    return getattr(import_module(module), name)(task_id="task", **{**arguments, **times})


def outcome_of(wait: dict[str, Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """
    Resume the task of a recorded wait.

    :param wait: the recorded wait.
    :param kwargs: what the task is resumed with.
    :return: what it returned or raised.
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
    :param ads: an emulator of its own, to which the environment leads, and whose imports and deletions do not end.
    :return: what Airflow stores of the wait, the service at the end of the wait, the event, and the outcome.
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
        "fault": wait.fault,
    }
    return {**recorded, "outcome": outcome_of(recorded, next_kwargs)}


def recording_path() -> Path:
    """Where the waits of this version are recorded on this Airflow."""
    return RELEASES / __version__ / f"airflow-{airflow_version.partition('.')[0]}.json"


def write_recording(waits: dict[str, dict[str, Any]]) -> Path:
    """Write the waits of this version on this Airflow; return the file."""
    path = recording_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    recording = {"version": __version__, "airflow": airflow_version, "waits": waits}
    path.write_text(json.dumps(recording, indent=1, default=datetime.isoformat) + "\n")
    return path
