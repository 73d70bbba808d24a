from __future__ import annotations

import errno
import gc
import json
import math
import socket
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.unit.emulator.conftest import MakeClient, describe, fetch, receives, wait_for, wait_for_import


def sockets() -> int:
    gc.collect()
    return sum(str(each.readlink()).startswith("socket:") for each in Path("/proc/self/fd").iterdir() if each.exists())


class TestStop:
    @pytest.fixture
    def emulator(self) -> AdsEmulator:
        return AdsEmulator(import_seconds=3600)

    def test_leaves_no_thread(self, emulator: AdsEmulator, client: MakeClient) -> None:
        before = set(threading.enumerate())
        with emulator:
            assert len(threading.enumerate()) > len(before)
            client("discovery", emulator=emulator).start_import_task(name="n", importUrl="s3://b/k")
        assert set(threading.enumerate()) == before

    @pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to list sockets")
    def test_leaves_no_socket(self, emulator: AdsEmulator, client: MakeClient) -> None:
        before = sockets()
        emulator.import_seconds = 0
        with emulator:
            discovery = client("discovery", emulator=emulator)
            started = discovery.start_import_task(name="n", importUrl="s3://b/k")["task"]
            assert wait_for_import(discovery, started["importTaskId"])["status"] == "IMPORT_FAILED"
            assert sockets() > before
            discovery.close()
        assert sockets() == before
        assert emulator.import_tasks()  # an emulator that were garbage by now would have closed its connections

    def test_ends_an_import_that_runs(self, emulator: AdsEmulator, client: MakeClient) -> None:
        with emulator:
            client("discovery", emulator=emulator).start_import_task(name="n", importUrl="s3://b/k")
        assert [task["status"] for task in emulator.import_tasks()] == ["IMPORT_IN_PROGRESS"]

    def test_ends_a_deletion_that_runs(self, emulator: AdsEmulator, client: MakeClient) -> None:
        emulator.delete_seconds = 3600
        with emulator:
            import_task_id = emulator.add_import_task(status="IMPORT_COMPLETE")
            client("discovery", emulator=emulator).batch_delete_import_data(importTaskIds=[import_task_id])
        assert [task["status"] for task in emulator.import_tasks()] == ["DELETE_IN_PROGRESS"]

    def test_ends_a_call_that_is_delayed(self, emulator: AdsEmulator) -> None:
        before = set(threading.enumerate())
        with emulator:
            emulator.inject("latency", delay=3600)
            address = ("127.0.0.1", urlsplit(emulator.endpoint_url).port)
            with socket.create_connection(address) as connection:
                connection.sendall(
                    b"POST / HTTP/1.1\r\nX-Amz-Target: AWSPoseidonService_V2015_11_01.StartImportTask\r\n"
                    b"Content-Length: 0\r\n\r\n"
                )
                wait_for(emulator.calls)
                emulator.stop()
        assert set(threading.enumerate()) == before

    def test_ends_an_idle_connection(self, emulator: AdsEmulator) -> None:
        with emulator:
            address = ("127.0.0.1", urlsplit(emulator.endpoint_url).port)
            with socket.create_connection(address) as connection:
                emulator.stop()
                assert not receives(connection)

    def test_ends_a_refusal(self, emulator: AdsEmulator) -> None:
        before = set(threading.enumerate())
        with emulator:
            emulator.inject("refuse", seconds=3600)
        assert set(threading.enumerate()) == before

    def test_keeps_what_it_knows(self, emulator: AdsEmulator, client: MakeClient) -> None:
        with emulator:
            client("discovery", emulator=emulator).describe_import_tasks()
            emulator.add_import_task(name="n")
        assert emulator.calls() == {"DescribeImportTasks": 1}
        assert [task["name"] for task in emulator.import_tasks()] == ["n"]

    def test_twice_and_before_the_start(self, emulator: AdsEmulator) -> None:
        emulator.stop()
        with emulator:
            emulator.stop()


