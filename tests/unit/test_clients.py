from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_ads import clients
from airflow_provider_ads.clients import AwsSettings, SharedClient
from airflow_provider_ads.discovery.statuses import is_deletion_running, is_running
from airflow_provider_ads.exceptions import AdsCallError, ImportTaskNotFound
from airflow_provider_ads.polling import Poll, poll_import_tasks
from tests.support.credentials_endpoint import CredentialsEndpoint
from tests.support.recording_emulator import RecordingEmulator

pytestmark = pytest.mark.anyio

UNKNOWN_ID = "import-task-" + "f" * 32
ROLE = "arn:aws:iam::123456789012:role/importer"
SETTINGS = AwsSettings("aws_default", None, None, None)
WITH_ROLE = AwsSettings("with_role", None, None, None)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingEmulator]:
    """An emulator that checks credentials, and the connection ``aws_default`` with a key that it knows."""
    with RecordingEmulator(access_keys={"AKIAFIRST": "secret"}, roles=[ROLE]) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", emulator.airflow_connection)
        yield emulator


@pytest.fixture
def sts(account: RecordingEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[CredentialsEndpoint]:
    """The STS of the connection ``with_role``."""
    with CredentialsEndpoint(account) as endpoint:
        connection = json.loads(account.airflow_connection)
        connection["extra"]["role_arn"] = ROLE
        connection["extra"].setdefault("service_config", {})["sts"] = {"endpoint_url": endpoint.url}
        monkeypatch.setenv("AIRFLOW_CONN_WITH_ROLE", json.dumps(connection))
        # When it stops, threads that still wait for it must not retry, because the next test waits for their end.
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield endpoint


@pytest.fixture
def short_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "CLIENT_LIFETIME", (0.05, 0.1))
    monkeypatch.setattr(clients, "RENEWAL_INTERVAL", 0.05)


@asynccontextmanager
async def polling(ids: list[str], settings: AwsSettings = SETTINGS, **arguments: Any) -> AsyncIterator[list[Poll]]:
    """Poll in the background, and yield the list that the polls are added to."""
    polls: list[Poll] = []

    async def poll() -> None:
        async with aclosing(poll_import_tasks(settings, ids, 0.05, is_running, **arguments)) as results:
            async for each in results:
                polls.append(each)

    task = asyncio.create_task(poll())
    try:
        yield polls
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()):
            raise error


async def poll_to_the_end(ids: list[str], settings: AwsSettings = SETTINGS) -> None:
    async with asyncio.timeout(30):
        async for _ in poll_import_tasks(settings, ids, 0.05, is_running):
            pass


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def threads() -> int:
    return sum(thread.name == "ads-credentials" for thread in threading.enumerate())


class TestCredentials:
    async def test_a_role_is_assumed_once_and_its_keys_are_used(
        self, account: RecordingEmulator, sts: CredentialsEndpoint
    ) -> None:
        import_task_id = account.add_import_task()
        async with polling([import_task_id], WITH_ROLE) as polls:
            await until(lambda: polls)
        assert sts.requests == ["AssumeRole"]
        assert {call.role for call in account.answered_calls()} == {ROLE}

    async def test_an_unresponsive_sts_is_an_outage_and_delays_no_other_wait(
        self, account: RecordingEmulator, sts: CredentialsEndpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clients, "CREDENTIALS_TIMEOUT", 0.3)
        sts.delay = None
        import_task_id = account.add_import_task()
        stalls: list[float] = []

        async def watch() -> None:
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.01)
                stalls.append(time.monotonic() - before - 0.01)

        watching = asyncio.create_task(watch())
        async with polling([import_task_id], WITH_ROLE) as hanging, polling([import_task_id]) as others:
            await until(lambda: hanging and others)
            before = time.monotonic()
        # Neither leaving nor cancelling waits for STS.
        assert time.monotonic() - before < 2
        watching.cancel()
        assert max(stalls) < 1, "the loop was blocked"
        (poll,) = hanging[:1]
        assert poll.error is not None
        assert (poll.error.code, poll.error.transient) == ("CredentialsTimeout", True)
        assert others[0].error is None

    async def test_the_next_poll_uses_credentials_that_came_too_late(
        self, account: RecordingEmulator, sts: CredentialsEndpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clients, "CREDENTIALS_TIMEOUT", 0.1)
        sts.delay = 1
        async with polling([account.add_import_task()], WITH_ROLE) as polls:
            await until(lambda: polls and polls[-1].error is None)
        assert polls[0].error is not None
        assert sts.requests == ["AssumeRole"]

    async def test_at_most_two_threads_ask_for_the_credentials_of_a_connection(
        self, account: RecordingEmulator, sts: CredentialsEndpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clients, "CREDENTIALS_TIMEOUT", 0.01)
        # Those of other tests end with their STS.
        await until(lambda: not threads())
        sts.delay = None
        import_task_id = account.add_import_task()
        for _ in range(3):
            async with polling([import_task_id], WITH_ROLE) as polls:
                await until(lambda polls=polls: len(polls) > 3)
        assert threads() == 1
        monkeypatch.setattr(clients, "SECOND_THREAD_AFTER", 0.0)
        async with polling([import_task_id], WITH_ROLE) as polls:
            await until(lambda: len(polls) > 5)
        assert threads() == 2


