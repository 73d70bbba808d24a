from __future__ import annotations

import math
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.emulator.errors import HTTP_STATUS
from airflow_provider_ads.emulator.port_server import PortServer
from tests.unit.emulator.conftest import MakeClient, end_refusal, receives, wait_for, wait_for_import

Error = tuple[int, str] | None


def error_of(call: Callable[[], Any]) -> Error:
    """Call, and return HTTP status and code of the error, or None."""
    try:
        call()
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    return None


@pytest.fixture
def describe(discovery: Any) -> Callable[[], Any]:
    return lambda: discovery.describe_import_tasks()


class TestErrors:
    @pytest.mark.parametrize(("code", "status"), HTTP_STATUS.items())
    def test_known_code(self, ads: AdsEmulator, describe: Any, code: str, status: int) -> None:
        ads.inject(code)
        assert error_of(describe) == (status, code)

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("ThrottlingException", 400),
            ("ServerInternalErrorException", 500),
            ("ServiceUnavailable", 503),
            ("InternalFailure", 500),
            ("AuthorizationErrorException", 400),
            ("HomeRegionNotSetException", 400),
            ("InvalidInputException", 400),
            ("ExpiredTokenException", 400),
        ],
    )
    def test_documented_status(self, code: str, status: int) -> None:
        assert HTTP_STATUS[code] == status

    def test_unknown_code_with_its_status(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("TeapotException", status=418, message="short and stout")
        with pytest.raises(ClientError, match=r"\(TeapotException\).*: short and stout") as caught:
            describe()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 418
        assert caught.value.response["ResponseMetadata"]["RequestId"]

    def test_start_that_fails_imports_nothing(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.inject("ServerInternalErrorException", calls=1)
        with pytest.raises(discovery.exceptions.ServerInternalErrorException):
            discovery.start_import_task(name="n", importUrl="s3://b/k")
        assert ads.import_tasks() == []
        assert ads.calls() == {"StartImportTask": 1}


class TestDuration:
    def test_number_of_calls(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("ThrottlingException", calls=2)
        assert [error_of(describe) for _ in range(4)] == [(400, "ThrottlingException")] * 2 + [None] * 2

    def test_share_of_calls(self, client: MakeClient) -> None:
        def outcomes(seed: int) -> list[Error]:
            with AdsEmulator(seed=seed) as ads:
                discovery = client("discovery", emulator=ads)
                ads.inject("ThrottlingException", share=0.5)
                return [error_of(lambda: discovery.describe_import_tasks()) for _ in range(30)]

        first = outcomes(seed=1)
        assert 5 < first.count(None) < 25
        assert outcomes(seed=1) == first
        assert outcomes(seed=2) != first

    def test_share_until_a_number_of_calls(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("ThrottlingException", share=0.5, calls=3)
        outcomes = [error_of(describe) for _ in range(40)]
        assert outcomes.count(None) == 37
        assert None in outcomes[: 40 - outcomes[::-1].index((400, "ThrottlingException"))]

    def test_time(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("ThrottlingException", seconds=3600)
        assert error_of(describe) == (400, "ThrottlingException")
        ads.clear_faults()
        ads.inject("ThrottlingException", seconds=0.1)
        wait_for(lambda: error_of(describe) is None)

    def test_until_cleared(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("ThrottlingException")
        assert [error_of(describe) for _ in range(3)] == [(400, "ThrottlingException")] * 3
        ads.clear_faults()
        assert error_of(describe) is None


class TestScope:
    def test_one_operation(self, ads: AdsEmulator, discovery: Any, describe: Any) -> None:
        ads.inject("ThrottlingException", operation="StartImportTask", calls=1)
        assert error_of(describe) is None
        start = lambda: discovery.start_import_task(name="n", importUrl="s3://b/k")  # noqa: E731
        assert [error_of(start) for _ in range(2)] == [(400, "ThrottlingException"), None]

    def test_both_services(self, ads: AdsEmulator, client: MakeClient) -> None:
        ads.inject("AccessDeniedException")
        assert error_of(client("migrationhub-config").get_home_region) == (400, "AccessDeniedException")

    def test_neither_s3_nor_sts(self, ads: AdsEmulator, client: MakeClient, s3: Any, discovery: Any) -> None:
        s3.put_object(Bucket="inventory", Key="k", Body=b"ExternalId\n \n")
        started = discovery.start_import_task(name="n", importUrl="s3://inventory/k")["task"]
        ads.inject("ThrottlingException")
        ads.inject("drop")
        assert s3.list_objects_v2(Bucket="inventory")["KeyCount"] == 1
        assert client("sts").get_caller_identity()["Account"]
        wait_for(lambda: ads.import_tasks()[0]["status"] == "IMPORT_FAILED")
        assert ads.import_tasks()[0]["importTaskId"] == started["importTaskId"]

    def test_first_of_several_is_shown(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("ThrottlingException", calls=1)
        ads.inject("ServiceUnavailable", calls=1)
        assert [error_of(describe) for _ in range(3)] == [
            (400, "ThrottlingException"),
            (503, "ServiceUnavailable"),
            None,
        ]


class TestDrop:
    def test_closes_the_connection_without_an_answer(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("drop", calls=1)
        with pytest.raises(ConnectionClosedError):
            describe()
        describe()
        assert ads.calls() == {"DescribeImportTasks": 2}

    def test_is_logged(self, ads: AdsEmulator, describe: Any, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        ads.inject("drop", calls=1)
        with pytest.raises(ConnectionClosedError):
            describe()
        assert caplog.messages.count("DescribeImportTasks: connection dropped, as injected") == 1
        assert any(message.startswith("Injected: Fault(kind='drop'") for message in caplog.messages)


class TestLose:
    def test_does_the_call_and_closes_the_connection(self, ads: AdsEmulator, discovery: Any) -> None:
        parameters = {"name": "n", "importUrl": "s3://b/k", "clientRequestToken": "token"}
        ads.inject("lose", operation="StartImportTask", calls=1)
        with pytest.raises(ConnectionClosedError):
            discovery.start_import_task(**parameters)
        (task,) = ads.import_tasks()
        assert wait_for_import(discovery, task["importTaskId"])["status"] == "IMPORT_FAILED"
        assert discovery.start_import_task(**parameters)["task"]["importTaskId"] == task["importTaskId"]
        assert ads.calls()["StartImportTask"] == 2

    def test_loses_errors_too(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.home_region = None
        ads.inject("lose")
        with pytest.raises(ConnectionClosedError):
            discovery.start_import_task(name="n", importUrl="s3://b/k")
        assert ads.import_tasks() == []

    def test_goes_together_with_latency(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("latency", delay=0.2)
        ads.inject("lose")
        started = time.monotonic()
        with pytest.raises(ConnectionClosedError):
            describe()
        assert time.monotonic() - started >= 0.2

    def test_is_logged(self, ads: AdsEmulator, describe: Any, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        ads.inject("lose", share=1)
        with pytest.raises(ConnectionClosedError):
            describe()
        assert caplog.messages[-2:] == [
            "DescribeImportTasks in us-west-2",
            "DescribeImportTasks: answer lost, as injected",
        ]


class TestHold:
    def test_does_the_call_and_answers_when_faults_are_cleared(self, ads: AdsEmulator, discovery: Any) -> None:
        parameters = {"name": "n", "importUrl": "s3://b/k", "clientRequestToken": "token"}
        ads.inject("hold", operation="StartImportTask", calls=1)
        with ThreadPoolExecutor() as pool:
            first = pool.submit(discovery.start_import_task, **parameters)
            wait_for(ads.held)
            (task,) = ads.import_tasks()
            assert wait_for_import(discovery, task["importTaskId"])["status"] == "IMPORT_FAILED"
            second = discovery.start_import_task(**parameters)["task"]
            assert (ads.held(), first.done()) == (1, False)
            ads.clear_faults()
            assert ads.held() == 0
            assert first.result()["task"]["importTaskId"] == second["importTaskId"] == task["importTaskId"]

    def test_holds_every_call_until_cleared(self, ads: AdsEmulator, describe: Any) -> None:
        with ThreadPoolExecutor() as pool:
            for number in (2, 3):
                ads.inject("hold")
                held = [pool.submit(describe) for _ in range(number)]
                wait_for(lambda: ads.held() == number)  # noqa: B023 - called at once
                ads.clear_faults()
                assert [each.result()["tasks"] for each in held] == [[]] * number

    def test_answers_to_new_calls_once_its_time_is_over(
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

    def test_holds_errors_too(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.home_region = None
        ads.inject("hold")
        with ThreadPoolExecutor() as pool:
            held = pool.submit(discovery.start_import_task, name="n", importUrl="s3://b/k")
            wait_for(ads.held)
            ads.clear_faults()
            with pytest.raises(discovery.exceptions.HomeRegionNotSetException):
                held.result()

    def test_does_not_hold_a_delayed_call_after_it_was_cleared(
        self, ads: AdsEmulator, describe: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        ads.inject("latency", delay=0.5)
        ads.inject("hold")
        with ThreadPoolExecutor() as pool:
            delayed = pool.submit(describe)
            wait_for(lambda: "DescribeImportTasks: delayed by 0.5 s, as injected" in caplog.messages)
            ads.clear_faults()
            assert delayed.result()["tasks"] == []
        assert caplog.messages[-1] == "DescribeImportTasks: answer held back, as injected"
        assert ads.held() == 0

    def test_leaves_no_thread_for_clients_that_are_gone(
        self, ads: AdsEmulator, client: MakeClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        before = set(threading.enumerate())
        ads.inject("hold")
        with pytest.raises(ReadTimeoutError):
            client("discovery", read_timeout=0.1).describe_import_tasks()
        hold_and_reset(ads)
        wait_for(lambda: ads.held() == 2)
        assert len(set(threading.enumerate()) - before) == 2
        ads.clear_faults()
        wait_for(lambda: set(threading.enumerate()) == before)
        assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []

    def test_ends_with_the_emulator(self, client: MakeClient, caplog: pytest.LogCaptureFixture) -> None:
        before = set(threading.enumerate())
        with ThreadPoolExecutor() as pool:
            with AdsEmulator() as ads:
                ads.inject("hold")
                held = pool.submit(client("discovery", emulator=ads).describe_import_tasks)
                hold_and_reset(ads)
                wait_for(lambda: ads.held() == 2)
            with pytest.raises(ConnectionClosedError):
                held.result()
        assert ads.held() == 0
        assert set(threading.enumerate()) == before
        assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []

    def test_holds_nothing_while_the_emulator_stops(self, client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
        close = PortServer._close

        def call_and_close(server: PortServer) -> None:
            monkeypatch.undo()
            ads.inject("hold")
            with pytest.raises(ConnectionClosedError):
                discovery.describe_import_tasks()
            close(server)

        monkeypatch.setattr(PortServer, "_close", call_and_close)
        with AdsEmulator() as ads:
            discovery = client("discovery", emulator=ads, read_timeout=10)
            discovery.describe_import_tasks()


def hold_and_reset(ads: AdsEmulator) -> None:
    """Call, and reset the connection once the answer is held back."""
    held = ads.held()
    with socket.create_connection(("127.0.0.1", urlsplit(ads.endpoint_url).port)) as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nX-Amz-Target: AWSPoseidonService_V2015_11_01.DescribeImportTasks\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        wait_for(lambda: ads.held() > held)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class TestLatency:
    def test_delays_the_answer(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("latency", delay=0.3, calls=1)
        ads.inject("latency", delay=0.2, calls=1)
        started = time.monotonic()
        describe()
        assert time.monotonic() - started >= 0.5

    def test_is_logged(self, ads: AdsEmulator, describe: Any, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        ads.inject("latency", delay=0.01, calls=1)
        describe()
        assert caplog.messages.count("DescribeImportTasks: delayed by 0.01 s, as injected") == 1

    def test_goes_together_with_an_error(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("latency", delay=0.2, calls=1)
        ads.inject("ThrottlingException", calls=1)
        started = time.monotonic()
        assert error_of(describe) == (400, "ThrottlingException")
        assert time.monotonic() - started >= 0.2


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
        statuses = [task["status"] for task in ads.import_tasks()]
        assert statuses == ["DELETE_IN_PROGRESS", "IMPORT_COMPLETE", "DELETE_IN_PROGRESS"]

    @pytest.mark.parametrize("code", ["INTERNAL_SERVER_ERROR", "NOT_FOUND", "OVER_LIMIT"])
    def test_every_task_until_a_number_of_them(
        self, ads: AdsEmulator, discovery: Any, ids: list[str], code: str
    ) -> None:
        ads.inject(code, operation="BatchDeleteImportData", calls=2)
        errors = discovery.batch_delete_import_data(importTaskIds=ids)["errors"]
        assert [(error["importTaskId"], error["errorCode"]) for error in errors] == [(each, code) for each in ids[:2]]
        assert discovery.batch_delete_import_data(importTaskIds=ids)["errors"] == []

    def test_concern_no_other_call(self, ads: AdsEmulator, describe: Any) -> None:
        ads.inject("NOT_FOUND")
        assert error_of(describe) is None


class TestDeletion:
    @pytest.fixture
    def delete(self, ads: AdsEmulator, discovery: Any) -> Callable[[], Any]:
        ads.delete_seconds = 3600
        import_task_id = ads.add_import_task(status="IMPORT_COMPLETE")
        return lambda: discovery.batch_delete_import_data(importTaskIds=[import_task_id])

    @pytest.mark.parametrize("code", ["ThrottlingException", "HomeRegionNotSetException"])
    def test_that_meets_an_error_is_not_done(self, ads: AdsEmulator, delete: Callable[[], Any], code: str) -> None:
        ads.inject(code, operation="BatchDeleteImportData")
        assert error_of(delete) == (400, code)
        assert ads.import_tasks()[0]["status"] == "IMPORT_COMPLETE"

    def test_that_is_lost_is_done(self, ads: AdsEmulator, delete: Callable[[], Any]) -> None:
        ads.inject("lose", operation="BatchDeleteImportData", calls=1)
        with pytest.raises(ConnectionClosedError):
            delete()
        assert ads.import_tasks()[0]["status"] == "DELETE_IN_PROGRESS"
        assert delete()["errors"] == []
        assert ads.calls() == {"BatchDeleteImportData": 2}


class TestRefuse:
    def test_nothing_listens_until_the_time_is_over(self, ads: AdsEmulator, describe: Any, s3: Any) -> None:
        port = urlsplit(ads.endpoint_url).port
        ads.inject("refuse", seconds=3600)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        for call in (describe, s3.list_buckets):
            with pytest.raises(EndpointConnectionError):
                call()
        end_refusal(ads)
        describe()
        assert s3.list_buckets()["Buckets"]
        assert urlsplit(ads.endpoint_url).port == port

    def test_open_connections_are_closed(self, ads: AdsEmulator) -> None:
        address = ("127.0.0.1", urlsplit(ads.endpoint_url).port)
        with socket.create_connection(address) as idle, socket.create_connection(address) as waiting:
            waiting.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n{")
            ads.inject("refuse", seconds=60)
            for connection in (idle, waiting):
                assert not receives(connection)

    def test_call_that_is_being_delayed_does_not_hold_it_up(self, ads: AdsEmulator) -> None:
        ads.inject("latency", delay=3600)
        address = ("127.0.0.1", urlsplit(ads.endpoint_url).port)
        request = (
            b"POST / HTTP/1.1\r\nX-Amz-Target: AWSPoseidonService_V2015_11_01.DescribeImportTasks\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        with socket.create_connection(address) as connection:
            connection.sendall(request)
            wait_for(ads.calls)
            ads.inject("refuse", seconds=60)
            assert not receives(connection)

    def test_import_goes_on(self, ads: AdsEmulator, s3: Any, discovery: Any) -> None:
        s3.put_object(Bucket="inventory", Key="k", Body=b"ExternalId\na\n \n")
        ads.import_seconds = 3600
        import_task_id = discovery.start_import_task(name="n", importUrl="s3://inventory/k")["task"]["importTaskId"]
        ads.inject("refuse", seconds=3600)
        ads.import_seconds = 0
        wait_for(lambda: ads.import_tasks()[0]["status"] == "IMPORT_COMPLETE_WITH_ERRORS")
        end_refusal(ads)
        assert wait_for_import(discovery, import_task_id)["serverImportSuccess"] == 1

    def test_port_that_is_taken_meanwhile_is_had_again(
        self, ads: AdsEmulator, describe: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        ads.inject("refuse", seconds=3600)
        with socket.create_server(("127.0.0.1", urlsplit(ads.endpoint_url).port or 0)):
            for _ in range(2):
                ads.inject("refuse", seconds=0.01)
                wait_for(lambda: "Address already in use" in caplog.text)
            time.sleep(0.3)
        end_refusal(ads)
        describe()
        wait_for(lambda: f"Port {urlsplit(ads.endpoint_url).port} is listened on again" in caplog.messages)
        assert sum(record.levelname == "WARNING" for record in caplog.records) == 2

    def test_port_that_is_taken_does_not_hold_up_the_end(self) -> None:
        before = set(threading.enumerate())
        with AdsEmulator() as ads:
            ads.inject("refuse", seconds=0.2)
            with socket.create_server(("127.0.0.1", urlsplit(ads.endpoint_url).port or 0)):
                time.sleep(0.4)
                ads.stop()
                assert set(threading.enumerate()) == before

    def test_that_is_over_does_not_end_a_later_one(self, ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        close = PortServer._close

        def close_late(server: PortServer) -> None:
            time.sleep(0.4)  # the first refusal's time is over while the second one begins
            close(server)

        ads.inject("refuse", seconds=0.2)
        with monkeypatch.context() as patch:
            patch.setattr(PortServer, "_close", close_late)
            ads.inject("refuse", seconds=3600)
        wait_for(lambda: sum(each.name == "ads-emulator-reopening" for each in threading.enumerate()) == 1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", urlsplit(ads.endpoint_url).port))

    def test_needs_an_emulator_that_runs(self) -> None:
        with pytest.raises(ValueError, match="does not run"):
            AdsEmulator().inject("refuse", seconds=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"fault": "ThrotlingException"}, "needs its HTTP status, except .*ThrottlingException"),
        ({"fault": "TeapotException", "status": 200}, "400 to 599, not 200"),
        ({"fault": "ThrottlingException", "operation": "PutObject"}, "operation 'PutObject'"),
        ({"fault": "ThrottlingException", "calls": 1, "seconds": 1}, "calls or for seconds"),
        ({"fault": "ThrottlingException", "calls": 0}, "calls is 1 or more, not 0"),
        ({"fault": "ThrottlingException", "share": 0}, "share is more than 0 and at most 1, not 0"),
        ({"fault": "ThrottlingException", "share": 50}, "share is more than 0 and at most 1, not 50"),
        ({"fault": "ThrottlingException", "seconds": 0}, "seconds is more than 0, not 0"),
        ({"fault": "ThrottlingException", "delay": 1}, "'latency' needs a delay"),
        ({"fault": "latency"}, "'latency' needs a delay"),
        ({"fault": "latency", "seconds": 1}, "'latency' needs a delay"),
        ({"fault": "latency", "delay": 0}, "delay is more than 0, not 0"),
        ({"fault": "latency", "delay": 1, "status": 500}, "belong to an error code, not to 'latency'"),
        ({"fault": "drop", "message": "gone"}, "belong to an error code, not to 'drop'"),
        ({"fault": "hold", "message": "gone"}, "belong to an error code, not to 'hold'"),
        ({"fault": "lose", "status": 500}, "belong to an error code, not to 'lose'"),
        ({"fault": "hold", "delay": 1}, "'latency' needs a delay"),
        ({"fault": 5}, "kind of a fault is a string, not 5"),
        ({"fault": None, "status": 500}, "kind of a fault is a string, not None"),
        ({"fault": "ThrottlingException", "operation": ["x"]}, "operation is a string, not"),
        ({"fault": "ThrottlingException", "message": 5}, "message is a string, not 5"),
        ({"fault": "ThrottlingException", "calls": 1.5}, "calls is an integer, not 1.5"),
        ({"fault": "ThrottlingException", "calls": True}, "calls is an integer, not True"),
        ({"fault": "ThrottlingException", "status": "500"}, "status is an integer, not '500'"),
        ({"fault": "ThrottlingException", "share": "1"}, "share is a finite number, not '1'"),
        ({"fault": "ThrottlingException", "share": True}, "share is a finite number, not True"),
        ({"fault": "ThrottlingException", "seconds": math.nan}, "seconds is a finite number, not nan"),
        ({"fault": "refuse", "seconds": math.inf}, "seconds is a finite number, not inf"),
        ({"fault": "refuse", "seconds": 10**400}, "seconds is a finite number, not 1000"),
        ({"fault": "latency", "delay": math.inf}, "delay is a finite number, not inf"),
        ({"fault": "refuse"}, "needs seconds and takes nothing else"),
        ({"fault": "refuse", "seconds": -1}, "seconds is more than 0, not -1"),
        ({"fault": "refuse", "seconds": 1, "calls": 1}, "needs seconds and takes nothing else"),
        ({"fault": "refuse", "seconds": 1, "share": 0.5}, "needs seconds and takes nothing else"),
        ({"fault": "refuse", "seconds": 1, "operation": "GetHomeRegion"}, "takes nothing else"),
        ({"fault": "NOT_FOUND", "status": 404}, "takes no status and no other operation"),
        ({"fault": "NOT_FOUND", "operation": "StartImportTask"}, "takes no status and no other operation"),
        ({"fault": "NOT_FOUND", "delay": 1}, "'latency' needs a delay"),
        ({"fault": "NOT_FOUND", "import_task_id": 5}, "import_task_id is a string, not 5"),
        ({"fault": "ThrottlingException", "import_task_id": "x"}, "belongs to INTERNAL_SERVER_ERROR, NOT_FOUND, OVER"),
        ({"fault": "lose", "import_task_id": "x"}, "belongs to .*, not to 'lose'"),
        ({"fault": "refuse", "seconds": 1, "import_task_id": "x"}, "belongs to .*, not to 'refuse'"),
        ({"fault": "OVER_LIMITS"}, "needs its HTTP status, except .*OVER_LIMIT"),
    ],
)
def test_nonsense(ads: AdsEmulator, describe: Any, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ads.inject(**arguments)
    describe()


def test_operation_to_come_may_be_named(ads: AdsEmulator) -> None:
    ads.inject("ThrottlingException", operation="DescribeTags")