class TestStart:
    def test_once(self, ads: AdsEmulator) -> None:
        with pytest.raises(RuntimeError, match="started before"):
            ads.start()

    def test_port_in_use(self, ads: AdsEmulator) -> None:
        before = set(threading.enumerate())
        second = AdsEmulator(port=urlsplit(ads.endpoint_url).port or 0)
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number tells
            second.start()
        assert caught.value.errno == errno.EADDRINUSE
        assert set(threading.enumerate()) == before

    def test_listens_on_loopback_only(self, ads: AdsEmulator) -> None:
        assert urlsplit(ads.endpoint_url).hostname == "127.0.0.1"

    def test_on_every_address(self, client: MakeClient) -> None:
        with AdsEmulator(host="0.0.0.0") as ads:
            assert ads.endpoint_url.startswith("http://127.0.0.1:")
            client("discovery", emulator=ads).describe_import_tasks()

    def test_on_ipv6(self, client: MakeClient) -> None:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            pytest.skip("this machine has no IPv6")
        with AdsEmulator(host="::1") as ads:
            assert ads.endpoint_url.startswith("http://[::1]:")
            client("discovery", emulator=ads).describe_import_tasks()

    def test_many_callers_at_once(self, ads: AdsEmulator, discovery: Any) -> None:
        ads.inject("latency", delay=0.5)
        threads = [threading.Thread(target=discovery.describe_import_tasks) for _ in range(20)]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ads.calls() == {"DescribeImportTasks": 20}
        assert time.monotonic() - started < 20 * 0.5


class TestMoto:
    def test_buckets_are_shared_until_the_last_emulator_stops(self, client: MakeClient) -> None:
        with AdsEmulator() as first:
            with AdsEmulator() as second:
                client("s3", region="us-east-1", emulator=first).create_bucket(Bucket="shared")
            assert second.calls() == first.calls() == {}
            with AdsEmulator() as third:
                buckets = client("s3", emulator=third).list_buckets()["Buckets"]
                assert [bucket["Name"] for bucket in buckets] == ["shared"]
        with AdsEmulator() as fourth:
            assert client("s3", emulator=fourth).list_buckets()["Buckets"] == []

    def test_sts(self, client: MakeClient) -> None:
        with AdsEmulator() as ads:
            assert client("sts", emulator=ads).get_caller_identity()["Account"] == "123456789012"


