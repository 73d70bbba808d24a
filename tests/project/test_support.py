"""The servers of tests/support behave as their tests expect, and leave nothing behind."""

from __future__ import annotations

import gc
import json
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from aiobotocore.config import AioConfig  # type: ignore[import-untyped]  # aiobotocore has no types
from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # aiobotocore has no types
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, CredentialRetrievalError, ProxyConnectionError
from botocore.exceptions import SSLError as BotocoreSslError

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.hooks import AdsHook
from tests.support.credentials_endpoint import CredentialsEndpoint
from tests.support.recording_emulator import RecordingEmulator
from tests.support.recording_proxy import RecordingProxy
from tests.support.tls_front import TlsFront

ROLE = "arn:aws:iam::123456789012:role/importer"
ASSUME = {"RoleArn": ROLE, "RoleSessionName": "airflow"}

MakeClient = Callable[..., Any]


@pytest.fixture(autouse=True)
def nothing_remains() -> Iterator[None]:
    """Fail the test if threads or sockets remain after it."""
    before = set(threading.enumerate()), sockets()
    yield
    assert (set(threading.enumerate()), sockets()) == before


def sockets() -> int:
    gc.collect()
    folder = Path("/proc/self/fd")
    if not folder.is_dir():  # not on Linux
        return 0
    return sum(str(each.readlink()).startswith("socket:") for each in folder.iterdir() if each.exists())


@pytest.fixture
def ads(nothing_remains: None) -> Iterator[RecordingEmulator]:
    with RecordingEmulator(access_keys={"AKIAUSER": "secret"}, roles=[ROLE]) as emulator:
        yield emulator


@pytest.fixture
def client(ads: RecordingEmulator) -> Iterator[MakeClient]:
    """Create clients that do not retry. Without an access key, they look for credentials."""
    clients = []

    def make_client(
        service: str,
        url: str | None = None,
        access_key: str | None = "AKIAUSER",
        verify: bool | str | None = None,
        proxies: dict[str, str] | None = None,
    ) -> Any:
        new = botocore.session.Session().create_client(
            service,
            region_name="us-west-2",
            endpoint_url=url or ads.endpoint_url,
            aws_access_key_id=access_key,
            aws_secret_access_key=access_key and "secret",
            verify=verify,
            config=Config(
                proxies=proxies or {},
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                read_timeout=60,
            ),
        )
        clients.append(new)
        return new

    yield make_client
    for each in clients:
        each.close()


def test_the_recording_emulator_records_keys_and_roles(ads: RecordingEmulator, client: MakeClient) -> None:
    client("discovery").describe_import_tasks()
    issued = client("sts").assume_role(**ASSUME)["Credentials"]
    discovery: Any = botocore.session.Session().create_client(
        "discovery",
        region_name="us-west-2",
        endpoint_url=ads.endpoint_url,
        aws_access_key_id=issued["AccessKeyId"],
        aws_secret_access_key=issued["SecretAccessKey"],
        aws_session_token=issued["SessionToken"],
        config=Config(proxies={}),
    )
    discovery.describe_import_tasks()
    discovery.close()
    assert [(call.key, call.role) for call in ads.recorded] == [("AKIAUSER", ""), (issued["AccessKeyId"], ROLE)]


