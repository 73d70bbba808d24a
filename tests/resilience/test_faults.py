"""
Whatever AWS does meanwhile, throttling, errors, lost connections, an outage, expired credentials: one wait, one event.

Few waits and a short outage in ``make test``, 1,000 waits and a minute with ``make load``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import pytest

from airflow_provider_ads.triggers import AdsImportTaskTrigger
from tests.support.emulator_process import Call, EmulatorProcess

WAITS = int(os.environ.get("FAULTS_WAITS", "100"))

#: Seconds for which no call is answered; during the first sixth of them nothing listens on the port either.
OUTAGE = float(os.environ.get("FAULTS_OUTAGE", "3"))
REFUSAL = OUTAGE / 6

#: Seconds between two looks of a wait: 30 looks in an outage, if they went on as before.
INTERVAL = OUTAGE / 30

#: Seconds for which ends of imports are spread, before the outage and after it.
SPREAD = 20 * INTERVAL

#: Faults, and the share of those calls that meet none of the faults above them.
SHARES = {"ThrottlingException": 0.30, "ServerInternalErrorException": 0.05 / 0.70, "drop": 0.02 / 0.65}

#: What those calls are answered.
FAULTS = ("ThrottlingException", "ServerInternalErrorException", "dropped")

#: The statuses that imports end with, in turn.
STATUSES = ("IMPORT_COMPLETE", "IMPORT_FAILED", "IMPORT_COMPLETE_WITH_ERRORS", "INTERNAL_ERROR")

#: Seconds after which what has not ended will not.
PATIENCE = 300 + 20 * OUTAGE


@dataclass
class Phase:
    """
    A part of the run.

    :param name: what it is called.
    :param began: when it began, in seconds since the epoch.
    :param ended: when it ended.
    :param calls: what was called meanwhile.
    """

    name: str
    began: float
    ended: float
    calls: list[Call]

    def __str__(self) -> str:
        seconds = self.ended - self.began
        return f"{self.name:<22}{seconds:>9.1f}{len(self.calls):>8}{len(self.calls) / seconds:>16.2f}"


class Director:
    """
    Lets imports end, and calls fail, while they are waited for.

    :param emulator: where the imports are.
    :param monkeypatch: changes the Airflow connection.
    """

    def __init__(self, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> None:
        self.emulator = emulator
        self.monkeypatch = monkeypatch
        statuses = cycle(STATUSES)
        self.ends = {emulator.ask("add_import_task"): status for _, status in zip(range(WAITS), statuses, strict=False)}
        self.to_end = iter(list(self.ends.items()))
        self.outage_began = 0.0

    async def direct(self) -> None:
        """Direct the whole run: a third of the imports ends before the outage, one in it and one after it."""
        for fault, share in SHARES.items():
            self.emulator.ask("inject", fault=fault, share=share)
        await self.end_imports(WAITS // 3, SPREAD)
        await self.until("every fault is met", lambda calls: {call.answer for call in calls} >= set(FAULTS))
        await self.let_credentials_expire()
        self.outage_began = time.time()
        self.emulator.ask("inject", fault="ServiceUnavailable", seconds=OUTAGE)
        self.emulator.ask("inject", fault="refuse", seconds=REFUSAL)
        await self.end_imports(WAITS // 3, OUTAGE)
        await self.end_imports(WAITS, SPREAD)

    async def let_credentials_expire(self) -> None:
        """Put a new access key into the Airflow connection, and then let the old one expire."""
        self.connect_with("new")
        self.emulator.ask("expire", key="old")
        await self.until("a call has the new key", lambda calls: calls[-1].key == "new")

    def connect_with(self, key: str) -> None:
        """Write the Airflow connection."""
        self.monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", self.emulator.ask("connection", key=key))

    async def end_imports(self, count: int, seconds: float) -> None:
        """End the next imports, as many as there are, spread over some seconds."""
        began = time.monotonic()
        for number, (import_task_id, status) in zip(range(count), self.to_end, strict=False):
            self.emulator.ask("update_import_task", import_task_id=import_task_id, status=status)
            await asyncio.sleep(began + seconds * (number + 1) / min(count, WAITS // 3) - time.monotonic())

    async def until(self, what: str, true: Callable[[list[Call]], bool]) -> None:
        """Wait until something can be said of the calls."""
        deadline = time.monotonic() + PATIENCE
        while not true(self.emulator.calls()):
            assert time.monotonic() < deadline, f"not yet after {PATIENCE:.0f} s: {what}"
            await asyncio.sleep(INTERVAL)

    def phases(self) -> list[Phase]:
        """The parts of the run before, in and after the outage; calls that are refused are not seen."""
        calls = self.emulator.calls()
        borders = {
            "before the outage": (calls[0].time, self.outage_began),
            "in it": (self.outage_began + REFUSAL, self.outage_began + OUTAGE),
            "after it": (self.outage_began + OUTAGE, calls[-1].time),
        }
        return [
            Phase(name, began, ended, [call for call in calls if began <= call.time <= ended])
            for name, (began, ended) in borders.items()
        ]


@pytest.fixture
def emulator() -> Iterator[EmulatorProcess]:
    """An emulator that takes no time from the waits."""
    with EmulatorProcess() as process:
        yield process


def test_every_wait_ends_right_and_once(
    emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    director = Director(emulator, monkeypatch)
    director.connect_with("old")
    events: dict[str, list[Any]] = {import_task_id: [] for import_task_id in director.ends}

    async def wait(import_task_id: str) -> None:
        async for event in AdsImportTaskTrigger([import_task_id], INTERVAL).run():
            events[import_task_id].append(event.payload)

    async def run() -> None:
        # A wait that does not end has no event then.
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as waits:
                for import_task_id in events:
                    waits.create_task(wait(import_task_id))
                await director.direct()

    asyncio.run(run())
    phases = director.phases()
    answers = Counter(call.answer for call in emulator.calls())
    wrong = {
        import_task_id: events[import_task_id]
        for import_task_id, status in director.ends.items()
        if told(events[import_task_id]) != [("finished", [(import_task_id, status)])]
    }
    with capsys.disabled():
        print(f"\n{WAITS:,} waits, each looking every {INTERVAL:g} s; an outage of {OUTAGE:g} s")
        print(f"{'':<22}{'seconds':>9}{'calls':>8}{'calls a second':>16}")
        print(*phases, sep="\n")
        print("answers:", ", ".join(f"{count} {answer}" for answer, count in answers.most_common()))
        print(f"{sum(map(len, events.values())):,} events, {len(wrong)} waits that did not end as they should")
    assert wrong == {}
    _, outage, _ = phases
    # So many looks it would be if the waits that cannot have ended went on as before. A slow machine makes them fewer.
    unabated = (WAITS - WAITS // 3) * (OUTAGE - REFUSAL) / INTERVAL
    assert sum(call.looks for call in outage.calls) < unabated / 3


def told(events: list[Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """What events say: how the wait ended, and each import."""
    return [
        (event["status"], [(task["importTaskId"], task["status"]) for task in event.get("tasks", [])])
        for event in events
    ]
