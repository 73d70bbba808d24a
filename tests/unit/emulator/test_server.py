from __future__ import annotations

import errno
import gc
import json
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.unit.emulator.conftest import (
    RAW_CALL,
    MakeClient,
    address,
    is_closed,
    run_import,
    start_import,
    statuses,
    wait_for,
)


def sockets() -> int:
    gc.collect()
    return sum(str(each.readlink()).startswith("socket:") for each in Path("/proc/self/fd").iterdir() if each.exists())


class TestStart:
    def test_an_emulator_starts_only_once(self, ads: AdsEmulator) -> None:
        with pytest.raises(RuntimeError, match="started before"):
            ads.start()

    def test_a_port_in_use_leaves_no_thread(self, ads: AdsEmulator) -> None:
        before = set(threading.enumerate())
        second = AdsEmulator(port=address(ads)[1])
        with pytest.raises(OSError) as caught:  # noqa: PT011 - errno identifies it
            second.start()
        assert caught.value.errno == errno.EADDRINUSE
        assert set(threading.enumerate()) == before

    @pytest.mark.parametrize(
        ("host", "expected"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "[::1]")]
    )
    def test_the_endpoint_url_leads_to_the_emulator(self, client: MakeClient, host: str, expected: str) -> None:
        if ":" in host:
            try:
                socket.create_server((host, 0), family=socket.AF_INET6).close()
            except OSError:
                pytest.skip("this machine has no IPv6")
        with AdsEmulator(host=host) as ads:
            assert ads.endpoint_url.startswith(f"http://{expected}:")
            client("discovery", emulator=ads).describe_import_tasks()
            assert ads.calls() == {"DescribeImportTasks": 1}


def test_the_exports_are_what_a_shell_needs(ads: AdsEmulator) -> None:
    ads.access_keys = {"AKIAUSER": "it's"}
    script = "; ".join((*ads.exports, 'echo "$AIRFLOW_CONN_AWS_DEFAULT"; echo "$AWS_SECRET_ACCESS_KEY"'))
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shell.stdout == f"{ads.airflow_connection}\nit's\n"


class TestStop:
    @pytest.fixture
    def emulator(self) -> AdsEmulator:
        return AdsEmulator(import_seconds=3600, delete_seconds=3600)

    @pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="/proc is needed to list sockets")
    def test_no_socket_remains(self, emulator: AdsEmulator, client: MakeClient) -> None:
        before = sockets()
        emulator.import_seconds = 0
        with emulator:
            discovery = client("discovery", emulator=emulator)
            assert run_import(discovery)["status"] == "IMPORT_FAILED"
            assert sockets() > before
            discovery.close()
        assert sockets() == before
        assert emulator.import_tasks()  # keeps a reference: garbage collection would also close the sockets

    def test_running_imports_and_deletions_are_abandoned(self, emulator: AdsEmulator, client: MakeClient) -> None:
        before = set(threading.enumerate())
        with emulator:
            discovery = client("discovery", emulator=emulator)
            start_import(discovery)
            import_task_id = emulator.add_import_task(status="IMPORT_COMPLETE")
            discovery.batch_delete_import_data(importTaskIds=[import_task_id])
        assert set(threading.enumerate()) == before
        assert statuses(emulator) == ["IMPORT_IN_PROGRESS", "DELETE_IN_PROGRESS"]
        assert emulator.calls() == {"StartImportTask": 1, "BatchDeleteImportData": 1}

    def test_delayed_calls_and_idle_connections_are_closed(self, emulator: AdsEmulator) -> None:
        before = set(threading.enumerate())
        with emulator:
            emulator.inject("latency", delay=3600)
            with (
                socket.create_connection(address(emulator)) as idle,
                socket.create_connection(address(emulator)) as delayed,
            ):
                delayed.sendall(RAW_CALL)
                wait_for(emulator.calls)
                emulator.stop()
                assert is_closed(idle)
        assert set(threading.enumerate()) == before

    def test_stopping_before_the_start_or_twice_does_nothing(self, emulator: AdsEmulator) -> None:
        emulator.stop()
        with emulator:
            emulator.stop()


class TestPublicUrl:
    def test_clients_are_sent_to_the_public_url(self) -> None:
        with AdsEmulator(public_url="http://ads.example.com:5005/") as ads:
            assert ads.endpoint_url == "http://ads.example.com:5005"
            extra = json.loads(ads.airflow_connection)["extra"]
            assert extra["endpoint_url"] == "http://ads.example.com:5005"

    @pytest.mark.parametrize("public_url", ["", "ads.example.com", "ads.example.com:5005", "http://", "ftp://ads"])
    def test_a_public_url_needs_a_scheme_and_a_host(self, public_url: str) -> None:
        with pytest.raises(ValueError, match="public_url must begin with http:// or https://"):
            AdsEmulator(public_url=public_url)

    def test_a_link_to_an_archive_works_at_a_public_url_with_dots(self, client: MakeClient) -> None:
        """Moto would mistake the first label of the host name for a bucket."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        public_url = f"http://ads.localtest.me:{port}"
        with AdsEmulator(port=port, public_url=public_url, import_seconds=0) as ads:
            import_url = ads.upload("s3://inventory/k", "ExternalId\n \n")
            task = run_import(client("discovery", url=f"http://127.0.0.1:{port}"), import_url)
            link = task["errorsAndFailedEntriesZip"]
            assert link.startswith(public_url)
            path = link.removeprefix(public_url)
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(f"GET {path} HTTP/1.0\r\nHost: ads.localtest.me:{port}\r\n\r\n".encode())
                with connection.makefile("rb") as response:
                    assert b" 200 " in response.readline()


def test_s3_needs_an_emulator_that_was_started() -> None:
    with pytest.raises(RuntimeError, match="Start the emulator"):
        AdsEmulator().upload("s3://inventory/servers.csv", "")
    with pytest.raises(RuntimeError, match="Start the emulator"):
        AdsEmulator()._archive_url("import-task-0")
