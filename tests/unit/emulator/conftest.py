from __future__ import annotations

import io
import socket
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.config import Config

from airflow_provider_ads.emulator import AdsEmulator

HOME_REGION = "us-west-2"
START = {"name": "n", "importUrl": "s3://b/k"}
UNKNOWN_TASK = f"import-task-{'0' * 32}"

#: A signed call whose response nobody reads.
RAW_CALL = (
    b"POST / HTTP/1.1\r\nX-Amz-Target: AWSPoseidonService_V2015_11_01.DescribeImportTasks\r\nContent-Length: 0\r\n\r\n"
)

#: All clients share one session, because it caches the service models, which are slow to load.
_session = botocore.session.Session()
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

ImportFile = Callable[..., dict[str, Any]]
MakeClient = Callable[..., Any]


class HttpResponse(NamedTuple):
    status: int
    headers: Any
    body: bytes


@pytest.fixture
def ads() -> Iterator[AdsEmulator]:
    with AdsEmulator(import_seconds=0) as emulator:
        yield emulator


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Create clients of the fixture ``ads`` or of another emulator. They do not retry."""
    clients = []

    def make_client(
        service: str,
        *,
        region: str = HOME_REGION,
        emulator: AdsEmulator | None = None,
        url: str | None = None,
        credentials: tuple[str, ...] = ("user", "secret"),
        **config: Any,
    ) -> Any:
        access_key, secret, token = (*credentials, None)[:3]
        new = _session.create_client(
            service,
            region_name=region,
            endpoint_url=url or (emulator or request.getfixturevalue("ads")).endpoint_url,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=Config(**{"proxies": {}, "retries": {"total_max_attempts": 1}, **config}),
        )
        clients.append(new)
        return new

    yield make_client
    for each in clients:
        each.close()


@pytest.fixture
def discovery(client: MakeClient) -> Any:
    return client("discovery")


@pytest.fixture
def s3(client: MakeClient) -> Any:
    s3 = client("s3")
    s3.create_bucket(Bucket="inventory", CreateBucketConfiguration={"LocationConstraint": HOME_REGION})
    return s3


@pytest.fixture
def import_file(ads: AdsEmulator, discovery: Any) -> ImportFile:
    """Upload a file, import it, and return the task when the import has ended."""

    def upload_and_import(content: bytes | str, key: str = "servers.csv") -> dict[str, Any]:
        return run_import(discovery, ads.upload(f"s3://inventory/{key}", content))

    return upload_and_import


def wait_for(condition: Callable[[], Any]) -> Any:
    """Wait until the condition returns a true value, and return that value."""
    deadline = time.monotonic() + 60
    while not (result := condition()):
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)
    return result


def start_import(discovery: Any, import_url: str = "s3://b/k", **parameters: str) -> str:
    """Start an import and return the task's id."""
    task = discovery.start_import_task(**{"name": "n", "importUrl": import_url, **parameters})["task"]
    return str(task["importTaskId"])


def run_import(discovery: Any, import_url: str = "s3://b/k", **parameters: str) -> dict[str, Any]:
    """Start an import and return the task when the import has ended."""
    return wait_for_import(discovery, start_import(discovery, import_url, **parameters))


def describe(discovery: Any, import_task_id: str) -> dict[str, Any]:
    filters = [{"name": "IMPORT_TASK_ID", "values": [import_task_id]}]
    (task,) = discovery.describe_import_tasks(filters=filters)["tasks"]
    return dict(task)


def wait_for_import(discovery: Any, import_task_id: str) -> dict[str, Any]:
    wait_for(lambda: describe(discovery, import_task_id)["status"] != "IMPORT_IN_PROGRESS")
    return describe(discovery, import_task_id)


def statuses(ads: AdsEmulator) -> list[str]:
    return [task["status"] for task in ads.import_tasks()]


def send(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> HttpResponse:
    """Send an HTTP request and return its response, even if it is an error."""
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with _opener.open(request, timeout=60) as response:
            return HttpResponse(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return HttpResponse(error.code, error.headers, error.read())


def fetch_archive(task: dict[str, Any]) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(send(task["errorsAndFailedEntriesZip"]).body)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def address(ads: AdsEmulator) -> tuple[str, int]:
    return "127.0.0.1", urlsplit(ads.endpoint_url).port or 0


def end_refusal(ads: AdsEmulator) -> None:
    """Make the emulator listen again: a new refusal replaces the current one."""
    ads.inject("refuse", seconds=0.01)

    def connects() -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(address(ads)) == 0

    wait_for(connects)


def is_closed(connection: socket.socket) -> bool:
    """Wait for the other side to send something or to close the connection. Return True if it closed the connection."""
    connection.settimeout(60)
    try:
        return not connection.recv(1)
    except ConnectionResetError:
        return True
