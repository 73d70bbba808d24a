"""Fixtures of tests that run in one process: an emulator, inventories in its S3, and short intervals."""

from __future__ import annotations

import gc
import inspect
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from airflow.providers.amazon.aws.hooks import base_aws
from botocore.loaders import Loader, create_loader
from hypothesis import settings

from airflow_provider_ads import hooks, polling, triggers
from airflow_provider_ads.emulator import AdsEmulator

# Airflow's and botocore's modules stay in use, and scanning them for garbage takes longer than the tests.
gc.freeze()

settings.register_profile("resilience", max_examples=300)

_botocore_data: dict[tuple[str, ...], dict[Any, Any]] = {}


class _SharingLoader(Loader):
    """Shares what it has read with all loaders of the same folders."""

    @property
    def _cache(self) -> dict[Any, Any]:
        return _botocore_data.setdefault(tuple(self.search_paths), {})


def _create_loader(search_path_string: str | None = None) -> Any:
    loader = create_loader(search_path_string)
    loader.__class__ = _SharingLoader
    return loader


def _stack(context: int = 0) -> list[inspect.FrameInfo]:
    frame = inspect.currentframe()
    found = []
    while frame is not None and (frame := frame.f_back) is not None:
        found.append(
            inspect.FrameInfo(frame, frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name, None, None)
        )
    return found


# Two things make creating a client slow in tests. Each session reads some megabytes of botocore's data, which a process
# of Airflow does once. And the Amazon provider's hook inspects the stack with its source lines, although it uses only
# the names of functions, and under pytest the stack is deep.
vars(botocore.session)["create_loader"] = _create_loader
vars(base_aws)["inspect"] = SimpleNamespace(**{**vars(inspect), "stack": _stack})


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as the triggerer does."""
    return "asyncio"


@pytest.fixture
def ads() -> Iterator[AdsEmulator]:
    """An emulator whose imports end immediately."""
    with AdsEmulator(import_seconds=0.01) as emulator:
        yield emulator


@pytest.fixture
def aws_default(ads: AdsEmulator, monkeypatch: pytest.MonkeyPatch) -> AdsEmulator:
    """The emulator, with the connection ``aws_default`` pointing to it."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", ads.airflow_connection)
    return ads


@pytest.fixture
def inventory(ads: AdsEmulator) -> str:
    """The URL of an inventory of three valid servers."""
    return ads.upload("s3://inventory/inventory.csv", "ExternalId,HostName\n1,a.example\n2,b.example\n3,c.example\n")


@pytest.fixture
def half_bad_inventory(ads: AdsEmulator) -> str:
    """The URL of an inventory of two servers, one without an identity."""
    return ads.upload("s3://inventory/inventory.csv", "ExternalId,HostName,OS.Name\n1,a.example,Linux\n,,Linux\n")


@pytest.fixture(autouse=True)
def no_secrets_of_others() -> None:
    """Forget the secrets of earlier tests, because each makes masking slower; an Airflow process starts without any."""
    # Threads of other tests may still import modules.
    for name, module in sys.modules.copy().items():
        # Its place differs between versions of Airflow, and some have two.
        if name.endswith("secrets_masker") and "_secrets_masker" in vars(module):
            masker = vars(module)["_secrets_masker"]()
            masker.patterns, masker.replacer = set(), None


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten intervals of seconds that are meant for AWS and Airflow's scheduler."""
    monkeypatch.setattr(hooks, "MISSING_TASK_INTERVAL", 0.01)
    monkeypatch.setattr(polling, "LONGEST_BACK_OFF", 0.1)
    monkeypatch.setattr(triggers, "EARLIEST_EVENT", 0.0)
