from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.emulator.http_server import HttpServer
from tests.unit.emulator.conftest import RAW_CALL, address, end_refusal, is_closed, wait_for


def test_the_port_is_closed_until_the_seconds_have_passed(ads: AdsEmulator, discovery: Any, s3: Any) -> None:
    before = address(ads)
    ads.inject("refuse", seconds=3600)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(before)
    for call in (discovery.describe_import_tasks, s3.list_buckets):
        with pytest.raises(EndpointConnectionError):
            call()
    end_refusal(ads)
    discovery.describe_import_tasks()
    assert s3.list_buckets()["Buckets"]
    assert address(ads) == before


def test_open_connections_are_closed(ads: AdsEmulator) -> None:
    ads.inject("latency", delay=3600)
    with (
        socket.create_connection(address(ads)) as idle,
        socket.create_connection(address(ads)) as incomplete,
        socket.create_connection(address(ads)) as delayed,
    ):
        incomplete.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n{")
        delayed.sendall(RAW_CALL)
        wait_for(ads.calls)
        ads.inject("refuse", seconds=60)
        for connection in (idle, incomplete, delayed):
            assert is_closed(connection)


def test_a_port_that_another_process_takes_is_reopened_later(
    ads: AdsEmulator, discovery: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    ads.inject("refuse", seconds=3600)
    port = address(ads)[1]
    with socket.create_server(address(ads)):
        for _ in range(2):
            ads.inject("refuse", seconds=0.01)
            wait_for(lambda: "Address already in use" in caplog.text)
        time.sleep(0.3)
    end_refusal(ads)
    discovery.describe_import_tasks()
    wait_for(lambda: f"Listening on port {port} again" in caplog.messages)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 2
    assert warnings[0].startswith(f"Cannot listen on port {port} again yet: ")


def test_a_port_that_another_process_has_taken_does_not_delay_the_stop() -> None:
    before = set(threading.enumerate())
    with AdsEmulator() as ads:
        ads.inject("refuse", seconds=0.2)
        with socket.create_server(address(ads)):
            time.sleep(0.4)
            ads.stop()
            assert set(threading.enumerate()) == before


def test_the_end_of_a_refusal_does_not_end_a_later_one(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    close = HttpServer._close

    def close_late(server: HttpServer) -> None:
        time.sleep(0.4)  # the first refusal ends while the second one begins
        close(server)

    ads.inject("refuse", seconds=0.2)
    with monkeypatch.context() as patch:
        patch.setattr(HttpServer, "_close", close_late)
        ads.inject("refuse", seconds=3600)
    wait_for(lambda: sum(each.name == "ads-emulator-reopening" for each in threading.enumerate()) == 1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address(ads))


def test_an_emulator_that_is_not_running_cannot_refuse() -> None:
    with pytest.raises(ValueError, match="not running"):
        AdsEmulator().inject("refuse", seconds=1)


def test_an_unexpected_failure_of_a_connection_is_logged(
    ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("airflow_provider_ads.emulator.http_server._RequestHandler.handle", None)
    with socket.create_connection(address(ads)) as connection:
        assert is_closed(connection)
    wait_for(lambda: "A connection failed unexpectedly" in caplog.messages)
