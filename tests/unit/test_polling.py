from __future__ import annotations

import asyncio
import gc
import json
import logging
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import psutil
import pytest

from airflow_provider_ads import clients, polling
from airflow_provider_ads.clients import AwsSettings
from airflow_provider_ads.discovery.statuses import is_deletion_running, is_export_running, is_running
from airflow_provider_ads.discovery.verdicts import MISSING_TASK_POLLS
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError, ExportTaskNotFound, ImportTaskNotFound
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.polling import Poll, poll_export_tasks, poll_import_tasks, poll_newest_import_task

pytestmark = pytest.mark.anyio

SETTINGS = AwsSettings("aws_default", None, None, None)
UNKNOWN_ID = "import-task-" + "f" * 32


async def polls_of(
    ids: list[str],
    settings: AwsSettings = SETTINGS,
    interval: float = 0.02,
    then: Callable[[Poll], Any] = lambda poll: None,
    running: Callable[[str | None], bool] = is_running,
    unlisted_is_done: bool = False,
) -> list[Poll]:
    return await collected(poll_import_tasks(settings, ids, interval, running, unlisted_is_done), then)


async def polls_of_name(
    name: str, interval: float = 0.02, then: Callable[[Poll], Any] = lambda poll: None
) -> list[Poll]:
    return await collected(poll_newest_import_task(SETTINGS, name, interval, is_running), then)


async def polls_of_exports(
    ids: list[str], interval: float = 0.02, then: Callable[[Poll], Any] = lambda poll: None
) -> list[Poll]:
    return await collected(poll_export_tasks(SETTINGS, ids, interval, is_export_running), then)


async def collected(seen: AsyncGenerator[Poll, None], then: Callable[[Poll], Any]) -> list[Poll]:
    polls = []
    async with asyncio.timeout(60), aclosing(seen):
        async for poll in seen:
            polls.append(poll)
            then(poll)
    return polls


async def calls_of(ads: AdsEmulator, count: int) -> None:
    """Wait until the service has received a number of calls."""
    # The time limit ends a test whose polling has failed.
    async with asyncio.timeout(60):
        while ads.calls()["DescribeImportTasks"] < count:
            await asyncio.sleep(0.01)


def statuses(poll: Poll) -> list[str | None]:
    return [task.status for task in poll.tasks.values()]


