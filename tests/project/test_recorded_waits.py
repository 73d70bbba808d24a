"""Tasks that an older release has deferred continue with this one, in the triggerer and on the worker."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import airflow
import pytest
from packaging.version import Version

from airflow_provider_ads import __version__, operators, sensors, triggers
from airflow_provider_ads.emulator import AdsEmulator
from tests.support.recorded_waits import RELEASES, WAITS, Wait, environment_of, outcome_of, recording_path
from tests.support.task_runs import decode, encode, only_event, trigger_of

RECORDINGS = [json.loads(path.read_text()) for path in sorted(RELEASES.glob("*/*.json"))]
RECORDED = [
    pytest.param(recording, wait, id=f"{recording['version']}, Airflow {recording['airflow']}: {name}")
    for recording in RECORDINGS
    for name, wait in recording["waits"].items()
]

ENDLESS: dict[str, Any] = {"import_seconds": 3_600, "delete_seconds": 3_600, "export_seconds": 3_600}

KEEP_THEM = (
    "Tasks that are deferred while a user upgrades from {version} would fail, and a trigger that cannot be created "
    "ends the triggerer. Keep the path of the class, accept the arguments that {version} has stored, and leave the "
    "recording as it is."
)


@pytest.fixture(autouse=True)
def ads(monkeypatch: pytest.MonkeyPatch) -> Iterator[AdsEmulator]:
    """An emulator to which the environment points; nothing there ends on its own."""
    with AdsEmulator(**ENDLESS) as emulator:
        for name, value in environment_of(emulator).items():
            monkeypatch.setenv(name, value)
        # Where the service always fails, boto3's own retries only take time.
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield emulator


def stored(recording: dict[str, Any], wait: dict[str, Any], name: str) -> Any:
    """Return what Airflow has stored; if that was a newer Airflow, what this one would have stored."""
    if Version(airflow.__version__) < Version(recording["airflow"]):
        return encode(wait[name])
    return wait[f"stored_{name}"]


def holds(new: Any, old: Any) -> bool:
    """Return True if a value has everything that an older one has, except for the texts of messages."""
    if isinstance(old, dict):
        return all(name == "message" or (name in new and holds(new[name], value)) for name, value in old.items())
    if isinstance(old, list):
        return len(new) == len(old) and all(map(holds, new, old))
    return bool(new == old)


@pytest.mark.parametrize(("recording", "wait"), RECORDED)
def test_a_trigger_of_an_older_release_waits_to_the_end(
    recording: dict[str, Any], wait: dict[str, Any], ads: AdsEmulator
) -> None:
    add_import_tasks(ads, wait)
    if wait["fault"]:
        ads.inject(wait["fault"])
    try:
        trigger = trigger_of(wait["classpath"], stored(recording, wait, "kwargs"))
    except Exception as error:
        pytest.fail(f"{wait['classpath']}: {error}. " + KEEP_THEM.format_map(recording))
    event = asyncio.run(only_event(trigger))
    old = wait["next_kwargs"]["event"]
    # A wait that timed out then has timed out before its trigger is created, so its event has no import tasks.
    assert event["status"] == old["status"], event
    assert old["status"] == "timeout" or holds(event, old), KEEP_THEM.format_map(recording)
    outcome = outcome_of(wait, {**wait["next_kwargs"], "event": event})
    assert holds(outcome, wait["outcome"]), f"With {recording['version']} it ended differently: {outcome}"


@pytest.mark.parametrize(("recording", "wait"), RECORDED)
def test_an_event_of_an_older_release_resumes_its_task(
    recording: dict[str, Any], wait: dict[str, Any], ads: AdsEmulator
) -> None:
    # A task polls once more after a timeout.
    add_import_tasks(ads, wait)
    outcome = outcome_of(wait, decode(stored(recording, wait, "next_kwargs")))
    assert holds(outcome, wait["outcome"]), (
        f"With {recording['version']} the task ended differently: {outcome}. Let {wait['next_method']} accept the "
        "older event, and leave the recording as it is."
    )


def add_import_tasks(ads: AdsEmulator, wait: dict[str, Any]) -> None:
    """Put the imports and exports of a recorded wait into the emulator."""
    # Recordings of 0.1.0 have no exports.
    recorded = {ads.add_import_task: wait["import_tasks"], ads.add_export_task: wait.get("export_tasks", [])}
    for add, tasks in recorded.items():
        for fields in tasks:
            times = {name: datetime.fromisoformat(value) for name, value in fields.items() if name.endswith("Time")}
            add(**{**fields, **times})


def shape_of(task: str, classpath: str, method: str, kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a later release must accept: names and types, without the values."""
    return task, classpath, method, tuple(sorted((name, type(value).__name__) for name, value in kwargs.items()))


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[Any, ...]]:
    """The shapes of all waits with today's code."""
    return {name: shape_now(wait) for name, wait in WAITS.items()}


def shape_now(wait: Wait) -> tuple[Any, ...]:
    with pytest.MonkeyPatch.context() as monkeypatch, AdsEmulator(**ENDLESS) as ads:
        for name, value in environment_of(ads).items():
            monkeypatch.setenv(name, value)
        deferred = wait.defer(ads)
    classpath, kwargs = deferred.trigger.serialize()
    return shape_of(wait.task_path, classpath, deferred.method_name, kwargs)


RECORD_IT = "Change WAITS in tests/support/recorded_waits.py, which lacks or still has"


def test_every_trigger_and_every_deferrable_task_is_recorded(shapes: dict[str, tuple[Any, ...]]) -> None:
    made = {f"{triggers.__name__}.{name}" for name in triggers.__all__ if isinstance(getattr(triggers, name), type)}
    made.remove(f"{triggers.__name__}.{triggers.AdsWaitTrigger.__name__}")  # the base class
    missing = made ^ {classpath for _, classpath, _, _ in shapes.values()}
    assert not missing, f"{RECORD_IT} {missing}"
    public = [getattr(module, name) for module in (operators, sensors) for name in module.__all__]
    deferrable = {value for value in public if "deferrable" in inspect.signature(value.__init__).parameters}
    missing = deferrable ^ {wait.task_class for wait in WAITS.values()}
    assert not missing, f"{RECORD_IT} {missing}"


def test_every_argument_is_recorded_with_and_without_a_value(shapes: dict[str, tuple[Any, ...]]) -> None:
    recorded = {argument for *_, arguments in shapes.values() for argument in arguments}
    for name, parameter in inspect.signature(triggers.AdsImportTaskTrigger).parameters.items():
        given = {type_name != "NoneType" for argument, type_name in recorded if argument == name}
        assert given == ({True, False} if "None" in str(parameter.annotation) else {True}), f"{RECORD_IT} {name!r}"


@pytest.mark.skipif(Version(__version__).is_devrelease, reason="only releases are recorded")
def test_this_release_is_recorded(shapes: dict[str, tuple[Any, ...]]) -> None:
    path = recording_path()
    assert path.exists(), f"Run make record, and commit {path.parent}"
    waits = json.loads(path.read_text())["waits"]
    names = ("task", "classpath", "next_method", "kwargs")
    recorded = {name: shape_of(*(wait[part] for part in names)) for name, wait in waits.items()}
    assert recorded == shapes, f"{path} is out of date: run make record again"
