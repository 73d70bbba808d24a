from __future__ import annotations

import io
import socket
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.config import Config

from airflow_provider_ads.emulator import AdsEmulator

HOME_REGION = "us-west-2"

#: One session for all clients: it keeps the service models, which take longest to load.
_session = botocore.session.Session()


class MakeClient(Protocol):
    def __call__(
        self, service: str, *, region: str = ..., emulator: AdsEmulator | None = ..., read_timeout: float = ...
    ) -> Any: ...


@pytest.fixture
def ads() -> Iterator[AdsEmulator]:
    with AdsEmulator(import_seconds=0) as emulator:
        yield emulator


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Make clients of the fixture ``ads`` or of another emulator, which do not retry."""
    clients = []

    def make_client(
        service: str, *, region: str = HOME_REGION, emulator: AdsEmulator | None = None, read_timeout: float = 60
    ) -> Any:
        emulator = emulator or request.getfixturevalue("ads")
        made = _session.create_client(
            service,
            region_name=region,
            endpoint_url=emulator.endpoint_url,
            aws_access_key_id="user",
            aws_secret_access_key="secret",
            config=Config(proxies={}, read_timeout=read_timeout, retries={"total_max_attempts": 1}),
        )
        clients.append(made)
        return made

    yield make_client
    for each in clients:
        each.close()


@pytest.fixture
def discovery(client: MakeClient) -> Any:
    return client("discovery")


@pytest.fixture
def s3(client: MakeClient) -> Any:
    made = client("s3")
    made.create_bucket(Bucket="inventory", CreateBucketConfiguration={"LocationConstraint": HOME_REGION})
    return made


@pytest.fixture
def import_file(s3: Any, discovery: Any) -> Callable[..., dict[str, Any]]:
    """Upload a file, import it, and wait for the end."""

    def upload_and_import(content: bytes | str, key: str = "servers.csv") -> dict[str, Any]:
        body = content.encode() if isinstance(content, str) else content
        s3.put_object(Bucket="inventory", Key=key, Body=body)
        started = discovery.start_import_task(name=key, importUrl=f"s3://inventory/{key}")
        return wait_for_import(discovery, started["task"]["importTaskId"])

    return upload_and_import


def wait_for(condition: Callable[[], Any]) -> Any:
    """Wait until something is true, however slow the machine is, and return it."""
    deadline = time.monotonic() + 60
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return result


def describe(discovery: Any, import_task_id: str) -> dict[str, Any]:
    filters = [{"name": "IMPORT_TASK_ID", "values": [import_task_id]}]
    (task,) = discovery.describe_import_tasks(filters=filters)["tasks"]
    return dict(task)


def wait_for_import(discovery: Any, import_task_id: str) -> dict[str, Any]:
    wait_for(lambda: describe(discovery, import_task_id)["status"] != "IMPORT_IN_PROGRESS")
    return describe(discovery, import_task_id)


def end_refusal(ads: AdsEmulator) -> None:
    """Let the port listen again: of two refusals the later one counts."""
    ads.inject("refuse", seconds=0.01)
    address = ("127.0.0.1", urlsplit(ads.endpoint_url).port)

    def connects() -> bool:
        try:
            socket.create_connection(address).close()
        except ConnectionRefusedError:
            return False
        return True

    wait_for(connects)


def receives(connection: socket.socket) -> bytes:
    """Wait for something to read; nothing: the other side closed the connection."""
    connection.settimeout(60)
    try:
        return connection.recv(1)
    except ConnectionResetError:
        return b""


def fetch(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=60) as answer:
        return bytes(answer.read())


def fetch_archive(task: dict[str, Any]) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(fetch(task["errorsAndFailedEntriesZip"]))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
