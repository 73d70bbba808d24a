from __future__ import annotations

import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.emulator.http_server import HttpServer
from tests.unit.emulator.conftest import (
    RAW_CALL,
    START,
    MakeClient,
    address,
    start_import,
    statuses,
    wait_for,
    wait_for_import,
)

Error = tuple[int, str] | None


def error_of(call: Callable[[], Any]) -> Error:
    """Call, and return the HTTP status and the code of the error, or None."""
    try:
        call()
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    return None


@pytest.fixture
def describe(discovery: Any) -> Callable[[], Any]:
    return lambda: discovery.describe_import_tasks()


class TestErrors:
    def test_an_unknown_code_has_the_injected_status(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("TeapotException", status=418, message="short and stout")
        with pytest.raises(ClientError, match=r"\(TeapotException\).*: short and stout") as caught:
            describe()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 418
        assert caught.value.response["ResponseMetadata"]["RequestId"]

    def test_a_failed_call_is_not_performed(self, ads: AdsEmulator, discovery: Any) -> None:
        import_task_id = ads.add_import_task(status="IMPORT_COMPLETE")
        ads.inject("ServerInternalErrorException")
        with pytest.raises(discovery.exceptions.ServerInternalErrorException):
            discovery.start_import_task(**START)
        with pytest.raises(discovery.exceptions.ServerInternalErrorException):
            discovery.batch_delete_import_data(importTaskIds=[import_task_id])
        assert statuses(ads) == ["IMPORT_COMPLETE"]
        assert ads.calls() == {"StartImportTask": 1, "BatchDeleteImportData": 1}


class TestDuration:
    def test_a_fault_lasts_for_a_number_of_calls(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("ThrottlingException", calls=2)
        assert [error_of(describe) for _ in range(4)] == [(400, "ThrottlingException")] * 2 + [None] * 2

    def test_the_seed_decides_which_share_of_the_calls_fails(self, client: MakeClient) -> None:
        def outcomes(seed: int) -> list[Error]:
            with AdsEmulator(seed=seed) as ads:
                discovery = client("discovery", emulator=ads)
                ads.inject("ThrottlingException", share=0.5)
                return [error_of(lambda: discovery.describe_import_tasks()) for _ in range(30)]

        first = outcomes(seed=1)
        assert 5 < first.count(None) < 25
        assert outcomes(seed=1) == first
        assert outcomes(seed=2) != first

    def test_only_affected_calls_count(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("ThrottlingException", share=0.5, calls=3)
        outcomes = [error_of(describe) for _ in range(40)]
        assert outcomes.count(None) == 37
        assert None in outcomes[: 40 - outcomes[::-1].index((400, "ThrottlingException"))]

    def test_a_fault_lasts_for_a_number_of_seconds(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("ThrottlingException", seconds=3600)
        assert error_of(describe) == (400, "ThrottlingException")
        ads.clear_faults()
        ads.inject("ThrottlingException", seconds=0.1)
        wait_for(lambda: error_of(describe) is None)


class TestActive:
    def test_faults_that_have_ended_are_not_active(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.inject("latency", delay=0.01, calls=3)
        ads.inject("ThrottlingException", operation="DescribeImportTasks", calls=1)
        ads.inject("drop", seconds=0.001)
        error_of(discovery.describe_import_tasks)
        time.sleep(0.01)
        assert [(each.fault.kind, each.calls) for each in ads._faults.active()] == [("latency", 2)]


class TestScope:
    def test_a_fault_can_affect_one_operation(self, ads: AdsEmulator, discovery: Any, describe: Any) -> None:
        ads.inject("ThrottlingException", operation="StartImportTask", calls=1)
        assert error_of(describe) is None
        outcomes = [error_of(lambda: discovery.start_import_task(**START)) for _ in range(2)]
        assert outcomes == [(400, "ThrottlingException"), None]

    def test_a_fault_affects_both_services(self, ads: AdsEmulator, client: MakeClient) -> None:
        ads.inject("AccessDeniedException")
        assert error_of(client("migrationhub-config").get_home_region) == (400, "AccessDeniedException")

    def test_a_fault_affects_neither_s3_nor_sts(self, ads: AdsEmulator, client: MakeClient, discovery: Any) -> None:
        start_import(discovery, ads.upload("s3://inventory/k", "ExternalId\n \n"))
        ads.inject("ThrottlingException")
        ads.inject("drop")
        assert client("s3").list_objects_v2(Bucket="inventory")["KeyCount"] == 1
        assert client("sts").get_caller_identity()["Account"]
        wait_for(lambda: statuses(ads) == ["IMPORT_FAILED"])

    def test_the_fault_that_was_injected_first_affects_a_call(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("ThrottlingException", calls=1)
        ads.inject("ServiceUnavailable", calls=1)
        assert [error_of(describe) for _ in range(3)] == [
            (400, "ThrottlingException"),
            (503, "ServiceUnavailable"),
            None,
        ]


class TestDrop:
    def test_the_connection_is_closed_instead_of_performing_the_call(
        self, ads: AdsEmulator, discovery: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        ads.inject("drop", calls=1)
        with pytest.raises(ConnectionClosedError):
            discovery.start_import_task(**START)
        assert ads.import_tasks() == []
        discovery.start_import_task(**START)
        assert ads.calls() == {"StartImportTask": 2}
        assert caplog.messages.count("StartImportTask: injected fault: connection dropped") == 1
        assert any(message.startswith("Injected: Fault(kind='drop'") for message in caplog.messages)


class TestLose:
    def test_the_connection_is_closed_after_performing_the_call(
        self, ads: AdsEmulator, discovery: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        ads.inject("lose", operation="StartImportTask", calls=1)
        with pytest.raises(ConnectionClosedError):
            start_import(discovery, clientRequestToken="token")
        (task,) = ads.import_tasks()
        assert wait_for_import(discovery, task["importTaskId"])["status"] == "IMPORT_FAILED"
        assert start_import(discovery, clientRequestToken="token") == task["importTaskId"]
        assert ads.calls()["StartImportTask"] == 2
        started = caplog.messages.index("StartImportTask in us-west-2")
        assert "StartImportTask: injected fault: response lost" in caplog.messages[started:]


class TestHold:
    def test_the_response_of_a_performed_call_is_held_until_the_faults_are_cleared(
        self, ads: AdsEmulator, discovery: Any
    ) -> None:
        ads.inject("hold", operation="StartImportTask", calls=1)
        with ThreadPoolExecutor() as pool:
            first = pool.submit(start_import, discovery, clientRequestToken="token")
            wait_for(ads.held)
            (task,) = ads.import_tasks()
            assert wait_for_import(discovery, task["importTaskId"])["status"] == "IMPORT_FAILED"
            second = start_import(discovery, clientRequestToken="token")
            assert (ads.held(), first.done()) == (1, False)
            ads.clear_faults()
            assert ads.held() == 0
            assert first.result() == second == task["importTaskId"]

    def test_every_response_is_held(self, ads: AdsEmulator, describe: Any) -> None:
        with ThreadPoolExecutor() as pool:
            for number in (2, 3):
                ads.inject("hold")
                held = [pool.submit(describe) for _ in range(number)]
                wait_for(lambda: ads.held() == number)  # noqa: B023 - called immediately
                ads.clear_faults()
                assert [each.result()["tasks"] for each in held] == [[]] * number

    def test_responses_remain_held_when_the_seconds_have_passed(
        self, ads: AdsEmulator, describe: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = SimpleNamespace(monotonic=lambda: 0.0)
        monkeypatch.setattr("airflow_provider_ads.emulator.faults.time", clock)
        ads.inject("hold", seconds=1)
        with ThreadPoolExecutor() as pool:
            held = pool.submit(describe)
            wait_for(ads.held)
            clock.monotonic = lambda: 1.0
            describe()
            assert (ads.held(), held.done()) == (1, False)
            ads.clear_faults()

    def test_errors_are_held_too(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.home_region = None
        ads.inject("hold")
        with ThreadPoolExecutor() as pool:
            held = pool.submit(discovery.start_import_task, **START)
            wait_for(ads.held)
            ads.clear_faults()
            with pytest.raises(discovery.exceptions.HomeRegionNotSetException):
                held.result()

    def test_a_delayed_call_is_not_held_once_the_faults_are_cleared(
        self, ads: AdsEmulator, describe: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        ads.inject("latency", delay=0.5)
        ads.inject("hold")
        with ThreadPoolExecutor() as pool:
            delayed = pool.submit(describe)
            wait_for(lambda: "DescribeImportTasks: injected fault: delayed by 0.5 s" in caplog.messages)
            ads.clear_faults()
            assert delayed.result()["tasks"] == []
        assert caplog.messages[-1] == "DescribeImportTasks: injected fault: response held"
        assert ads.held() == 0

    def test_clients_that_disconnect_leave_no_thread(
        self, ads: AdsEmulator, client: MakeClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        before = set(threading.enumerate())
        ads.inject("hold")
        with pytest.raises(ReadTimeoutError):
            client("discovery", read_timeout=0.1).describe_import_tasks()
        with held_and_reset(ads):
            assert len(set(threading.enumerate()) - before) == 2
            ads.clear_faults()
            wait_for(lambda: set(threading.enumerate()) == before)
        assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []

    def test_stopping_the_emulator_closes_the_connections(
        self, client: MakeClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        before = set(threading.enumerate())
        with ThreadPoolExecutor() as pool:
            with AdsEmulator() as ads:
                ads.inject("hold")
                held = pool.submit(client("discovery", emulator=ads).describe_import_tasks)
                wait_for(ads.held)
                with held_and_reset(ads):
                    pass
            with pytest.raises(ConnectionClosedError):
                held.result()
        assert ads.held() == 0
        assert set(threading.enumerate()) == before
        assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []

    def test_a_stopping_emulator_holds_nothing(self, client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
        close = HttpServer._close

        def call_and_close(server: HttpServer) -> None:
            monkeypatch.undo()
            ads.inject("hold")
            with pytest.raises(ConnectionClosedError):
                discovery.describe_import_tasks()
            close(server)

        monkeypatch.setattr(HttpServer, "_close", call_and_close)
        with AdsEmulator() as ads:
            discovery = client("discovery", emulator=ads, read_timeout=10)
            discovery.describe_import_tasks()


@contextmanager
def held_and_reset(ads: AdsEmulator) -> Iterator[None]:
    """Call, and reset the connection when two responses are held."""
    with socket.create_connection(address(ads)) as connection:
        connection.sendall(RAW_CALL)
        wait_for(lambda: ads.held() == 2)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    yield


class TestLatency:
    @pytest.mark.parametrize(
        ("fault", "error"), [("ThrottlingException", ClientError), ("lose", ConnectionClosedError)]
    )
    def test_latencies_add_up_and_combine_with_another_fault(
        self, ads: AdsEmulator, describe: Any, caplog: pytest.LogCaptureFixture, fault: str, error: type[Exception]
    ) -> None:
        caplog.set_level("INFO")
        ads.inject("latency", delay=0.25, calls=1)
        ads.inject("latency", delay=0.125, calls=1)
        ads.inject(fault, calls=1)
        started = time.monotonic()
        with pytest.raises(error):
            describe()
        assert time.monotonic() - started >= 0.375
        assert caplog.messages.count("DescribeImportTasks: injected fault: delayed by 0.375 s") == 1
        describe()


class TestErrorsOfImportTasks:
    @pytest.fixture
    def ids(self, ads: AdsEmulator) -> list[str]:
        ads.delete_seconds = 3600
        return [ads.add_import_task(status="IMPORT_COMPLETE") for _ in range(3)]

    def test_one_task_is_not_deleted(self, ads: AdsEmulator, discovery: Any, ids: list[str]) -> None:
        ads.inject("INTERNAL_SERVER_ERROR", import_task_id=ids[1], message="try again")
        (error,) = discovery.batch_delete_import_data(importTaskIds=ids)["errors"]
        assert error == {
            "importTaskId": ids[1],
            "errorCode": "INTERNAL_SERVER_ERROR",
            "errorDescription": "try again",
        }
        assert statuses(ads) == ["DELETE_IN_PROGRESS", "IMPORT_COMPLETE", "DELETE_IN_PROGRESS"]

    def test_each_task_counts_as_a_call(self, ads: AdsEmulator, discovery: Any, ids: list[str]) -> None:
        ads.inject("OVER_LIMIT", operation="BatchDeleteImportData", calls=2)
        errors = discovery.batch_delete_import_data(importTaskIds=ids)["errors"]
        assert {error["importTaskId"]: error["errorCode"] for error in errors} == dict.fromkeys(ids[:2], "OVER_LIMIT")
        assert discovery.batch_delete_import_data(importTaskIds=ids)["errors"] == []

    def test_other_operations_are_not_affected(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("NOT_FOUND")
        assert error_of(describe) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fault": "ThrotlingException"}, "needs its HTTP status. Known are .*ThrottlingException"),
        ({"fault": "TeapotException", "status": 200}, "400 to 599, not 200"),
        ({"fault": "ThrottlingException", "operation": "PutObject"}, "operation 'PutObject'"),
        ({"fault": "ThrottlingException", "calls": 1, "seconds": 1}, "calls or of seconds"),
        ({"fault": "ThrottlingException", "calls": 0}, "calls must be 1 or more, not 0"),
        ({"fault": "ThrottlingException", "share": 0}, "share must be more than 0 and at most 1, not 0"),
        ({"fault": "ThrottlingException", "seconds": 0}, "seconds must be more than 0, not 0"),
        ({"fault": "ThrottlingException", "delay": 1}, "'latency' needs a delay"),
        ({"fault": "latency", "delay": 0}, "delay must be more than 0, not 0"),
        ({"fault": "drop", "message": "gone"}, "require an error code, not 'drop'"),
        ({"fault": 5}, "fault must be a string, not 5"),
        ({"fault": "ThrottlingException", "operation": ["x"]}, "operation must be a string, not"),
        ({"fault": "ThrottlingException", "calls": True}, "calls must be an integer, not True"),
        ({"fault": "refuse", "seconds": math.inf}, "seconds must be a finite number, not inf"),
        ({"fault": "refuse"}, "needs seconds and accepts nothing else"),
        ({"fault": "refuse", "seconds": 1, "operation": "GetHomeRegion"}, "accepts nothing else"),
        ({"fault": "NOT_FOUND", "status": 404}, "accepts no status and no other operation"),
        ({"fault": "NOT_FOUND", "operation": "StartImportTask"}, "accepts no status and no other operation"),
        ({"fault": "ThrottlingException", "import_task_id": "x"}, "requires INTERNAL_SERVER_ERROR, NOT_FOUND, OVER"),
    ],
)
def test_an_invalid_fault_is_refused(ads: AdsEmulator, describe: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ads.inject(**arguments)
    describe()
