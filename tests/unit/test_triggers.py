from __future__ import annotations

import asyncio
import inspect
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from airflow_provider_ads import clients, hooks, polling, progress, triggers
from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.exceptions import AdsCallError, DeletionWaitTimeout, ExportWaitTimeout, ImportWaitTimeout
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.triggers import (
    AdsDeleteImportDataTrigger,
    AdsExportTrigger,
    AdsImportTaskTrigger,
    AdsNamedImportTaskTrigger,
)
from tests.support.task_runs import event_at_the_deadline, only_event, through_database

pytestmark = pytest.mark.anyio

ID = "import-task-" + "f" * 32

ALL_SET: dict[str, Any] = {
    "import_task_ids": [ID],
    "poll_interval": 60.0,
    "deadline": 1_800_000_000.5,
    "aws_conn_id": "my_aws",
    "region_name": "eu-west-1",
    "verify": "/etc/ssl/my-bundle.pem",
    "botocore_config": {"read_timeout": 7, "retries": {"mode": "standard"}},
}
ALL_NONE: dict[str, Any] = {
    "import_task_ids": [ID],
    "poll_interval": 60,
    "deadline": None,
    "aws_conn_id": None,
    "region_name": None,
    "verify": None,
    "botocore_config": None,
}


def trigger_for(*import_task_ids: str, **arguments: Any) -> AdsImportTaskTrigger:
    return AdsImportTaskTrigger(**{"import_task_ids": list(import_task_ids), "poll_interval": 0.02, **arguments})


def named_trigger(**arguments: Any) -> AdsNamedImportTaskTrigger:
    return AdsNamedImportTaskTrigger(**{"name": "cmdb", "import_task_ids": [], "poll_interval": 0.02, **arguments})


