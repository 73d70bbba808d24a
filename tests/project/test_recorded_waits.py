"""Tasks that were deferred under an older release go on under this one, in the triggerer and on the worker."""

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

KEEP_THEM = (
    "Tasks that wait while a user upgrades from {version} would fail, and a trigger that cannot be made ends the "
    "triggerer. Keep the class where it was, have its constructor take also the arguments that {version} has stored, "
    "and leave the recording as it is."
)


@pytest.fixture(autouse=True)
def ads(monkeypatch: pytest.MonkeyPatch) -> Iterator[AdsEmulator]:
    """An emulator that tasks and triggers reach, whose imports and deletions do not end by themselves."""
    with AdsEmulator(import_seconds=3_600, delete_seconds=3_600) as emulator:
        for name, value in environment_of(emulator).items():
            monkeypatch.setenv(name, value)
        yield emulator


def stored(recording: dict[str, Any], wait: dict[str, Any], name: str) -> Any:
    """What Airflow has stored; where a newer Airflow had, what this one would have."""
    if Version(airflow.__version__) < Version(recording["airflow"]):
        return encode(wait[name])
    return wait[f"stored_{name}"]


def holds(new: Any, old: Any) -> bool:
    """Whether a value has all that an older one has, but for the words of messages."""
    if isinstance(old, dict):
        return all(name == "message" or (name in new and holds(new[name], value)) for name, value in old.items())
    if isinstance(old, list):
        return len(new) == len(old) and all(map(holds, new, old))
    return bool(new == old)


@pytest.mark.parametrize(("recording", "wait"), RECORDED)
def test_a_trigger_of_an_older_release_waits_to_its_end(
    recording: dict[str, Any], wait: dict[str, Any], ads: AdsEmulator
) -> None:
    for fields in wait["import_tasks"]:
        times = {name: datetime.fromisoformat(value) for name, value in fields.items() if name.endswith("Time")}
        ads.add_import_task(**{**fields, **times})
    if wait["fault"]:
        ads.inject(wait["fault"])
    try:
        trigger = trigger_of(wait["classpath"], stored(recording, wait, "kwargs"))
    except Exception as error:
        pytest.fail(f"{wait['classpath']}: {error}. " + KEEP_THEM.format_map(recording))
    event = asyncio.run(only_event(trigger))
    old = wait["next_kwargs"]["event"]
    # Time that ran out then has run out when the trigger is made, and nothing is seen any more.
    assert event["status"] == old["status"], event
    assert old["status"] == "timeout" or holds(event, old), KEEP_THEM.format_map(recording)
    outcome = outcome_of(wait, {**wait["next_kwargs"], "event": event})
    assert holds(outcome, wait["outcome"]), f"It ends otherwise than under {recording['version']}: {outcome}"


@pytest.mark.parametrize(("recording", "wait"), RECORDED)
def test_an_event_of_an_older_release_is_understood(recording: dict[str, Any], wait: dict[str, Any]) -> None:
    outcome = outcome_of(wait, decode(stored(recording, wait, "next_kwargs")))
    assert holds(outcome, wait["outcome"]), (
        f"A task that the triggerer of {recording['version']} has resumed would not end on a worker of this version as "
        f"it did, but so: {outcome}. Have {wait['next_method']} understand also the older event, and leave the "
        "recording as it is."
    )


# -- what is recorded ------------------------------------------------------------------------------------------


def shape_of(task: str, classpath: str, method: str, kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """What a later release must be able to take over, without the values."""
    return task, classpath, method, tuple(sorted((name, type(value).__name__) for name, value in kwargs.items()))


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[Any, ...]]:
    """The shapes of all waits as this code makes them."""
    return {name: shape_now(wait) for name, wait in WAITS.items()}


def shape_now(wait: Wait) -> tuple[Any, ...]:
    with pytest.MonkeyPatch.context() as monkeypatch, AdsEmulator(import_seconds=3_600, delete_seconds=3_600) as ads:
        for name, value in environment_of(ads).items():
            monkeypatch.setenv(name, value)
        deferred = wait.defer(ads)
    classpath, kwargs = deferred.trigger.serialize()
    return shape_of(wait.task_path, classpath, deferred.method_name, kwargs)


RECORD_IT = "Add a task that makes it so to WAITS in tests/support/recorded_waits.py: missing there, or gone, is"


def test_every_trigger_is_recorded_by_every_task_that_makes_one(shapes: dict[str, tuple[Any, ...]]) -> None:
    made = {f"{triggers.__name__}.{name}" for name in triggers.__all__ if isinstance(getattr(triggers, name), type)}
    missing = made ^ {classpath for _, classpath, _, _ in shapes.values()}
    assert not missing, f"{RECORD_IT} {missing}"
    public = [getattr(module, name) for module in (operators, sensors) for name in module.__all__]
    deferrable = {value for value in public if "deferrable" in inspect.signature(value.__init__).parameters}
    missing = deferrable ^ {wait.task_class for wait in WAITS.values()}
    assert not missing, f"{RECORD_IT} {missing}"


def test_every_argument_is_recorded_given_and_left_out(shapes: dict[str, tuple[Any, ...]]) -> None:
    recorded = {argument for *_, arguments in shapes.values() for argument in arguments}
    for name, parameter in inspect.signature(triggers.AdsImportTaskTrigger).parameters.items():
        given = {type_name != "NoneType" for argument, type_name in recorded if argument == name}
        assert given == ({True, False} if "None" in str(parameter.annotation) else {True}), f"{RECORD_IT} {name!r}"


@pytest.mark.skipif(Version(__version__).is_devrelease, reason="what is not released yet is not recorded either")
def test_this_release_is_recorded(shapes: dict[str, tuple[Any, ...]]) -> None:
    path = recording_path()
    assert path.exists(), f"Run make record, and commit {path.parent}"
    waits = json.loads(path.read_text())["waits"]
    names = ("task", "classpath", "next_method", "kwargs")
    recorded = {name: shape_of(*(wait[part] for part in names)) for name, wait in waits.items()}
    assert recorded == shapes, f"{path} is not of this code: run make record again"


def test_what_an_older_release_has_is_compared_with_what_is_new() -> None:
    old = {"status": "finished", "tasks": [{"importTaskId": "1", "status": None}], "error": {"message": "old"}}
    assert holds({**old, "error": {"message": "new", "more": 1}}, old)
    assert not holds({**old, "tasks": []}, old)
    assert not holds({**old, "tasks": [{"importTaskId": "1"}]}, old)
