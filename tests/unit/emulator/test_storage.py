from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ads.emulator import AdsEmulator, storage
from airflow_provider_ads.emulator.storage import parse_import_url
from tests.unit.emulator.conftest import MakeClient, fetch_archive, wait_for_import


@pytest.mark.parametrize(
    ("import_url", "key"),
    [
        ("s3://inventory/2026/my servers.csv", "2026/my servers.csv"),
        ("s3://inventory/a+b%20c?d#e", "a+b%20c?d#e"),
        ("https://inventory.s3.amazonaws.com/2026/servers.csv", "2026/servers.csv"),
        ("https://inventory.s3.us-west-2.amazonaws.com/my+servers.csv", "my servers.csv"),
        ("https://inventory.s3.us-west-2.amazonaws.com/a%2Bb%20c.csv", "a+b c.csv"),
        ("https://inventory.s3-us-west-2.amazonaws.com/servers.csv?versionId=1", "servers.csv"),
        ("https://s3.amazonaws.com/inventory/2026/servers.csv", "2026/servers.csv"),
        ("https://s3.us-west-2.amazonaws.com/inventory/servers.csv", "servers.csv"),
        ("https://s3-us-west-2.amazonaws.com/inventory/servers.csv", "servers.csv"),
    ],
)
def test_import_url(import_url: str, key: str) -> None:
    assert parse_import_url(import_url) == ("inventory", key)


def test_bucket_with_dots() -> None:
    url = "https://my.s3.bucket.s3.eu-west-1.amazonaws.com/k"
    assert parse_import_url(url) == ("my.s3.bucket", "k")


@pytest.mark.parametrize(
    "import_url",
    [
        "http://inventory.s3.amazonaws.com/servers.csv",
        "https://example.com/servers.csv",
        "https://s3.amazonaws.com.example.com/inventory/servers.csv",
        "ftp://inventory/servers.csv",
    ],
)
def test_url_that_is_no_object(import_url: str) -> None:
    with pytest.raises(ValueError, match="S3 object"):
        parse_import_url(import_url)


def test_settings_of_the_user_do_not_matter(monkeypatch: pytest.MonkeyPatch, client: MakeClient, s3: Any) -> None:
    s3.put_object(Bucket="inventory", Key="bad.csv", Body=b"ExternalId\n \n")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("AWS_PROFILE", "missing")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/missing")
    storage._s3_client.cache_clear()
    with AdsEmulator(import_seconds=0) as ads:
        monkeypatch.undo()
        discovery = client("discovery", emulator=ads)
        started = discovery.start_import_task(name="n", importUrl="s3://inventory/bad.csv")["task"]
        task = wait_for_import(discovery, started["importTaskId"])
        assert fetch_archive(task)["failed-entries-file.csv"] == b"ExternalId\n \n"