class TestRenewal:
    @pytest.mark.usefixtures("short_lives")
    async def test_an_edited_connection_reaches_waits_that_are_running(
        self, account: RecordingEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.access_keys = {"AKIAFIRST": "secret", "AKIASECOND": "secret"}
        async with polling([account.add_import_task()]):
            await until(account.answered_calls)
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", account.connection_with("AKIASECOND"))
            await until(lambda: account.recorded[-1].key == "AKIASECOND")
        assert {call.answer for call in account.answered_calls()} == {"ok"}

    @pytest.mark.usefixtures("short_lives")
    async def test_the_old_client_serves_while_the_connection_cannot_be_read(
        self, account: RecordingEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # With the machine's own credentials, the calls would be another account's.
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMACHINE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        async with polling([account.add_import_task()]) as polls:
            await until(account.answered_calls)
            monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
            calls = len(account.recorded)
            await until(lambda: len(account.recorded) > calls + 10)
        assert {(call.key, call.answer) for call in account.answered_calls()} == {("AKIAFIRST", "ok")}
        assert [poll for poll in polls if poll.error] == []

    async def test_a_refused_call_is_repeated_with_a_new_client_unless_the_client_is_new(
        self, account: RecordingEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.access_keys = {"AKIASECOND": "secret"}
        monkeypatch.setattr(clients, "MIN_CLIENT_AGE", 30.0)
        with pytest.raises(AdsCallError, match="UnrecognizedClientException"):
            async with polling([account.add_import_task()]) as polls:
                await asyncio.sleep(1)
        assert len(account.recorded) == 1
        account.access_keys = {"AKIAFIRST": "secret"}
        monkeypatch.setattr(clients, "MIN_CLIENT_AGE", 0.0)
        async with polling([account.add_import_task()]) as polls:
            await until(lambda: polls)
            account.access_keys = {"AKIASECOND": "secret"}
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", account.connection_with("AKIASECOND"))
            await until(lambda: account.recorded[-1].key == "AKIASECOND" and account.recorded[-1].answer == "ok")
        assert [poll for poll in polls if poll.error] == []

    async def test_several_missing_imports_are_polled_for_with_a_new_client(
        self, account: RecordingEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clients, "MIN_CLIENT_AGE", 0.0)
        with RecordingEmulator() as another:
            ids = [another.add_import_task() for _ in range(2)]
            async with polling(ids) as polls:
                await until(account.answered_calls)
                monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", another.airflow_connection)
                await until(lambda: polls and len(polls[-1].tasks) == 2)

    async def test_an_import_that_a_new_client_does_not_list_either_is_not_found(
        self, account: RecordingEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(clients, "MIN_CLIENT_AGE", 0.0)

        async def wait() -> list[Poll]:
            return [poll async for poll in poll_import_tasks(SETTINGS, [UNKNOWN_ID], 0.02, is_running)]

        with pytest.raises(ImportTaskNotFound):
            await asyncio.wait_for(wait(), timeout=30)

    @pytest.mark.usefixtures("short_lives")
    async def test_an_import_that_other_credentials_do_not_list_does_not_count_as_deleted(
        self, account: RecordingEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import_task_id = account.add_import_task(status="DELETE_IN_PROGRESS")
        polls = poll_import_tasks(SETTINGS, [import_task_id], 0.05, is_deletion_running, unlisted_is_done=True)
        await anext(polls)
        with RecordingEmulator() as another:
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", another.connection_with("AKIAOTHER"))
            with pytest.raises(AdsCallError, match="the connection has changed") as error:
                await anext(polls)
        assert error.value.code == "ConnectionChanged"

    @pytest.mark.usefixtures("short_lives")
    async def test_a_thousand_waits_lose_no_poll_while_the_client_and_the_connection_change(
        self, account: RecordingEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        account.access_keys = {"AKIAFIRST": "secret", "AKIASECOND": "secret"}
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMACHINE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        ids = [account.add_import_task() for _ in range(1_000)]
        renewals: set[Any] = set()

        async def wait(import_task_id: str) -> list[Poll]:
            polls = [poll async for poll in poll_import_tasks(SETTINGS, [import_task_id], 0.2, is_running)]
            renewals.update(client._open for loop in clients._loops.values() for client in loop.clients.values())
            return polls

        waits = [asyncio.create_task(wait(import_task_id)) for import_task_id in ids]
        await until(account.answered_calls)
        for number, import_task_id in enumerate(ids):
            await asyncio.sleep(0.005)
            account.update_import_task(import_task_id, status="IMPORT_COMPLETE")
            if number == 300:
                # The secrets backend fails.
                monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
            if number == 600:
                monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", account.connection_with("AKIASECOND"))
        results = await asyncio.gather(*waits)
        assert len(renewals) > 3
        assert [poll.error for polls in results for poll in polls if poll.error] == []
        last = {task.import_task_id: task.status for polls in results for task in polls[-1].tasks.values()}
        assert last == dict.fromkeys(ids, "IMPORT_COMPLETE")
        assert {(call.key, call.answer) for call in account.answered_calls()} == {
            ("AKIAFIRST", "ok"),
            ("AKIASECOND", "ok"),
        }


class TestLookup:
    async def test_a_failed_lookup_is_an_outage_once_a_poll_has_succeeded(
        self, account: RecordingEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import_task_id = account.add_import_task()
        monkeypatch.setattr(clients, "MIN_CLIENT_AGE", 0.0)
        async with polling([import_task_id]) as polls:
            await until(lambda: polls)
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "{not json")
            account.inject("ExpiredTokenException", status=400)
            await until(lambda: polls[-1].error)
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", account.airflow_connection)
            account.clear_faults()
            await until(lambda: polls[-1].error is None)

    async def test_a_failed_lookup_is_an_error_of_the_first_poll(
        self, account: RecordingEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection = {"conn_type": "aws", "extra": {"role_arn": ROLE, "assume_role_method": "by_magic"}}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
        with pytest.raises(AdsCallError, match="Check that Airflow can read the connection 'aws_default'") as error:
            await poll_to_the_end([UNKNOWN_ID])
        assert error.value.code == "ConnectionLookupFailed"


async def test_an_error_names_a_connection_that_does_not_exist(account: RecordingEmulator) -> None:
    with pytest.raises(AdsCallError, match="'no_such_connection'") as error:
        await poll_to_the_end(["import-task-" + "f" * 32], AwsSettings("no_such_connection", "us-west-2", None, None))
    assert str(error.value).startswith("Create the connection 'no_such_connection'")


async def test_equal_settings_share_a_client_although_botocore_changes_them(account: RecordingEmulator) -> None:
    settings = AwsSettings("aws_default", None, None, {"retries": {"total_max_attempts": 1}})
    async with polling([account.add_import_task()], settings) as polls:
        await until(lambda: polls)
        assert SharedClient.join(AwsSettings(**vars(settings))).identity is not None
    assert len(clients._loops[asyncio.get_running_loop()].clients) == 1
    await next(iter(clients._loops[asyncio.get_running_loop()].clients.values())).leave()


async def test_the_last_user_closes_the_client(account: RecordingEmulator) -> None:
    first, second = SharedClient.join(SETTINGS), SharedClient.join(SETTINGS)
    assert first is second
    async with first.use() as opened:
        await first.leave()
        await second.leave()
        assert opened.is_retired
        context, closed = opened._context, []

        async def close(*exception: Any) -> None:
            closed.append(opened.calls)
            await context.__aexit__(*exception)

        opened._context = SimpleNamespace(__aexit__=close)
        # A call that is in flight can still end.
        await opened.client.describe_import_tasks()
        assert closed == []
    assert closed == [0]