class TestRecordingProxy:
    @pytest.fixture
    def proxy(self, nothing_remains: None) -> Iterator[RecordingProxy]:
        with RecordingProxy() as proxy:
            yield proxy

    def test_plain_requests_are_forwarded(
        self, ads: RecordingEmulator, client: MakeClient, proxy: RecordingProxy
    ) -> None:
        proxies = {"http": proxy.url}
        assert client("discovery", proxies=proxies).describe_import_tasks()["tasks"] == []
        s3 = client("s3", proxies=proxies)
        s3.create_bucket(Bucket="inventory", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        s3.put_object(Bucket="inventory", Key="a b.csv", Body=b"x" * 200_000)
        assert s3.head_object(Bucket="inventory", Key="a b.csv")["ContentLength"] == 200_000
        assert s3.get_object(Bucket="inventory", Key="a b.csv")["Body"].read() == b"x" * 200_000
        s3.delete_object(Bucket="inventory", Key="a b.csv")
        with pytest.raises(ClientError, match="NoSuchKey"):
            s3.get_object(Bucket="inventory", Key="a b.csv")
        assert [request.method for request in proxy.requests] == ["POST", "PUT", "PUT", "HEAD", "GET", "DELETE", "GET"]
        assert {request.address for request in proxy.requests} == {urlsplit(ads.endpoint_url).netloc}
        assert all(request.user_agent.startswith("Botocore") for request in proxy.requests)

    def test_tls_is_tunnelled(
        self, ads: RecordingEmulator, client: MakeClient, proxy: RecordingProxy, tmp_path: Path
    ) -> None:
        with TlsFront(ads.endpoint_url, tmp_path) as front:
            discovery = client("discovery", front.url, verify=str(front.authority), proxies={"https": proxy.url})
            for _ in range(2):
                assert discovery.describe_import_tasks()["tasks"] == []
            discovery.close()
        assert proxy.requests == [("CONNECT", urlsplit(front.url).netloc, "")] * 2  # the emulator closes connections

    @pytest.mark.anyio
    async def test_aiobotocore_is_recorded_too(
        self, ads: RecordingEmulator, proxy: RecordingProxy, tmp_path: Path
    ) -> None:
        with TlsFront(ads.endpoint_url, tmp_path) as front:
            for url in (ads.endpoint_url, front.url):
                async with AioSession().create_client(
                    "discovery",
                    region_name="us-west-2",
                    endpoint_url=url,
                    aws_access_key_id="AKIAUSER",
                    aws_secret_access_key="secret",
                    verify=str(front.authority),
                    config=AioConfig(proxies={"http": proxy.url, "https": proxy.url}),
                ) as discovery:
                    assert (await discovery.describe_import_tasks())["tasks"] == []
        plain, tunnel = proxy.requests
        assert (plain.method, plain.address) == ("POST", urlsplit(ads.endpoint_url).netloc)
        assert (tunnel.method, tunnel.address) == ("CONNECT", urlsplit(front.url).netloc)

    def test_a_server_that_only_the_proxy_reaches(
        self, ads: RecordingEmulator, client: MakeClient, nothing_remains: None
    ) -> None:
        with RecordingProxy({"127.0.0.1:9": ads.endpoint_url.removeprefix("http://")}) as proxy:
            discovery = client("discovery", "http://127.0.0.1:9", proxies={"http": proxy.url})
            assert discovery.describe_import_tasks()["tasks"] == []
        assert [request.address for request in proxy.requests] == ["127.0.0.1:9"]

    def test_a_server_that_cannot_be_reached(self, client: MakeClient, proxy: RecordingProxy) -> None:
        with pytest.raises(ProxyConnectionError):
            client("discovery", "https://127.0.0.1:1", proxies={"https": proxy.url}).describe_import_tasks()
        with pytest.raises(ClientError, match="502"):
            client("discovery", "http://127.0.0.1:1", proxies={"http": proxy.url}).describe_import_tasks()

    def test_a_lost_response(self, ads: RecordingEmulator, client: MakeClient, proxy: RecordingProxy) -> None:
        ads.inject("lose", calls=1)
        with pytest.raises(ClientError, match="502"):
            client("discovery", proxies={"http": proxy.url}).describe_import_tasks()

    @pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
    def test_open_requests_end_with_the_proxy(self, ads: RecordingEmulator, client: MakeClient, tmp_path: Path) -> None:
        ads.inject("hold")
        with TlsFront(ads.endpoint_url, tmp_path) as front, ThreadPoolExecutor() as pool:
            with RecordingProxy() as proxy:
                proxies = {"http": proxy.url, "https": proxy.url}
                calls = [
                    pool.submit(client("discovery", url, verify=False, proxies=proxies).describe_import_tasks)
                    for url in (ads.endpoint_url, front.url)
                ]
                idle = socket.create_connection(("127.0.0.1", proxy.port))
                wait_for(lambda: ads.held() == 2)
            idle.close()
            for call in calls:
                with pytest.raises((ConnectionClosedError, ProxyConnectionError)):
                    call.result()


class TestCredentialsEndpoint:
    @pytest.fixture
    def endpoint(self, ads: RecordingEmulator) -> Iterator[CredentialsEndpoint]:
        with CredentialsEndpoint(ads) as endpoint:
            yield endpoint

    @pytest.fixture
    def in_container(self, endpoint: CredentialsEndpoint, monkeypatch: pytest.MonkeyPatch) -> CredentialsEndpoint:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.container_url)
        # botocore waits between its attempts to get the credentials.
        monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
        return endpoint

    def test_sts_is_the_emulators(
        self, ads: RecordingEmulator, client: MakeClient, endpoint: CredentialsEndpoint
    ) -> None:
        sts = client("sts", endpoint.url)
        assert ads.role_of(sts.assume_role(**ASSUME)["Credentials"]["AccessKeyId"]) == ROLE
        assert sts.assume_role_with_web_identity(**ASSUME, WebIdentityToken="token")["Credentials"]
        with pytest.raises(ClientError, match="AccessDenied"):
            sts.assume_role(**{**ASSUME, "RoleArn": f"{ROLE}-2"})
        assert endpoint.requests == ["AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRole"]

    @pytest.mark.parametrize(("status", "code"), [(503, "ServiceUnavailable"), (403, "AccessDenied")])
    def test_sts_can_fail(self, client: MakeClient, endpoint: CredentialsEndpoint, status: int, code: str) -> None:
        endpoint.status = status
        sts = client("sts", endpoint.url)
        with pytest.raises(ClientError, match=code) as caught:
            sts.assume_role(**ASSUME)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        endpoint.status = None
        assert sts.assume_role(**ASSUME)

    def test_sts_can_be_slow(self, client: MakeClient, endpoint: CredentialsEndpoint) -> None:
        endpoint.delay = 0.3
        started = time.monotonic()
        client("sts", endpoint.url).assume_role(**ASSUME)
        assert time.monotonic() - started >= 0.3

    @pytest.mark.parametrize("delay", [None, 3600])
    def test_a_request_without_an_answer_ends_with_the_endpoint(
        self, ads: RecordingEmulator, client: MakeClient, delay: float | None
    ) -> None:
        with ThreadPoolExecutor() as pool:
            with CredentialsEndpoint(ads) as endpoint:
                endpoint.delay = delay
                call = pool.submit(client("sts", endpoint.url).assume_role, **ASSUME)
                wait_for(lambda: endpoint.requests)
                assert not call.done()
            with pytest.raises(ConnectionClosedError):
                call.result()

    def test_a_container_gets_the_emulators_key(
        self, ads: RecordingEmulator, client: MakeClient, in_container: CredentialsEndpoint
    ) -> None:
        client("discovery", access_key=None).describe_import_tasks()
        assert [call.key for call in ads.recorded] == ["AKIAUSER"]
        assert in_container.requests == ["container"]

    def test_a_container_can_get_the_credentials_of_a_role(
        self, ads: RecordingEmulator, client: MakeClient, in_container: CredentialsEndpoint
    ) -> None:
        in_container.credentials = client("sts").assume_role(**ASSUME)["Credentials"]
        discovery = client("discovery", access_key=None)
        discovery.describe_import_tasks()
        assert [call.role for call in ads.recorded] == [ROLE]
        ads.expire_role_credentials()
        with pytest.raises(ClientError, match="ExpiredTokenException"):
            discovery.describe_import_tasks()

    def test_container_credentials_can_fail(self, client: MakeClient, in_container: CredentialsEndpoint) -> None:
        in_container.status = 500
        with pytest.raises(CredentialRetrievalError, match="500"):
            client("discovery", access_key=None)
        in_container.status = None
        client("discovery", access_key=None).describe_import_tasks()