def test_importing_the_module_does_not_import_boto3() -> None:
    # The triggerer imports the module on its event loop, and boto3 would block that for longer than Airflow tolerates.
    code = (
        "import sys, airflow.triggers.base; before = set(sys.modules); import airflow_provider_ads.triggers; "
        "print({'boto3', 'botocore.config', 'airflow.providers.amazon'} & (set(sys.modules) - before))"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "set()"


class TestSerialization:
    @pytest.mark.parametrize("trigger_class", [AdsImportTaskTrigger, AdsDeleteImportDataTrigger])
    @pytest.mark.parametrize("arguments", [ALL_SET, ALL_NONE], ids=["all set", "all None"])
    def test_the_arguments_survive_the_database(self, trigger_class: Any, arguments: dict[str, Any]) -> None:
        trigger = through_database(trigger_class(**arguments))
        assert trigger.serialize() == (f"airflow_provider_ads.triggers.{trigger_class.__name__}", arguments)

    @pytest.mark.parametrize("arguments", [ALL_SET, ALL_NONE], ids=["all set", "all None"])
    @pytest.mark.parametrize("seen", [[], [ID]])
    def test_the_arguments_of_a_wait_by_name_survive_the_database(
        self, arguments: dict[str, Any], seen: list[str]
    ) -> None:
        arguments = {"name": "cmdb", **arguments, "import_task_ids": seen}
        trigger = through_database(AdsNamedImportTaskTrigger(**arguments))
        assert trigger.serialize() == ("airflow_provider_ads.triggers.AdsNamedImportTaskTrigger", arguments)

    def test_every_argument_is_serialized(self) -> None:
        parameters = inspect.signature(AdsImportTaskTrigger).parameters.keys()
        assert AdsImportTaskTrigger(**ALL_SET).serialize()[1].keys() == parameters

    @pytest.mark.parametrize("name", ["supports_triggerer_queue", "trigger_queue_inherited_from_task"])
    def test_it_runs_in_the_queue_of_its_task(self, name: str) -> None:
        # Airflow's name for this setting until 3.3, and from 3.4 on.
        assert getattr(AdsImportTaskTrigger, name, True)


class TestRun:
    async def test_the_summaries_are_in_the_order_of_the_ids(self, aws_default: AdsEmulator) -> None:
        first, second = (aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(2))
        event = await only_event(trigger_for(second, first))
        assert event["status"] == "finished"
        assert [task["importTaskId"] for task in event["tasks"]] == [second, first]
        assert json.loads(json.dumps(event)) == event

    async def test_it_waits_until_all_imports_have_ended(self, aws_default: AdsEmulator) -> None:
        ended = aws_default.add_import_task(status="IMPORT_FAILED")
        running = aws_default.add_import_task()
        waiting = asyncio.create_task(only_event(trigger_for(ended, running)))
        while aws_default.calls()["DescribeImportTasks"] < 3:
            await asyncio.sleep(0.01)
        assert not waiting.done()
        aws_default.update_import_task(running, status="IMPORT_COMPLETE")
        event = await waiting
        assert [task["status"] for task in event["tasks"]] == ["IMPORT_FAILED", "IMPORT_COMPLETE"]

    async def test_a_timeout_contains_the_last_status(self, aws_default: AdsEmulator) -> None:
        running = aws_default.add_import_task()
        event = await event_at_the_deadline(aws_default, trigger_for(running, deadline=time.time() + 40))
        assert (event["status"], event["error"]) == ("timeout", None)
        assert [task["status"] for task in event["tasks"]] == ["IMPORT_IN_PROGRESS"]

    async def test_a_timeout_contains_the_error_of_the_last_poll(self, aws_default: AdsEmulator) -> None:
        aws_default.inject("ThrottlingException")
        event = await event_at_the_deadline(
            aws_default, trigger_for(aws_default.add_import_task(), deadline=time.time() + 40)
        )
        assert (event["status"], event["error"]["code"]) == ("timeout", "ThrottlingException")
        assert [task["status"] for task in event["tasks"]] == [None]

    async def test_a_deadline_in_the_past_times_out(self, aws_default: AdsEmulator) -> None:
        import_task_id = aws_default.add_import_task()
        event = await only_event(trigger_for(import_task_id, deadline=time.time() - 100))
        assert (event["status"], event["error"]) == ("timeout", None)
        assert [(task["importTaskId"], task["status"]) for task in event["tasks"]] == [(import_task_id, None)]

    async def test_a_timeout_error_from_elsewhere_is_an_error_event(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def poll(*_: Any) -> Any:
            raise TimeoutError("not ours")

        monkeypatch.setattr(polling._Poller, "poll", poll)
        event = await only_event(trigger_for(aws_default.add_import_task(), deadline=time.time() + 60))
        assert (event["status"], event["error"]["code"]) == ("error", "TimeoutError")

    async def test_an_unexpected_exception_is_logged_with_its_traceback(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(polling, "ImportTask", None)
        event = await only_event(trigger_for(aws_default.add_import_task()))
        assert (event["status"], event["error"]["code"]) == ("error", "AttributeError")
        assert "Traceback" in capsys.readouterr().out

    async def test_a_long_outage_ends_a_wait_without_a_deadline(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "LONGEST_OUTAGE", 0.2)
        aws_default.inject("ThrottlingException")
        event = await only_event(trigger_for(aws_default.add_import_task()))
        assert (event["status"], event["error"]["code"]) == ("error", "ThrottlingException")

    @pytest.mark.parametrize(
        ("code", "advice"),
        [
            ("AuthorizationErrorException", "Allow discovery:DescribeImportTasks in the IAM policy"),
            ("HomeRegionNotSetException", "Set region_name to the account's Migration Hub home region"),
            ("InvalidParameterValueException", "Correct the parameter"),
        ],
    )
    async def test_a_refused_call_is_an_error_event_with_advice(
        self, aws_default: AdsEmulator, code: str, advice: str
    ) -> None:
        aws_default.inject(code)
        event = await only_event(trigger_for(aws_default.add_import_task()))
        assert event["status"] == "error"
        assert event["error"]["code"] == code
        assert advice in event["error"]["message"]
        assert aws_default.calls()["DescribeImportTasks"] == 1

    async def test_a_missing_task_is_an_error_event_with_its_id(self, aws_default: AdsEmulator) -> None:
        event = await only_event(trigger_for(ID))
        assert event["status"] == "error"
        assert (event["error"]["code"], event["error"]["import_task_id"]) == ("ImportTaskNotFound", ID)

    @pytest.mark.parametrize(
        "invalid",
        [
            {"import_task_ids": []},
            {"import_task_ids": ["import-task-1"]},
            {"import_task_ids": None},
            {"poll_interval": -1},
            {"poll_interval": "soon"},
            {"deadline": "tomorrow"},
            {"region_name": "mars-north-1"},
            {"region_name": "not a region"},
            {"botocore_config": {"no_such_option": 1}},
            {"verify": "/no/such/bundle.pem"},
            {"aws_conn_id": 7},
        ],
        ids=str,
    )
    async def test_invalid_arguments_are_one_error_event(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch, invalid: dict[str, Any]
    ) -> None:
        if "verify" in invalid:
            connection = json.loads(aws_default.airflow_connection)
            connection["extra"]["endpoint_url"] = aws_default.endpoint_url.replace("http:", "https:")
            monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
        event = await only_event(trigger_for(**{"import_task_ids": [ID], **invalid}))
        assert event["status"] == "error"
        assert event["error"]["code"]
        assert event["error"]["message"]
        assert not aws_default.calls()

    async def test_no_event_comes_before_the_earliest_time(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(triggers, "EARLIEST_EVENT", 1.0)
        started = time.monotonic()
        await only_event(trigger_for())
        assert time.monotonic() - started >= 1.0

    async def test_two_copies_of_a_trigger_yield_the_same_event(self, aws_default: AdsEmulator) -> None:
        trigger = trigger_for(aws_default.add_import_task(status="IMPORT_COMPLETE"))
        events = await asyncio.gather(only_event(trigger), only_event(through_database(trigger)))
        assert events[0] == events[1]

    async def test_the_aws_settings_reach_the_hook(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_MY_AWS", aws_default.airflow_connection)
        monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT")
        hooks_made: list[dict[str, Any]] = []

        class SpiedHook(AdsHook):
            def __init__(self, **kwargs: Any) -> None:
                hooks_made.append({**kwargs, "thread": threading.current_thread()})
                super().__init__(**kwargs)

        monkeypatch.setattr(hooks, "AdsHook", SpiedHook)
        aws_default.home_region = "eu-west-1"
        import_task_id = aws_default.add_import_task(status="IMPORT_COMPLETE")
        arguments = {key: ALL_SET[key] for key in ("aws_conn_id", "region_name", "botocore_config")}
        event = await only_event(trigger_for(import_task_id, verify=False, **arguments))
        assert event["status"] == "finished"
        (settings,) = hooks_made
        # Looking up a connection blocks, so it must not happen on the event loop.
        assert settings.pop("thread") is not threading.current_thread()
        assert settings == {
            "aws_conn_id": "my_aws",
            "region_name": "eu-west-1",
            "verify": False,
            "config": ALL_SET["botocore_config"],
        }


class TestNamedTrigger:
    async def test_it_finishes_when_an_import_with_the_name_has_ended(self, aws_default: AdsEmulator) -> None:
        waiting = asyncio.create_task(only_event(named_trigger()))
        while aws_default.calls()["DescribeImportTasks"] < 3:
            await asyncio.sleep(0.01)
        assert not waiting.done()
        import_task_id = aws_default.add_import_task(name="cmdb", status="IMPORT_FAILED")
        event = await waiting
        assert [(task["importTaskId"], task["status"]) for task in event["tasks"]] == [
            (import_task_id, "IMPORT_FAILED")
        ]
        assert AdsNamedImportTaskTrigger.read_event(json.loads(json.dumps(event)))

    async def test_a_timeout_without_an_import_contains_no_task(self, aws_default: AdsEmulator) -> None:
        event = await event_at_the_deadline(aws_default, named_trigger(deadline=time.time() + 40))
        assert event == {"status": "timeout", "tasks": [], "error": None}
        with pytest.raises(ImportWaitTimeout) as error:
            AdsNamedImportTaskTrigger.read_event(event)
        assert error.value.import_tasks == []

    async def test_a_timeout_contains_the_last_status(self, aws_default: AdsEmulator) -> None:
        import_task_id = aws_default.add_import_task(name="cmdb")
        event = await event_at_the_deadline(aws_default, named_trigger(import_task_ids=[ID], deadline=time.time() + 40))
        assert [(task["importTaskId"], task["status"]) for task in event["tasks"]] == [
            (import_task_id, "IMPORT_IN_PROGRESS")
        ]

    async def test_a_timeout_without_a_poll_contains_the_import_listed_before(self, aws_default: AdsEmulator) -> None:
        aws_default.inject("ThrottlingException")
        event = await event_at_the_deadline(aws_default, named_trigger(import_task_ids=[ID], deadline=time.time() + 40))
        assert (event["status"], event["error"]["code"]) == ("timeout", "ThrottlingException")
        assert [(task["importTaskId"], task["status"]) for task in event["tasks"]] == [(ID, None)]

    @pytest.mark.parametrize("name", ["", " ", "x" * 256, None, 7.0])
    async def test_invalid_arguments_are_one_error_event(
        self, aws_default: AdsEmulator, capsys: pytest.CaptureFixture[str], name: Any
    ) -> None:
        event = await only_event(named_trigger(name=name))
        assert (event["status"], event["error"]["code"]) == ("error", "ValueError")
        assert "name must be a string" in event["error"]["message"]
        assert f"Waiting for The newest import named {name!r} failed" in capsys.readouterr().out
        assert not aws_default.calls()

    async def test_a_kill_does_not_claim_that_there_is_an_import(self, capsys: pytest.CaptureFixture[str]) -> None:
        await named_trigger().on_kill()
        assert "The newest import named 'cmdb' keeps running at AWS if it was started" in capsys.readouterr().out


class TestCancel:
    @pytest.mark.parametrize("step", range(20))
    async def test_at_any_time_leaves_no_task_and_no_socket(self, aws_default: AdsEmulator, step: int) -> None:
        sockets, tasks = open_sockets(), asyncio.all_tasks()
        waiting = asyncio.create_task(only_event(trigger_for(aws_default.add_import_task())))
        await asyncio.sleep(step * 0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert asyncio.all_tasks() == tasks
        await until(lambda: open_sockets() <= sockets)

    async def test_a_second_cancellation_still_waits_until_the_client_is_closed(
        self, aws_default: AdsEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closing, closed = asyncio.Event(), asyncio.Event()
        retire = clients.OpenClient.retire

        async def retire_slowly(client: clients.OpenClient) -> None:
            closing.set()
            await asyncio.sleep(0.2)
            await retire(client)
            closed.set()

        monkeypatch.setattr(clients.OpenClient, "retire", retire_slowly)
        waiting = asyncio.create_task(only_event(trigger_for(aws_default.add_import_task())))
        await until(lambda: aws_default.calls()["DescribeImportTasks"] > 1)
        waiting.cancel()
        await closing.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert closed.is_set()


class TestKill:
    async def test_it_logs_that_the_imports_keep_running_without_a_call(
        self, aws_default: AdsEmulator, capsys: pytest.CaptureFixture[str]
    ) -> None:
        await trigger_for(ID).on_kill()
        assert f"{ID} keeps running at AWS, which cannot cancel imports" in capsys.readouterr().out
        assert not aws_default.calls()


class TestDeletion:
    async def test_it_ends_when_the_data_or_the_history_is_deleted(self, aws_default: AdsEmulator) -> None:
        aws_default.delete_seconds = 0.2
        without_history, with_history = (aws_default.add_import_task(status="IMPORT_COMPLETE") for _ in range(2))
        hook = AdsHook()
        hook.delete_import_data(without_history, delete_history=True)
        hook.delete_import_data(with_history)
        event = await only_event(AdsDeleteImportDataTrigger([without_history, with_history], 0.02))
        unlisted, deleted = AdsDeleteImportDataTrigger.read_event(event)
        assert (unlisted.import_task_id, unlisted.is_listed) == (without_history, False)
        assert (deleted.import_task_id, deleted.status) == (with_history, "DELETE_COMPLETE")

    async def test_a_kill_logs_that_the_deletion_continues(self, capsys: pytest.CaptureFixture[str]) -> None:
        await AdsDeleteImportDataTrigger([ID], 60).on_kill()
        assert f"{ID} is still being deleted at AWS" in capsys.readouterr().out

    def test_a_timeout_is_a_deletion_timeout(self) -> None:
        event = {"status": "timeout", "tasks": [{"importTaskId": ID, "status": "DELETE_IN_PROGRESS"}], "error": None}
        with pytest.raises(DeletionWaitTimeout, match="the deletion, which continues at AWS"):
            AdsDeleteImportDataTrigger.read_event(event)


class TestExport:
    @pytest.mark.parametrize("arguments", [ALL_SET, ALL_NONE], ids=["all set", "all None"])
    def test_the_arguments_survive_the_database(self, arguments: dict[str, Any]) -> None:
        arguments = {"export_id": "export-1", **{k: v for k, v in arguments.items() if k != "import_task_ids"}}
        trigger = through_database(AdsExportTrigger(**arguments))
        assert trigger.serialize() == ("airflow_provider_ads.triggers.AdsExportTrigger", arguments)

    async def test_it_ends_when_the_export_has_ended_and_its_event_has_no_url(self, aws_default: AdsEmulator) -> None:
        aws_default.export_seconds = 0.2
        export_id = AdsHook().start_export_task()
        event = await only_event(AdsExportTrigger(export_id, poll_interval=0.02))
        (export_task,) = AdsExportTrigger.read_event(event)
        assert (export_task.export_id, export_task.status) == (export_id, "SUCCEEDED")
        assert AdsHook().get_export_task(export_id).configurations_download_url
        assert "Url" not in json.dumps(event)
        assert "X-Amz" not in json.dumps(event)

    async def test_a_timeout_has_the_last_status(self, aws_default: AdsEmulator) -> None:
        export_id = aws_default.add_export_task()
        trigger = AdsExportTrigger(export_id, poll_interval=0.02, deadline=time.time() + 40)
        event = await event_at_the_deadline(aws_default, trigger)
        assert (event["status"], event["tasks"][0]["exportStatus"]) == ("timeout", "IN_PROGRESS")
        with pytest.raises(ExportWaitTimeout, match="EXPORT: IN_PROGRESS"):
            AdsExportTrigger.read_event(event)

    @pytest.mark.parametrize("export_id", ["", "a b", None, 7])
    async def test_an_invalid_id_is_an_error_event(self, aws_default: AdsEmulator, export_id: Any) -> None:
        event = await only_event(AdsExportTrigger(export_id, poll_interval=0.02))
        assert (event["status"], event["error"]["code"]) == ("error", "ValueError")

    async def test_a_kill_logs_that_the_export_continues(self, capsys: pytest.CaptureFixture[str]) -> None:
        await AdsExportTrigger("export-1", poll_interval=60).on_kill()
        assert "export-1 continues at AWS, which cannot cancel exports" in capsys.readouterr().out


class TestReadEvent:
    @pytest.mark.parametrize(
        "event",
        [
            None,
            "finished",
            [],
            {},
            {"status": "success"},
            {"status": "success", "tasks": [{"importTaskId": ID}]},
            {"status": "finished"},
            {"status": "finished", "tasks": []},
            {"status": "finished", "tasks": [{}]},
            {"status": "finished", "tasks": [{"importTaskId": ID, "status": "IMPORT_IN_PROGRESS"}]},
            {"status": "error"},
            {"status": "error", "error": {"surprise": 1}},
            {"status": "timeout"},
        ],
        ids=str,
    )
    def test_an_event_of_another_form_is_refused(self, event: Any) -> None:
        with pytest.raises(AdsCallError, match="Install the same version") as error:
            AdsImportTaskTrigger.read_event(event)
        assert error.value.code == "UnexpectedEvent"

    def test_finished_returns_the_tasks(self) -> None:
        (task,) = AdsImportTaskTrigger.read_event(
            {"status": "finished", "tasks": [{"importTaskId": ID, "status": "NEW", "newField": 1}]}
        )
        assert (task.import_task_id, task.status) == (ID, "NEW")

    def test_error_raises_the_error_of_the_triggerer(self) -> None:
        with pytest.raises(AdsCallError, match="refused") as error:
            AdsImportTaskTrigger.read_event(
                {"status": "error", "error": {"code": "C", "message": "refused", "import_task_id": ID}}
            )
        assert (error.value.code, error.value.import_task_id) == ("C", ID)

    @pytest.mark.parametrize("last_error", [None, {"code": "C", "message": "throttled", "import_task_id": None}])
    def test_timeout_raises_with_the_last_status_and_error(self, last_error: Any) -> None:
        tasks = [{"importTaskId": ID, "status": "IMPORT_IN_PROGRESS"}]
        with pytest.raises(ImportWaitTimeout, match="keeps running at AWS") as error:
            AdsImportTaskTrigger.read_event({"status": "timeout", "tasks": tasks, "error": last_error})
        assert f"IMPORT_IN_PROGRESS: {ID}" in str(error.value)
        assert ("throttled" in str(error.value)) is (last_error is not None)


def open_sockets() -> int:
    # A descriptor can be closed before its link is read, such as that of the directory itself.
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            count += os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:")
    return count


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