class TestPolling:
    async def test_it_polls_until_no_task_is_running(self, aws_default: AdsEmulator) -> None:
        first, second = (aws_default.add_import_task() for _ in range(2))
        ends = iter([(first, "IMPORT_COMPLETE"), (second, "IMPORT_OF_THE_FUTURE")])

        def then(_: Poll) -> None:
            for import_task_id, status in islice(ends, 1):
                aws_default.update_import_task(import_task_id, status=status)

        polls = await polls_of([first, second], then=then)
        assert [statuses(poll) for poll in polls] == [
            ["IMPORT_IN_PROGRESS", "IMPORT_IN_PROGRESS"],
            ["IMPORT_COMPLETE", "IMPORT_IN_PROGRESS"],
            ["IMPORT_COMPLETE", "IMPORT_OF_THE_FUTURE"],
        ]

    async def test_a_call_asks_for_a_hundred_running_tasks(self, aws_default: AdsEmulator) -> None:
        ended = [aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(150)]
        running = aws_default.add_import_task()
        calls: list[int] = []

        def then(_: Poll) -> None:
            calls.append(aws_default.calls()["DescribeImportTasks"])
            aws_default.update_import_task(running, status="IMPORT_COMPLETE")

        await polls_of([*ended, running], then=then)
        assert calls == [2, 3]

    async def test_a_poll_without_changes_is_not_yielded(self, aws_default: AdsEmulator) -> None:
        import_task_id = aws_default.add_import_task()
        polling_it = asyncio.create_task(polls_of([import_task_id]))
        await calls_of(aws_default, 5)
        aws_default.update_import_task(import_task_id, serverImportSuccess=1)
        await calls_of(aws_default, 10)
        aws_default.update_import_task(import_task_id, status="IMPORT_COMPLETE")
        polls = await polling_it
        assert [poll.tasks[import_task_id].server_import_success for poll in polls] == [None, 1, 1]
        assert [statuses(poll) for poll in polls] == [["IMPORT_IN_PROGRESS"]] * 2 + [["IMPORT_COMPLETE"]]

    async def test_after_the_longest_silence_a_poll_without_changes_is_yielded(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(polling, "LONGEST_SILENCE", 0.1)
        import_task_id = aws_default.add_import_task()
        polls: list[Poll] = []

        def then(poll: Poll) -> None:
            polls.append(poll)
            if len(polls) == 3:
                aws_default.update_import_task(import_task_id, status="IMPORT_COMPLETE")

        await polls_of([import_task_id], then=then)
        assert len(polls) == 4

    async def test_the_first_successful_poll_after_a_failure_is_yielded(self, aws_default: AdsEmulator) -> None:
        import_task_id = aws_default.add_import_task()
        errors: list[str | None] = []

        def then(poll: Poll) -> None:
            errors.append(poll.error.code if poll.error else None)
            if len(errors) == 1:
                aws_default.inject("ThrottlingException", calls=1)
            if len(errors) == 3:
                aws_default.update_import_task(import_task_id, status="IMPORT_COMPLETE")

        await polls_of([import_task_id], then=then)
        assert errors == [None, "ThrottlingException", None, None]

    async def test_polling_continues_after_a_transient_error(self, aws_default: AdsEmulator) -> None:
        import_task_id = aws_default.add_import_task(status="IMPORT_COMPLETE")
        aws_default.inject("ThrottlingException", calls=2)
        polls = await polls_of([import_task_id])
        assert [poll.error and poll.error.code for poll in polls] == ["ThrottlingException"] * 2 + [None]

    async def test_botocore_does_not_retry_within_a_poll(self, aws_default: AdsEmulator) -> None:
        aws_default.inject("ServerInternalErrorException", calls=3)
        polls = await polls_of([aws_default.add_import_task(status="IMPORT_COMPLETE")])
        assert len(polls) == aws_default.calls()["DescribeImportTasks"] == 4

    async def test_retries_that_the_user_configured_are_kept(self, aws_default: AdsEmulator) -> None:
        aws_default.inject("ServerInternalErrorException", calls=2)
        retries = {"retries": {"mode": "standard", "total_max_attempts": 3}}
        polls = await polls_of(
            [aws_default.add_import_task(status="IMPORT_COMPLETE")], AwsSettings("aws_default", None, None, retries)
        )
        assert len(polls) == 1

    async def test_the_first_poll_comes_after_an_interval(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before_each_sleep: list[int] = []
        interval = polling._interval

        def watched(poll_interval: float, failures: int) -> float:
            before_each_sleep.append(aws_default.calls()["DescribeImportTasks"])
            return interval(poll_interval, failures)

        monkeypatch.setattr(polling, "_interval", watched)
        await polls_of([aws_default.add_import_task(status="IMPORT_COMPLETE")])
        assert before_each_sleep == [0]

    async def test_a_successful_poll_resets_the_back_off(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counted: list[int] = []
        monkeypatch.setattr(polling, "_interval", lambda poll_interval, failures: counted.append(failures) or 0.01)  # type: ignore[func-returns-value]
        import_task_id = aws_default.add_import_task()
        aws_default.inject("ThrottlingException", calls=2)

        def then(poll: Poll) -> None:
            if len(counted) == 3:
                aws_default.inject("ThrottlingException", calls=1)
            if len(counted) == 5:
                aws_default.update_import_task(import_task_id, status="IMPORT_COMPLETE")

        await polls_of([import_task_id], then=then)
        assert counted == [0, 1, 2, 0, 1, 0]

    async def test_only_consecutive_misses_count(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = iter("x--x--x--x")
        call = polling._Poller._call

        async def forgetful(poller: Any, client: Any, ids: Any) -> Any:
            found = await call(poller, client, ids)
            return found if next(seen) == "x" else {}

        monkeypatch.setattr(polling._Poller, "_call", forgetful)
        import_task_id = aws_default.add_import_task()
        polls: list[Poll] = []

        def then(poll: Poll) -> None:
            polls.append(poll)
            if aws_default.calls()["DescribeImportTasks"] == 9:
                aws_default.update_import_task(import_task_id, status="IMPORT_COMPLETE")

        await polls_of([import_task_id], then=then)
        assert statuses(polls[-1]) == ["IMPORT_COMPLETE"]
        assert aws_default.calls()["DescribeImportTasks"] == 10

    async def test_an_error_names_the_region_from_the_environment(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection = json.loads(aws_default.airflow_connection)
        del connection["extra"]["region_name"]
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        with pytest.raises(ImportTaskNotFound, match="eu-central-1"):
            await polls_of([UNKNOWN_ID])

    @pytest.mark.parametrize("code", ["AuthorizationErrorException", "HomeRegionNotSetException"])
    async def test_a_refused_call_ends_the_polling(self, aws_default: AdsEmulator, code: str) -> None:
        aws_default.inject(code)
        with pytest.raises(AdsCallError) as error:
            await polls_of([aws_default.add_import_task()])
        assert error.value.code == code
        assert aws_default.calls()["DescribeImportTasks"] == 1

    async def test_a_missing_task_is_reported_after_several_polls(self, aws_default: AdsEmulator) -> None:
        with pytest.raises(ImportTaskNotFound, match=f"Import task not found in us-west-2: {UNKNOWN_ID}"):
            await polls_of([aws_default.add_import_task(), UNKNOWN_ID])
        assert aws_default.calls()["DescribeImportTasks"] == MISSING_TASK_POLLS

    async def test_a_task_that_is_listed_late_is_found(self, aws_default: AdsEmulator) -> None:
        running = aws_default.add_import_task()

        def then(poll: Poll) -> None:
            if UNKNOWN_ID not in poll.tasks:
                aws_default.add_import_task(importTaskId=UNKNOWN_ID, status="IMPORT_COMPLETE")
                aws_default.update_import_task(running, status="IMPORT_COMPLETE")

        polls = await polls_of([running, UNKNOWN_ID], then=then)
        assert [len(poll.tasks) for poll in polls] == [1, 2]

    async def test_an_unlisted_task_can_count_as_done(self, aws_default: AdsEmulator) -> None:
        aws_default.delete_seconds = 60
        vanishes, stays = (aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(2))
        hook = AdsHook()
        hook.delete_import_data(vanishes, delete_history=True)
        hook.delete_import_data(stays)

        def end(_: Poll) -> None:
            aws_default.delete_seconds = 0

        polls = await polls_of([vanishes, stays], running=is_deletion_running, unlisted_is_done=True, then=end)
        assert statuses(polls[0]) == ["DELETE_IN_PROGRESS", "DELETE_IN_PROGRESS"]
        assert {task.import_task_id: task.status for task in polls[-1].tasks.values()} == {stays: "DELETE_COMPLETE"}

    async def test_expired_credentials_are_read_again_once(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clients, "MIN_CLIENT_AGE", 0.0)
        import_task_id = aws_default.add_import_task(status="IMPORT_COMPLETE")
        aws_default.inject("ExpiredTokenException", calls=1)
        assert [poll.error for poll in await polls_of([import_task_id])] == [None]
        aws_default.inject("ExpiredTokenException")
        with pytest.raises(AdsCallError, match=r"^Renew the credentials"):
            await polls_of([import_task_id])


class TestManyWaits:
    """Waits of one event loop with the same settings share a client and its calls."""

    async def test_they_share_a_client_and_calls_of_up_to_a_hundred_ids(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = counted(monkeypatch)
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(250)]
        polls = await asyncio.gather(*(polls_of([import_task_id], interval=1) for import_task_id in ids))
        assert [list(poll.tasks) for (poll,) in polls] == [[import_task_id] for import_task_id in ids]
        assert len(opened) == 1
        # Three on a machine that has nothing else to do.
        assert 3 <= aws_default.calls()["DescribeImportTasks"] <= 10

    async def test_waits_for_a_hundred_ids_together_share_one_call(self, aws_default: AdsEmulator) -> None:
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(100)]
        await asyncio.gather(*(polls_of(half, interval=1) for half in (ids[:50], ids[50:])))
        assert aws_default.calls()["DescribeImportTasks"] == 1

    async def test_other_settings_have_another_client(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = counted(monkeypatch)
        import_task_id = aws_default.add_import_task(status="IMPORT_COMPLETE")
        settings = [SETTINGS, SETTINGS, AwsSettings("aws_default", "us-west-2", None, {"read_timeout": 7})]
        await asyncio.gather(*(polls_of([import_task_id], each) for each in settings))
        assert len(opened) == 2

    async def test_each_keeps_its_own_interval(self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        polls: Counter[str] = Counter()
        call = polling._Poller._call

        async def watched(poller: Any, client: Any, ids: Any) -> Any:
            polls.update(ids)
            return await call(poller, client, ids)

        monkeypatch.setattr(polling._Poller, "_call", watched)
        often, seldom = (aws_default.add_import_task() for _ in range(2))
        waits = asyncio.gather(polls_of([often], interval=0.1), polls_of([seldom], interval=1.0))
        await asyncio.sleep(2.5)
        for import_task_id in (often, seldom):
            aws_default.update_import_task(import_task_id, status="IMPORT_COMPLETE")
        await waits
        assert polls[seldom] <= 4
        assert polls[often] > 3 * polls[seldom]

    async def test_one_bad_id_does_not_fail_the_others(self, aws_default: AdsEmulator) -> None:
        good = [aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(98)]
        malformed = "x" * 300
        results: list[Any] = await asyncio.gather(
            *(polls_of([import_task_id], interval=1) for import_task_id in [*good, malformed, UNKNOWN_ID]),
            return_exceptions=True,
        )
        assert all(len(polls) == 1 for polls in results[:98])
        assert results[98].code == "InvalidParameterValueException"
        assert malformed in str(results[98])
        assert not any(import_task_id in str(results[98]) for import_task_id in good)
        assert results[99].import_task_id == UNKNOWN_ID

    async def test_cancelling_one_does_not_affect_the_others(self, aws_default: AdsEmulator) -> None:
        stays, goes = (aws_default.add_import_task() for _ in range(2))
        waits = [asyncio.create_task(polls_of([import_task_id], interval=0.2)) for import_task_id in (stays, goes)]
        await asyncio.sleep(0.3)
        waits[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits[1]
        aws_default.update_import_task(stays, status="IMPORT_COMPLETE")
        assert statuses((await waits[0])[-1]) == ["IMPORT_COMPLETE"]

    async def test_a_cancelled_wait_is_not_polled_for_again(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        polled: list[str] = []
        call = polling._Poller._call

        async def watched(poller: Any, client: Any, ids: Any) -> Any:
            polled.extend(ids)
            return await call(poller, client, ids)

        monkeypatch.setattr(polling._Poller, "_call", watched)
        stays, goes = (aws_default.add_import_task() for _ in range(2))
        waits = [asyncio.create_task(polls_of([import_task_id], interval=0.2)) for import_task_id in (stays, goes)]
        while goes not in polled:
            await asyncio.sleep(0.01)
        # Cancelled between two polls, once the answer of the first one has come.
        await asyncio.sleep(0.1)
        waits[1].cancel()
        await asyncio.wait(waits[1:])
        polled.clear()
        while polled.count(stays) < 3:
            await asyncio.sleep(0.01)
        waits[0].cancel()
        await asyncio.wait(waits[:1])
        assert goes not in polled

    async def test_all_end_when_the_poller_fails(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(*_: Any) -> Any:
            raise RuntimeError("boom")

        monkeypatch.setattr(polling._Poller, "_call", broken)
        ids = [aws_default.add_import_task() for _ in range(3)]
        results = await asyncio.gather(*(polls_of([import_task_id]) for import_task_id in ids), return_exceptions=True)
        assert [str(result) for result in results] == ["boom"] * 3

    async def test_expired_credentials_are_read_once_for_all(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clients, "MIN_CLIENT_AGE", 0.0)
        opened = counted(monkeypatch)
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(50)]
        aws_default.inject("ExpiredTokenException", calls=1)
        polls = await asyncio.gather(*(polls_of([import_task_id], interval=0.5) for import_task_id in ids))
        assert all(poll.error is None for (poll,) in polls)
        assert len(opened) == 2

    async def test_waits_leave_nothing_behind(self, aws_default: AdsEmulator) -> None:
        tasks = asyncio.all_tasks()
        ids = [aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(20)]
        await asyncio.gather(*(polls_of([import_task_id]) for import_task_id in ids))
        assert asyncio.all_tasks() == tasks
        assert not any(polling._pollers.values())
        assert not any(loop.clients for loop in clients._loops.values())

    async def test_cancelled_waits_leave_no_memory_and_no_sockets_behind(self, aws_default: AdsEmulator) -> None:
        import_task_id = aws_default.add_import_task()
        # Trigger one-time loading before the first measurement, even on a busy machine.
        ended = aws_default.add_import_task(status="IMPORT_COMPLETE")

        async def start_and_cancel(cycles: int) -> None:
            for number in range(cycles):
                wait = asyncio.create_task(polls_of([import_task_id]))
                # Cancel before the client is created, during its creation, and after its first call.
                await asyncio.sleep((0, 0.02, 0.1)[number % 3])
                wait.cancel()
                await asyncio.gather(wait, return_exceptions=True)
            while any(loop.clients for loop in clients._loops.values()):
                await asyncio.sleep(0.01)

        def traced_memory() -> int:
            gc.collect()
            # Python caches failed module lookups, which waits do not leave behind.
            snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, "<frozen importlib*")])
            return sum(trace.size for trace in snapshot.traces)

        def connections() -> set[Any]:
            return {(connection.laddr, connection.raddr) for connection in psutil.Process().net_connections()}

        # pytest would keep every log record and the client that it refers to.
        logging.disable()
        tracemalloc.start()
        try:
            await polls_of([ended])
            await start_and_cancel(9)
            limit, connections_before = traced_memory() + 10_000_000, connections()
            await start_and_cancel(30)
            deadline = time.monotonic() + 60
            # On a busy machine, threads that create clients end some time after their waits are cancelled.
            while (memory := traced_memory()) >= limit and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
        finally:
            tracemalloc.stop()
            logging.disable(logging.NOTSET)
        # 30 clients take some 60 MB.
        assert memory < limit
        # The emulator runs in this process too, and closes its side of a connection a little later.
        while (left := connections() - connections_before) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert not left

    async def test_the_poller_runs_in_an_empty_context(self, aws_default: AdsEmulator) -> None:
        variable: ContextVar[str] = ContextVar("variable")
        seen: list[str | None] = []
        call = polling._Poller._call

        async def watched(poller: Any, client: Any, ids: Any) -> Any:
            seen.append(variable.get(None))
            return await call(poller, client, ids)

        variable.set("of the first wait")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(polling._Poller, "_call", watched)
            await polls_of([aws_default.add_import_task(status="IMPORT_COMPLETE")])
        assert seen == [None]


class TestNames:
    """A wait by name polls for the newest import with the name, which might not exist yet."""

    async def test_it_polls_until_an_import_with_the_name_has_ended(self, aws_default: AdsEmulator) -> None:
        ids: list[str] = []

        def then(poll: Poll) -> None:
            if not ids:
                ids.append(aws_default.add_import_task(name="cmdb"))
            else:
                aws_default.update_import_task(ids[0], status="IMPORT_COMPLETE")

        polls = await polls_of_name("cmdb", then=then)
        assert [statuses(poll) for poll in polls] == [[], ["IMPORT_IN_PROGRESS"], ["IMPORT_COMPLETE"]]
        assert polls[-1].tasks["cmdb"].import_task_id == ids[0]

    async def test_a_poll_that_still_finds_no_import_is_not_yielded(self, aws_default: AdsEmulator) -> None:
        polling_it = asyncio.create_task(polls_of_name("cmdb"))
        await calls_of(aws_default, 10)
        aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE")
        assert [statuses(poll) for poll in await polling_it] == [[], ["IMPORT_COMPLETE"]]

    async def test_after_a_failure_a_poll_that_finds_no_import_is_yielded(self, aws_default: AdsEmulator) -> None:
        errors: list[str | None] = []

        def then(poll: Poll) -> None:
            errors.append(poll.error.code if poll.error else None)
            if len(errors) == 1:
                aws_default.inject("ThrottlingException", calls=2)
            if len(errors) == 4:
                aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE")

        await polls_of_name("cmdb", then=then)
        assert errors == [None, "ThrottlingException", "ThrottlingException", None, None]

    async def test_a_successful_poll_resets_the_back_off(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counted: list[int] = []
        monkeypatch.setattr(polling, "_interval", lambda poll_interval, failures: counted.append(failures) or 0.01)  # type: ignore[func-returns-value]
        aws_default.inject("ThrottlingException", calls=2)

        def then(poll: Poll) -> None:
            if len(counted) == 3:
                aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE")

        await polls_of_name("cmdb", then=then)
        assert counted == [0, 1, 2, 0]

    async def test_a_newer_import_replaces_the_older_one(self, aws_default: AdsEmulator) -> None:
        yesterday = datetime.now(UTC) - timedelta(days=1)
        older = aws_default.add_import_task(name="cmdb", importRequestTime=yesterday)
        newer: list[str] = []

        def then(poll: Poll) -> None:
            if not newer:
                newer.append(aws_default.add_import_task(name="cmdb"))
            else:
                aws_default.update_import_task(newer[0], status="IMPORT_COMPLETE")

        polls = await polls_of_name("cmdb", then=then)
        seen = [poll.tasks["cmdb"].import_task_id for poll in polls]
        assert seen == [older, newer[0], newer[0]]

    async def test_the_newest_import_is_found_on_any_page(self, aws_default: AdsEmulator) -> None:
        now = datetime.now(UTC)
        days = [*range(120, 1, -1), 0, *range(121, 130)]
        ids = {
            day: aws_default.add_import_task(
                name="cmdb", status="IMPORT_COMPLETE", importRequestTime=now - timedelta(days=day)
            )
            for day in days
        }
        (poll,) = await polls_of_name("cmdb")
        assert poll.tasks["cmdb"].import_task_id == ids[0]

    async def test_polling_continues_when_the_import_is_no_longer_listed(self, aws_default: AdsEmulator) -> None:
        import_task_id = aws_default.add_import_task(name="cmdb")
        polls: list[Poll] = []

        def then(poll: Poll) -> None:
            polls.append(poll)
            # Once renamed, the task is no longer listed, like one that was deleted with its history.
            if len(polls) == 1:
                aws_default.update_import_task(import_task_id, name="another")
            if len(polls) == 2:
                aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE")

        await polls_of_name("cmdb", then=then)
        assert [statuses(poll) for poll in polls] == [["IMPORT_IN_PROGRESS"], [], ["IMPORT_COMPLETE"]]

    async def test_a_refused_call_ends_the_polling_and_names_the_import(self, aws_default: AdsEmulator) -> None:
        aws_default.inject("AuthorizationErrorException")
        with pytest.raises(AdsCallError, match="DescribeImportTasks for imports named 'cmdb' in us-west-2") as error:
            await polls_of_name("cmdb")
        assert error.value.code == "AuthorizationErrorException"
        assert aws_default.calls()["DescribeImportTasks"] == 1

    async def test_they_share_a_client_and_calls_for_a_hundred(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = counted(monkeypatch)
        names = [f"cmdb-{number}" for number in range(250)]
        for name in names:
            aws_default.add_import_task(name=name, status="IMPORT_COMPLETE")
        polls = await asyncio.gather(*(polls_of_name(name, interval=1) for name in names))
        assert [poll.tasks[name].name for name, (poll,) in zip(names, polls, strict=True)] == names
        assert len(opened) == 1
        # Three on a machine that has nothing else to do.
        assert 3 <= aws_default.calls()["DescribeImportTasks"] <= 10

    async def test_names_and_ids_are_not_mixed_in_one_call(self, aws_default: AdsEmulator) -> None:
        # A name can look like an id, and a call with both filters returns only tasks that match both.
        by_id = aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE")
        by_name = aws_default.add_import_task(name=by_id, status="IMPORT_FAILED")
        (first,), (second,) = await asyncio.gather(polls_of([by_id], interval=0.5), polls_of_name(by_id, interval=0.5))
        assert [first.tasks[by_id].import_task_id, second.tasks[by_id].import_task_id] == [by_id, by_name]

    async def test_waits_leave_nothing_behind(self, aws_default: AdsEmulator) -> None:
        tasks = asyncio.all_tasks()
        aws_default.add_import_task(name="cmdb", status="IMPORT_COMPLETE")
        await asyncio.gather(*(polls_of_name("cmdb") for _ in range(20)))
        assert asyncio.all_tasks() == tasks
        assert not any(polling._pollers.values())
        assert not any(loop.clients for loop in clients._loops.values())


class TestExports:
    async def test_it_polls_until_no_export_is_running(self, aws_default: AdsEmulator) -> None:
        first, second = (aws_default.add_export_task() for _ in range(2))
        ends = iter([(first, "SUCCEEDED"), (second, "EXPORT_OF_THE_FUTURE")])

        def then(_: Poll) -> None:
            for export_id, status in islice(ends, 1):
                aws_default.update_export_task(export_id, exportStatus=status)

        polls = await polls_of_exports([first, second], then=then)
        assert [statuses(poll) for poll in polls] == [
            ["IN_PROGRESS", "IN_PROGRESS"],
            ["SUCCEEDED", "IN_PROGRESS"],
            ["SUCCEEDED", "EXPORT_OF_THE_FUTURE"],
        ]

    async def test_a_missing_export_is_reported_after_several_polls(self, aws_default: AdsEmulator) -> None:
        with pytest.raises(ExportTaskNotFound, match="Export task not found in us-west-2: unknown"):
            await polls_of_exports([aws_default.add_export_task(), "unknown"])
        assert aws_default.calls()["DescribeExportTasks"] >= MISSING_TASK_POLLS

    async def test_a_refused_call_names_the_operation_and_the_export(self, aws_default: AdsEmulator) -> None:
        aws_default.inject("AuthorizationErrorException")
        with pytest.raises(AdsCallError, match=r"DescribeExportTasks for export-7 in us-west-2.*") as error:
            await polls_of_exports(["export-7"])
        assert "discovery:DescribeExportTasks" in str(error.value)

    async def test_one_bad_id_does_not_fail_the_others(self, aws_default: AdsEmulator) -> None:
        good = [aws_default.add_export_task(exportStatus="SUCCEEDED") for _ in range(20)]
        bad = "x" * 201
        results = await asyncio.gather(
            *(polls_of_exports([export_id], interval=0.5) for export_id in [*good, bad]), return_exceptions=True
        )
        assert [isinstance(result, AdsCallError) for result in results] == [False] * 20 + [True]

    async def test_imports_names_and_exports_share_a_client_and_calls_of_their_kind(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = counted(monkeypatch)
        numbers = range(150)
        ids = [aws_default.add_import_task(name=f"cmdb-{each}", status="IMPORT_COMPLETE") for each in numbers]
        exports = [aws_default.add_export_task(exportStatus="SUCCEEDED") for _ in numbers]
        await asyncio.gather(
            *(polls_of([import_task_id], interval=2) for import_task_id in ids),
            *(polls_of_name(f"cmdb-{each}", interval=2) for each in numbers),
            *(polls_of_exports([export_id], interval=2) for export_id in exports),
        )
        assert len(opened) == 1
        # Four and two on a machine that has nothing else to do.
        assert 4 <= aws_default.calls()["DescribeImportTasks"] <= 16
        assert 2 <= aws_default.calls()["DescribeExportTasks"] <= 8
        assert not any(polling._pollers.values())


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that every client is added to when it opens."""
    opened: list[Any] = []
    original = clients.SharedClient._renew

    async def counting(client: Any) -> Any:
        opened.append(client)
        return await original(client)

    monkeypatch.setattr(clients.SharedClient, "_renew", counting)
    return opened


class TestInterval:
    def test_jitter_makes_polls_early_but_never_late(self) -> None:
        assert polling.JITTER[0] < polling.JITTER[1] <= 1

    def test_failures_double_the_interval_up_to_a_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(polling, "LONGEST_BACK_OFF", 60.0)
        assert [polling._interval(5, failures) for failures in (0, 1, 2, 3, 4, 10_000)] == [5, 10, 20, 40, 60, 60]

    def test_a_longer_interval_is_kept(self) -> None:
        assert polling._interval(300, failures=5) == 300


async def test_a_malformed_answer_is_polled_again(aws_default: AdsEmulator) -> None:
    import_task_id = aws_default.add_import_task()
    aws_default.inject("malformed", calls=1)
    failed, ended = await polls_of(
        [import_task_id], then=lambda poll: aws_default.update_import_task(import_task_id, status="IMPORT_COMPLETE")
    )
    assert failed.error is not None
    assert failed.error.code == "MalformedAnswer"
    assert ended.tasks[import_task_id].status == "IMPORT_COMPLETE"
