from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from airflow_provider_ads.emulator import AdsEmulator
from tests.unit.emulator.conftest import MakeClient, fetch


def test_calls_are_counted_by_operation(ads: AdsEmulator, client: MakeClient, s3: Any) -> None:
    discovery = client("discovery")
    for _ in range(2):
        discovery.describe_import_tasks()
    client("migrationhub-config").get_home_region()
    assert ads.calls() == {"DescribeImportTasks": 2, "GetHomeRegion": 1}
    assert ads.calls()["StartImportTask"] == 0
    ads.clear_calls()
    assert ads.calls() == {}


def test_call_that_is_not_implemented_is_refused_and_counted(ads: AdsEmulator, discovery: Any) -> None:
    with pytest.raises(ClientError, match=r"UnknownOperationException.*'DescribeTags'"):
        discovery.describe_tags()
    assert ads.calls() == {"DescribeTags": 1}


class TestPresignedUrls:
    @pytest.fixture(params=["s3v4", "s3"])
    def presigned(self, request: pytest.FixtureRequest, ads: AdsEmulator, s3: Any) -> Any:
        """Make presigned URLs, with either version of AWS's signatures."""
        s3.put_object(Bucket="inventory", Key="servers.csv", Body=b"content")
        signing: Any = botocore.session.Session().create_client(
            "s3",
            region_name="us-west-2",
            endpoint_url=ads.endpoint_url,
            aws_access_key_id="user",
            aws_secret_access_key="secret",
            config=Config(signature_version=request.param, proxies={}),
        )
        try:
            yield lambda method, seconds: signing.generate_presigned_url(
                method, Params={"Bucket": "inventory", "Key": "servers.csv"}, ExpiresIn=seconds
            )
        finally:
            signing.close()

    def test_good(self, presigned: Any) -> None:
        assert fetch(presigned("get_object", 60)) == b"content"

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_expired(self, presigned: Any, method: str) -> None:
        url = presigned(f"{method.lower()}_object", -1)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with pytest.raises(urllib.error.HTTPError) as caught:
            opener.open(urllib.request.Request(url, method=method), timeout=60)
        with caught.value as error:
            assert error.code == 403
            assert error.headers["Content-Type"] == "application/xml"
            assert (b"Request has expired" in error.read()) == (method == "GET")

    @pytest.mark.parametrize(
        ("query", "moto_s_answer"),
        [
            ("X-Amz-Expires=60", (403, b"")),
            ("X-Amz-Expires=x&X-Amz-Date=y", (403, b"")),
            ("Signature=x&Expires=y", (200, b"content")),
            ("Expires=0", (403, b"")),
        ],
    )
    def test_others_are_for_moto_to_judge(
        self, ads: AdsEmulator, s3: Any, query: str, moto_s_answer: tuple[int, bytes]
    ) -> None:
        s3.put_object(Bucket="inventory", Key="servers.csv", Body=b"content")
        try:
            answer = 200, fetch(f"{ads.endpoint_url}/inventory/servers.csv?{query}")
        except urllib.error.HTTPError as error:
            with error:
                answer = error.code, error.read()
        assert answer == moto_s_answer
