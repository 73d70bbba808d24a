"""The ground that unit tests stand on: an emulator that they reach over HTTP, and no long waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from airflow_provider_ads import hooks, polling, triggers
from airflow_provider_ads.emulator import AdsEmulator


@pytest.fixture
def ads() -> Iterator[AdsEmulator]:
    """An emulator whose imports are over at once."""
    with AdsEmulator(import_seconds=0.01) as emulator:
        yield emulator


@pytest.fixture
def aws_default(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> AdsEmulator:
    """The emulator, with the connection ``aws_default`` leading to it."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", ads.airflow_connection)
    return ads


@pytest.fixture
def inventory(ads: AdsEmulator) -> str:
    """The URL of an inventory of three servers, all of which can be imported."""
    return upload(ads, "ExternalId,HostName\n1,a.example\n2,b.example\n3,c.example\n")


@pytest.fixture
def half_bad_inventory(ads: AdsEmulator) -> str:
    """The URL of an inventory of two servers, one of which has no identity."""
    return upload(ads, "ExternalId,HostName,OS.Name\n1,a.example,Linux\n,,Linux\n")


def upload(ads: AdsEmulator, content: str, key: str = "inventory.csv") -> str:
    """Put a file into the emulator's S3 and return its URL."""
    client: Any = boto3.client(
        "s3",
        region_name="us-west-2",
        endpoint_url=ads.endpoint_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    try:
        client.create_bucket(Bucket="inventory", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        client.put_object(Bucket="inventory", Key=key, Body=content.encode())
    finally:
        client.close()
    return f"s3://inventory/{key}"


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what is measured in seconds for AWS and for Airflow's scheduler."""
    monkeypatch.setattr(hooks, "MISSING_TASK_INTERVAL", 0.01)
    monkeypatch.setattr(polling, "LONGEST_BACK_OFF", 0.1)
    monkeypatch.setattr(triggers, "EARLIEST_EVENT", 0.0)
