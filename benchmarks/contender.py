"""
Measure one contender, an implementation of the wait, in a process of its own.

All waits run on one event loop, as in a triggerer. The first argument is the job as JSON. The second one is the file
for the result, because Airflow logs to the output.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import statistics
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiobotocore.session  # type: ignore[import-untyped]
import psutil
from aiobotocore.client import AioClientCreator  # type: ignore[import-untyped]
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.triggers.base import BaseTrigger

from airflow_provider_ads.triggers import AdsImportTaskTrigger
from benchmarks.peer import PeerTrigger
from benchmarks.waiting import SECONDS_OF_ENDS, Job, Result

#: Seconds that the ticker sleeps. It wakes up late if the event loop is busy, by as long as that takes.
TICK = 0.01

#: Seconds for which the ticker runs alone, to measure the CPU time that it uses itself.
CALIBRATION_SECONDS = 3.0

#: Ticks between two samples of the process's memory.
MEMORY_TICKS = 25

#: Called with the id of an import when its end becomes known.
OnEnd = Callable[[str], None]


async def ours(job: Job, import_task_ids: list[str], on_end: OnEnd) -> None:
    """Wait for each import with a trigger of this provider."""
    await run_triggers(
        {
            import_task_id: AdsImportTaskTrigger([import_task_id], job.interval, aws_conn_id=job.aws_conn_id(index))
            for index, import_task_id in enumerate(import_task_ids)
        },
        on_end,
    )


async def peer(job: Job, import_task_ids: list[str], on_end: OnEnd) -> None:
    """Wait for each import with a trigger on the Amazon provider's base."""
    await run_triggers(
        {
            import_task_id: PeerTrigger(import_task_id, int(job.interval), 1_000_000, job.aws_conn_id(index))
            for index, import_task_id in enumerate(import_task_ids)
        },
        on_end,
    )


async def floor(job: Job, import_task_ids: list[str], on_end: OnEnd) -> None:
    """Wait for all imports as cheaply as aiobotocore can, with one loop, one client and no Airflow: a lower bound."""
    async with aiobotocore.session.get_session().create_client(
        "discovery", "us-west-2", endpoint_url=job.endpoint_url, aws_access_key_id="-", aws_secret_access_key="-"
    ) as client:
        waiting = import_task_ids
        while waiting:
            await asyncio.sleep(job.interval)
            running = []
            for start in range(0, len(waiting), 100):
                ids = {"name": "IMPORT_TASK_ID", "values": waiting[start : start + 100]}
                for task in (await client.describe_import_tasks(filters=[ids]))["tasks"]:
                    if task["status"] == "IMPORT_IN_PROGRESS":
                        running.append(task["importTaskId"])
                    else:
                        on_end(task["importTaskId"])
            waiting = running


CONTENDERS: dict[str, Callable[[Job, list[str], OnEnd], Awaitable[None]]] = {"ours": ours, "peer": peer, "floor": floor}


async def run_triggers(triggers: dict[str, BaseTrigger], on_end: OnEnd) -> None:
    """Run triggers as the triggerer does: each in a task of its own."""

    async def run(import_task_id: str, trigger: BaseTrigger) -> None:
        async for event in trigger.run():
            if event.payload["status"] not in ("finished", "success"):
                raise RuntimeError(f"{import_task_id}: {event.payload}")
            on_end(import_task_id)

    async with asyncio.TaskGroup() as group:
        for import_task_id, trigger in triggers.items():
            group.create_task(run(import_task_id, trigger))


