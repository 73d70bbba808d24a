"""The ground that unit tests stand on: an emulator that they reach over HTTP, and no long waits."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from hypothesis import settings

from airflow_provider_ads import hooks, polling, triggers
from airflow_provider_ads.emulator import AdsEmulator

# What Airflow and botocore have loaded by now stays; to look through it for garbage takes longer than the tests.
gc.freeze()

settings.register_profile("chaos", max_examples=300)


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as the triggerer does."""
    return "asyncio"


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
    return ads.upload("s3://inventory/inventory.csv", "ExternalId,HostName\n1,a.example\n2,b.example\n3,c.example\n")


@pytest.fixture
def half_bad_inventory(ads: AdsEmulator) -> str:
    """The URL of an inventory of two servers, one of which has no identity."""
    return ads.upload("s3://inventory/inventory.csv", "ExternalId,HostName,OS.Name\n1,a.example,Linux\n,,Linux\n")


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what is measured in seconds for AWS and for Airflow's scheduler."""
    monkeypatch.setattr(hooks, "MISSING_TASK_INTERVAL", 0.01)
    monkeypatch.setattr(polling, "LONGEST_BACK_OFF", 0.1)
    monkeypatch.setattr(triggers, "EARLIEST_EVENT", 0.0)
