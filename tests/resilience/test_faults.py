"""Throttling, errors, lost connections, an outage, expired credentials: each wait still yields one event."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from typing import Any

import pytest

from airflow_provider_ads.triggers import AdsImportTaskTrigger
from tests.resilience.parameters import OUTAGE, WAITS
from tests.support.recording_emulator import Call, emulator_process

#: During the first sixth of the outage, nothing listens on the port. Then every call returns an error.
REFUSAL = OUTAGE / 6

#: Seconds between two polls of a wait. Without a back-off, it would poll 30 times during the outage.
INTERVAL = OUTAGE / 30

#: Seconds over which imports end before the outage, and again after it.
SPREAD = 20 * INTERVAL

#: Faults, each with its share of the calls that the faults before it do not affect.
SHARES = {"ThrottlingException": 0.30, "ServerInternalErrorException": 0.05 / 0.70, "drop": 0.02 / 0.65}

#: The answers by which the emulator records these faults.
FAULTS = {"ThrottlingException", "ServerInternalErrorException", "dropped"}

#: The final statuses of the imports, in turn.
STATUSES = ("IMPORT_COMPLETE", "IMPORT_FAILED", "IMPORT_COMPLETE_WITH_ERRORS", "INTERNAL_ERROR")

#: Seconds after which a wait counts as hanging.
TIMEOUT = 300 + 20 * OUTAGE


class Script:
    """
    The events at AWS while the triggers wait for the imports.

    :param emulator: the emulator with the imports, or a proxy of it.
    :param monkeypatch: changes the Airflow connection.
    :ivar statuses: the final status of each import.
    :ivar outage_began: when the outage began, in seconds since the epoch.
    """

    def __init__(self, emulator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.emulator = emulator
        self.monkeypatch = monkeypatch
        self.outage_began = 0.0
        statuses = zip(range(WAITS), cycle(STATUSES), strict=False)
        self.statuses = {emulator.add_import_task(): status for _, status in statuses}
        self._running = iter(list(self.statuses.items()))

    async def run(self) -> None:
        """End a third of the imports before the outage, a third during it, and a third after it."""
        for fault, share in SHARES.items():
            self.emulator.inject(fault, share=share)
        await self._end_imports(WAITS // 3, SPREAD)
        await self._until("a call hits every fault", lambda calls: {call.answer for call in calls} >= FAULTS)
        self.connect_with("new")
        self.emulator.expire("old")
        await self._until("a call has the new key", lambda calls: calls[-1].key == "new")
        self.outage_began = time.time()
        self.emulator.inject("ServiceUnavailable", seconds=OUTAGE)
        self.emulator.inject("refuse", seconds=REFUSAL)
        await self._end_imports(WAITS // 3, OUTAGE)
        await self._end_imports(WAITS, SPREAD)

    def connect_with(self, key: str) -> None:
        """Set the access key of the Airflow connection."""
        self.monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", self.emulator.connection_with(key))

    async def _end_imports(self, count: int, seconds: float) -> None:
        """End at most this many of the running imports, spread over some seconds."""
        began = time.monotonic()
        for number, (import_task_id, status) in zip(range(count), self._running, strict=False):
            self.emulator.update_import_task(import_task_id, status=status)
            await asyncio.sleep(began + seconds * (number + 1) / min(count, WAITS // 3) - time.monotonic())

    async def _until(self, description: str, condition: Callable[[list[Call]], bool]) -> None:
        """Wait until a condition holds for the calls."""
        deadline = time.monotonic() + TIMEOUT
        while not condition(self.emulator.answered_calls()):
            assert time.monotonic() < deadline, f"not after {TIMEOUT:.0f} s: {description}"
            await asyncio.sleep(INTERVAL)


def test_every_wait_yields_one_event_with_the_final_status(monkeypatch: pytest.MonkeyPatch) -> None:
    with emulator_process() as emulator:
        script = Script(emulator, monkeypatch)
        script.connect_with("old")
        events: dict[str, list[Any]] = {import_task_id: [] for import_task_id in script.statuses}
        asyncio.run(run_waits(events, script))
        calls = emulator.answered_calls()
    endings = {import_task_id: [ending_of(event) for event in events[import_task_id]] for import_task_id in events}
    assert endings == {
        import_task_id: [("finished", [(import_task_id, status)])] for import_task_id, status in script.statuses.items()
    }
    began, ended = script.outage_began + REFUSAL, script.outage_began + OUTAGE
    polled = sum(len(call.import_task_ids) for call in calls if began <= call.time <= ended)
    # Without a back-off, the waits whose imports are still running after the outage alone would poll this often.
    without_back_off = (WAITS - WAITS // 3) * (OUTAGE - REFUSAL) / INTERVAL
    assert polled < without_back_off / 3


async def run_waits(events: dict[str, list[Any]], script: Script) -> None:
    """Run a trigger for each import, and the script."""

    async def wait(import_task_id: str) -> None:
        async for event in AdsImportTaskTrigger([import_task_id], INTERVAL).run():
            events[import_task_id].append(event.payload)

    # A wait that does not end has no event, and fails the test.
    with suppress(TimeoutError):
        async with asyncio.timeout(TIMEOUT), asyncio.TaskGroup() as tasks:
            for import_task_id in events:
                tasks.create_task(wait(import_task_id))
            await script.run()


def ending_of(event: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    """Return the status of a wait's event, and the status of each import in it."""
    return event["status"], [(task["importTaskId"], task["status"]) for task in event.get("tasks", [])]