class TestPublicUrl:
    def test_is_where_clients_are_sent(self) -> None:
        with AdsEmulator(public_url="http://ads.example.com:5005/") as ads:
            assert ads.endpoint_url == "http://ads.example.com:5005"
            extra = json.loads(ads.airflow_connection)["extra"]
            assert extra["endpoint_url"] == "http://ads.example.com:5005"

    @pytest.mark.parametrize("public_url", ["", "ads.example.com", "ads.example.com:5005", "http://", "ftp://ads"])
    def test_needs_a_scheme_and_a_host(self, public_url: str) -> None:
        with pytest.raises(ValueError, match="public_url begins with http:// or https://"):
            AdsEmulator(public_url=public_url)

    @pytest.mark.parametrize("end", ["", "/"])
    def test_may_have_dots(self, client: MakeClient, end: str) -> None:
        """Moto takes the first label of a host name for a bucket, which the emulator must prevent."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        public_url = f"http://ads.localtest.me:{port}"
        with AdsEmulator(port=port, public_url=public_url + end, import_seconds=0) as ads:
            direct = AdsEmulator(public_url=f"http://127.0.0.1:{port}")
            s3 = client("s3", region="us-east-1", emulator=direct)
            s3.create_bucket(Bucket="inventory")
            s3.put_object(Bucket="inventory", Key="k", Body=b"ExternalId\n \n")
            discovery = client("discovery", emulator=direct)
            started = discovery.start_import_task(name="n", importUrl="s3://inventory/k")["task"]
            link = wait_for_import(discovery, started["importTaskId"])["errorsAndFailedEntriesZip"]
            assert link.startswith(public_url)
            path = link.removeprefix(public_url)
            with socket.create_connection(("127.0.0.1", port)) as connection:
                request = f"GET {path} HTTP/1.0\r\nHost: {urlsplit(public_url).netloc}\r\n\r\n"
                connection.sendall(request.encode())
                with connection.makefile("rb") as answer:
                    assert b" 200 " in answer.readline()
            assert ads.calls()["StartImportTask"] == 1


class TestUpload:
    @pytest.mark.parametrize("content", ["ExternalId\n\N{SNOWMAN}\n", "ExternalId\n\N{SNOWMAN}\n".encode()])
    def test_is_a_file_to_import(self, ads: AdsEmulator, client: MakeClient, content: str | bytes) -> None:
        assert ads.upload("s3://new-bucket/2026/servers.csv", content) == "s3://new-bucket/2026/servers.csv"
        found = client("s3").get_object(Bucket="new-bucket", Key="2026/servers.csv")
        assert found["Body"].read().decode() == "ExternalId\n\N{SNOWMAN}\n"

    def test_to_a_bucket_that_is_there(self, ads: AdsEmulator, s3: Any) -> None:
        url = "https://inventory.s3.us-west-2.amazonaws.com/servers.csv"
        for content in (b"first", b"second"):
            assert ads.upload(url, content) == url
        assert s3.get_object(Bucket="inventory", Key="servers.csv")["Body"].read() == b"second"

    @pytest.mark.parametrize(
        "import_url",
        ["servers.csv", "s3://inventory", "s3://inventory/", "s3:///servers.csv", "s3://ab/k", "s3://a b/k"],
    )
    def test_to_what_is_no_object(self, ads: AdsEmulator, client: MakeClient, import_url: str) -> None:
        with pytest.raises(ValueError, match=f"^{import_url}: not the URL of an S3 object"):
            ads.upload(import_url, "")
        assert client("s3").list_buckets()["Buckets"] == []

    def test_needs_an_emulator_that_was_started(self) -> None:
        with pytest.raises(RuntimeError, match="started"):
            AdsEmulator().upload("s3://inventory/servers.csv", "")

    def test_meets_no_fault_and_counts_as_nobody_s_call(self, ads: AdsEmulator) -> None:
        ads.inject("refuse", seconds=3600)
        ads.upload("s3://inventory/servers.csv", "")
        assert ads.calls() == ads.iam_actions() == {}


class TestAirflowConnection:
    def test_is_an_aws_connection_to_the_emulator(self, ads: AdsEmulator) -> None:
        connection = json.loads(ads.airflow_connection)
        assert connection["conn_type"] == "aws"
        assert connection["extra"]["endpoint_url"] == ads.endpoint_url
        assert connection["extra"]["region_name"] == "us-west-2"

    def test_has_the_home_region(self, ads: AdsEmulator) -> None:
        ads.home_region = "eu-central-1"
        assert json.loads(ads.airflow_connection)["extra"]["region_name"] == "eu-central-1"

    def test_works_with_airflow_s_hooks(self, ads: AdsEmulator, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", ads.airflow_connection)
        hook = S3Hook()
        hook.load_string("ExternalId\na\n", "servers.csv", "inventory")
        assert hook.read_key("servers.csv", "inventory") == "ExternalId\na\n"


def test_settings_can_be_changed_while_it_runs(ads: AdsEmulator, discovery: Any) -> None:
    assert (ads.home_region, ads.import_seconds) == ("us-west-2", 0)
    ads.import_seconds = 3600
    started = discovery.start_import_task(name="n", importUrl="s3://b/k")["task"]
    assert describe(discovery, started["importTaskId"])["status"] == "IMPORT_IN_PROGRESS"
    ads.import_seconds = 0.01
    assert wait_for_import(discovery, started["importTaskId"])["status"] == "IMPORT_FAILED"


@pytest.mark.parametrize("name", ["import_seconds", "delete_seconds"])
@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, 10**400, True, "1", None])
def test_seconds_that_cannot_be(name: str, seconds: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is a finite number of 0 or more, not"):
        AdsEmulator(**{name: seconds})
    emulator = AdsEmulator()
    with pytest.raises(ValueError, match=f"{name} is a finite number of 0 or more, not"):
        setattr(emulator, name, seconds)
    assert getattr(emulator, name) == 1


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, True, "1"])
def test_token_seconds_that_cannot_be(seconds: Any) -> None:
    with pytest.raises(ValueError, match="token_seconds is None or a finite number of 0 or more, not"):
        AdsEmulator(token_seconds=seconds)
    emulator = AdsEmulator()
    with pytest.raises(ValueError, match="token_seconds is None or a finite number of 0 or more, not"):
        emulator.token_seconds = seconds
    assert emulator.token_seconds is None


def test_unknown_path_is_moto_s_business(ads: AdsEmulator) -> None:
    assert b"Moto" in fetch(f"{ads.endpoint_url}/moto-api/")
