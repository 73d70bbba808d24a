"""
An STS that answers late or never delays only the connections that need it.

Their waits report an outage. The waits of other connections end, time out and can be cancelled as usual, and the
triggerer stops as fast as usual.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ads.triggers import EARLIEST_EVENT, AdsImportTaskTrigger
from tests.resilience.kills import wait_until
from tests.resilience.parameters import STS
from tests.resilience.results import TABLES
from tests.support.airflow import LocalAirflow
from tests.support.credentials_endpoint import CredentialsEndpoint
from tests.support.recording_emulator import RecordingEmulator
from tests.support.task_runs import only_event

HERE = Path(__file__).parent
ROLE = "arn:aws:iam::123456789012:role/importer"
ROLES = 50
INTERVAL = 1.0


@pytest.fixture
def ads() -> Iterator[RecordingEmulator]:
    with RecordingEmulator(access_keys={"AKIAUSER": "secret"}, roles=[ROLE]) as emulator:
        yield emulator


@pytest.fixture
def sts(ads: RecordingEmulator) -> Iterator[CredentialsEndpoint]:
    with CredentialsEndpoint(ads) as endpoint:
        yield endpoint


def connections(ads: RecordingEmulator, sts: CredentialsEndpoint, roles: int) -> dict[str, str]:
    """Return the environment with a connection with keys, and some with a role."""
    with_role = json.loads(ads.airflow_connection)
    with_role["extra"]["role_arn"] = ROLE
    with_role["extra"].setdefault("service_config", {})["sts"] = {"endpoint_url": sts.url}
    return {
        "AIRFLOW_CONN_KEYS": ads.airflow_connection,
        **{f"AIRFLOW_CONN_ROLE_{number}": json.dumps(with_role) for number in range(roles)},
    }


@asynccontextmanager
async def longest_stall() -> AsyncIterator[list[float]]:
    """Measure the seconds for which the event loop was blocked."""
    stalls = [0.0]

    async def watch() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            stalls[0] = max(stalls[0], time.monotonic() - before - 0.01)

    task = asyncio.create_task(watch())
    yield stalls
    task.cancel()


@pytest.mark.parametrize("delay", [STS, None], ids=[f"{STS:.0f} s", "never"])
def test_an_sts_that_answers_late_or_never_affects_only_its_connections(
    ads: RecordingEmulator, sts: CredentialsEndpoint, monkeypatch: pytest.MonkeyPatch, delay: float | None
) -> None:
    for name, connection in connections(ads, sts, ROLES).items():
        monkeypatch.setenv(name, connection)
    sts.delay = delay
    with_role, with_keys = (ads.add_import_task(importUrl="s3://bucket/key") for _ in range(2))

    def trigger(import_task_id: str, connection: str, **arguments: Any) -> AdsImportTaskTrigger:
        return AdsImportTaskTrigger([import_task_id], INTERVAL, aws_conn_id=connection, **arguments)

    async def timed(awaitable: Any) -> tuple[Any, float]:
        return await awaitable, time.time()

    async def run() -> dict[str, float]:
        async with longest_stall() as stalls:
            hanging = [asyncio.create_task(only_event(trigger(with_role, f"role_{number}"))) for number in range(ROLES)]
            deadline = time.time() + EARLIEST_EVENT + 2
            late = asyncio.create_task(timed(only_event(trigger(with_role, "role_0", deadline=deadline))))
            other = asyncio.create_task(timed(only_event(trigger(with_keys, "keys"))))
            await asyncio.sleep(EARLIEST_EVENT + 1)
            ads.update_import_task(with_keys, status="IMPORT_COMPLETE")
            ended = time.time()
            event, other_time = await other
            assert event["status"] == "finished"
            event, late_time = await late
            assert event["status"] == "timeout"
            # The threads that ask for credentials are still waiting, or have just been answered.
            threads = sum(thread.name == "ads-credentials" for thread in threading.enumerate())
            if delay is not None:
                await asyncio.sleep(max(0.0, delay - 5))
                ads.update_import_task(with_role, status="IMPORT_COMPLETE")
                async with asyncio.timeout(delay + 300):
                    events = await asyncio.gather(*hanging)
                assert {each["status"] for each in events} == {"finished"}
            before = time.monotonic()
            for each in hanging:
                each.cancel()
            await asyncio.wait(hanging)
            return {
                "longest stall of the loop, s": stalls[0],
                "another connection's event after its import ended, s": other_time - ended,
                "timeout after its deadline, s": late_time - deadline,
                f"cancelling {ROLES} waits, s": time.monotonic() - before,
                f"threads for {ROLES} connections": threads,
            }

    figures = asyncio.run(run())
    assert figures[f"threads for {ROLES} connections"] <= ROLES
    TABLES.append(f"STS answers after {delay:.0f} s" if delay is not None else "STS never answers")
    TABLES.extend(f"    {name:<60}{figure:>10.2f}" for name, figure in figures.items())


def test_the_triggerer_works_and_stops_while_sts_does_not_answer(
    ads: RecordingEmulator, sts: CredentialsEndpoint, tmp_path: Path
) -> None:
    (tmp_path / "blocked").mkdir()
    environment = {
        **connections(ads, sts, 3),
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
        "RESILIENCE_BLOCKED_FOLDER": str(tmp_path / "blocked"),
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE / "airflow_settings")]),
    }
    ids = [ads.add_import_task() for _ in range(4)]
    waits = [
        {"import_task_id": import_task_id, "aws_conn_id": connection}
        for import_task_id, connection in zip(ids, ("keys", "role_0", "role_1", "role_2"), strict=True)
    ]
    with LocalAirflow(tmp_path / "airflow", HERE / "dags", environment) as airflow:
        run_id = airflow.trigger("load", waits=waits)

        def states() -> list[str | None]:
            return [task.state for task in airflow.task_instances("load", run_id) if task.task_id == "wait"]

        wait_until(lambda: states() == ["deferred"] * 4, "all tasks are deferred", obstacle=states)
        undisturbed = airflow.stop_component("triggerer")
        sts.delay = None
        asked = len(sts.requests)
        airflow.start_component("triggerer")
        wait_until(lambda: len(sts.requests) == asked + 3, "the triggerer waits for STS", obstacle=states)
        ads.update_import_task(ids[0], status="IMPORT_COMPLETE")
        wait_until(lambda: "success" in states(), "the other connection's task has ended", obstacle=states)
        # Airflow waits ten seconds for a triggerer that is stopped just as it reports an event.
        time.sleep(5)
        hanging = airflow.stop_component("triggerer")
        sts.delay = 0
        for import_task_id in ids[1:]:
            ads.update_import_task(import_task_id, status="IMPORT_COMPLETE")
        airflow.start_component("triggerer")
        wait_until(lambda: states() == ["success"] * 4, "all tasks have succeeded", obstacle=states)
        warnings = airflow.log_file("triggerer").read_text().count("thread was blocked")
    assert {path.read_text() for path in (tmp_path / "blocked").iterdir()} == {""}
    TABLES.append("Three calls of STS that hang in a triggerer")
    TABLES.append(f"    {'stopping the triggerer without and with them, s':<60}{undisturbed:>10.2f}{hanging:>10.2f}")
    TABLES.append(f"    {'warnings of Airflow that the event loop was blocked':<60}{warnings:>10}")
