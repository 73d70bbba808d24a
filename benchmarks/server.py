"""A stand-in for AWS that is fast enough not to distort measurements: it answers and counts ``DescribeImportTasks``."""

from __future__ import annotations

import asyncio
import json
import math
import time
from typing import Any

from aiohttp import web

__all__ = ["SAMPLE_SECONDS"]

#: Seconds between two samples of the server's own CPU time.
SAMPLE_SECONDS = 2.0


class Service:
    """Import tasks, each of which ends a planned number of seconds after every task has been polled once."""

    def __init__(self) -> None:
        self.delays: dict[str, float] = {}
        self.ends: dict[str, float] = {}
        self.not_polled: set[str] = set()
        self.all_polled: float | None = None
        self.calls: list[float] = []
        self.busiest = 0.0

    async def plan(self, request: web.Request) -> web.Response:
        """Accept a new plan, the seconds after which each task ends, and forget the previous one."""
        self.delays = await request.json()
        self.not_polled, self.all_polled = set(self.delays), None
        self.ends, self.calls, self.busiest = {}, [], 0.0
        return web.Response()

    async def report(self, _: web.Request) -> web.Response:
        """Return when calls arrived, when all tasks had been polled, when each ended, and the peak share of a core."""
        names = ("calls", "all_polled", "ends", "busiest")
        return web.json_response({name: getattr(self, name) for name in names})

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a call in the protocol awsJson 1.1."""
        now = time.time()
        if request.headers["X-Amz-Target"] != "AWSPoseidonService_V2015_11_01.DescribeImportTasks":
            return web.json_response({"__type": "UnknownOperationException"}, status=400)
        (ids,) = (each["values"] for each in (await request.json())["filters"] if each["name"] == "IMPORT_TASK_ID")
        self.calls.append(now)
        if self.not_polled:
            self.not_polled.difference_update(ids)
            if not self.not_polled:
                self.all_polled = now
                self.ends = {import_task_id: now + delay for import_task_id, delay in self.delays.items()}
        tasks = [self._describe(import_task_id, now) for import_task_id in ids if import_task_id in self.delays]
        return web.json_response({"tasks": tasks}, content_type="application/x-amz-json-1.1")

    def _describe(self, import_task_id: str, now: float) -> dict[str, Any]:
        end = self.ends.get(import_task_id, math.inf)
        task = {
            "importTaskId": import_task_id,
            "clientRequestToken": import_task_id[-32:],
            "name": import_task_id,
            "importUrl": f"s3://inventory/{import_task_id}.csv",
            "status": "IMPORT_IN_PROGRESS",
            "importRequestTime": 1.8e9,
            "serverImportSuccess": 0,
            "serverImportFailure": 0,
            "applicationImportSuccess": 0,
            "applicationImportFailure": 0,
        }
        return task if now < end else {**task, "status": "IMPORT_COMPLETE", "importCompletionTime": end}

    async def watch(self) -> None:
        """Sample the server's own CPU time forever."""
        cpu, now = time.process_time(), time.monotonic()
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            last_cpu, last, cpu, now = cpu, now, time.process_time(), time.monotonic()
            self.busiest = max(self.busiest, (cpu - last_cpu) / (now - last))


async def main() -> None:
    """Serve on a free port, and print its number, until the process is terminated."""
    service = Service()
    application = web.Application()
    application.add_routes(
        [web.post("/", service.answer), web.post("/plan", service.plan), web.get("/report", service.report)]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    print(json.dumps(runner.addresses[0][1]), flush=True)
    await service.watch()


if __name__ == "__main__":
    asyncio.run(main())