class Ticker:
    """
    Wakes up every :data:`TICK` seconds.

    It records how late it is, with and without garbage collections, and the memory of the process.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._collecting_since: float | None = None
        self._collected = 0.0
        self.lateness: list[float] = []
        self.longest_without_gc = 0.0
        gc.collect()
        gc.callbacks.append(self._note_collection)
        self._memory_before = self._most_memory = self._process.memory_info().rss

    @property
    def memory_added(self) -> int:
        """Peak memory of the process in bytes, less its memory at the start."""
        return self._most_memory - self._memory_before

    async def tick(self) -> None:
        """Tick forever."""
        while True:
            start = time.monotonic()
            collected = self._collected_until(start)
            await asyncio.sleep(TICK)
            now = time.monotonic()
            late = now - start - TICK
            self.lateness.append(late)
            late -= self._collected_until(now) - collected
            self.longest_without_gc = max(self.longest_without_gc, late)
            if not len(self.lateness) % MEMORY_TICKS:
                self._most_memory = max(self._most_memory, self._process.memory_info().rss)

    def _collected_until(self, now: float) -> float:
        # Another thread's collection may have just ended without its callback having run yet.
        return self._collected + (0.0 if self._collecting_since is None else now - self._collecting_since)

    def _note_collection(self, phase: str, _: dict[str, int]) -> None:
        now = time.monotonic()
        self._collected = self._collected_until(now)
        self._collecting_since = now if phase == "start" else None


async def tick_during(work: Awaitable[None]) -> tuple[Ticker, float]:
    """Tick until an awaitable is done; return the ticker, and the seconds of CPU that both used."""
    ticker = Ticker()
    cpu = time.process_time()
    ticking = asyncio.create_task(ticker.tick())
    await work
    cpu = time.process_time() - cpu
    ticking.cancel()
    return ticker, cpu


def count(
    owner: Any, name: str, counts: Counter[str], wrapper: Callable[[Any], Any] = lambda function: function
) -> None:
    """Count the calls of a method by replacing it."""
    original = getattr(owner, name)

    def counted(*args: Any, **kwargs: Any) -> Any:
        counts[name] += 1
        return original(*args, **kwargs)

    setattr(owner, name, wrapper(counted))


def request(url: str, body: Any = None) -> Any:
    """Send the server a request of its own, which AWS does not have."""
    with urllib.request.urlopen(url, None if body is None else json.dumps(body).encode()) as response:
        return json.loads(response.read() or "null")


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile of some values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


async def measure(job: Job) -> Result:
    """Run the contender until all imports have ended, and return the figures."""
    counts: Counter[str] = Counter()
    count(AioClientCreator, "create_client", counts)
    count(AwsGenericHook, "get_connection", counts, staticmethod)
    ends = random.Random(job.waits)
    delays = {
        f"import-task-{index:032x}": job.rounds * job.interval + ends.uniform(0, SECONDS_OF_ENDS)
        for index in range(job.waits)
    }
    request(f"{job.endpoint_url}/plan", delays)
    event_times: dict[str, float] = {}

    def on_end(import_task_id: str) -> None:
        event_times[import_task_id] = time.time()

    alone, cpu_alone = await tick_during(asyncio.sleep(CALIBRATION_SECONDS))
    started = time.time()
    ticker, cpu = await tick_during(CONTENDERS[job.contender](job, list(delays), on_end))
    report = request(f"{job.endpoint_url}/report")
    latencies = [event_times[import_task_id] - end for import_task_id, end in report["ends"].items()]
    rounds_end = report["all_polled"] + job.rounds * job.interval
    return Result(
        calls=sum(report["all_polled"] < call <= rounds_end for call in report["calls"]) / job.rounds,
        cpu=cpu - cpu_alone / len(alone.lateness) * len(ticker.lateness),
        memory=ticker.memory_added / 1e6,
        stall_99=percentile(ticker.lateness, 99) * 1e3,
        stall_longest=max(ticker.lateness) * 1e3,
        stall_without_gc=ticker.longest_without_gc * 1e3,
        latency_50=percentile(latencies, 50),
        latency_99=percentile(latencies, 99),
        clients=counts["create_client"],
        lookups=counts["get_connection"],
        started=report["all_polled"] - started,
        server=report["busiest"] * 100,
    )


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(asdict(asyncio.run(measure(Job(**json.loads(sys.argv[1])))))))