class TestTlsFront:
    @pytest.fixture
    def front(self, ads: RecordingEmulator, tmp_path: Path) -> Iterator[TlsFront]:
        with TlsFront(ads.endpoint_url, tmp_path) as front:
            yield front

    @pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
    def test_the_authority_must_be_trusted(self, client: MakeClient, front: TlsFront) -> None:
        for verify in (str(front.authority), False):
            assert client("discovery", front.url, verify=verify).describe_import_tasks()["tasks"] == []
        with pytest.raises(BotocoreSslError, match="CERTIFICATE_VERIFY_FAILED"):
            client("discovery", front.url).describe_import_tasks()

    def test_the_certificates_meet_the_strictest_rules(self, front: TlsFront) -> None:
        """Python 3.13 checks these by default."""
        context = ssl.create_default_context(cafile=str(front.authority))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(f"{front.url}/_ads/calls") as response:
            assert json.load(response) == {}

    def test_large_contents_pass(self, client: MakeClient, front: TlsFront) -> None:
        s3 = client("s3", front.url, verify=str(front.authority))
        s3.create_bucket(Bucket="inventory", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        s3.put_object(Bucket="inventory", Key="k", Body=b"x" * 3_000_000)
        assert s3.get_object(Bucket="inventory", Key="k")["Body"].read() == b"x" * 3_000_000

    def test_an_unfinished_handshake_ends_with_it(self, ads: RecordingEmulator, tmp_path: Path) -> None:
        with TlsFront(ads.endpoint_url, tmp_path) as front:
            client = socket.create_connection(("127.0.0.1", front.port))
        with client, suppress(ConnectionResetError):
            assert client.recv(1) == b""

    def test_airflows_connections_reach_it(
        self, ads: RecordingEmulator, front: TlsFront, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uri = ads.airflow_connection.replace(ads.endpoint_url, front.url)
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", uri)
        hook = AdsHook(verify=str(front.authority))
        assert list(hook.list_import_tasks()) == []


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


def test_an_emulator_without_credentials_accepts_any_key() -> None:
    """The servers need no credentials: they also serve emulators that check none."""
    with (
        AdsEmulator() as ads,
        CredentialsEndpoint(ads) as endpoint,
        urllib.request.urlopen(endpoint.container_url) as got,
    ):
        assert json.load(got)["AccessKeyId"] == "emulator"
