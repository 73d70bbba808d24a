"""The ground that unit tests stand on: an emulator that they reach over HTTP, and no long waits."""

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

# What Airflow and botocore have loaded by now stays; to look through it for garbage takes longer than the tests.
gc.freeze()

settings.register_profile("chaos", max_examples=300)

_botocore_data: dict[tuple[str, ...], dict[Any, Any]] = {}


class _SharingLoader(Loader):
    """Keeps what it reads for all that read from the same folders."""

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


# What takes longer than all else when a client is made: to read some megabytes of botocore's data, which each session
# does anew, as a process of Airflow's must do once; and to look up the source lines of every frame that runs, dozens
# under pytest, for the hook of the Amazon provider, which then looks at their functions alone.
vars(botocore.session)["create_loader"] = _create_loader
vars(base_aws)["inspect"] = SimpleNamespace(**{**vars(inspect), "stack": _stack})


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
def no_secrets_of_others() -> None:
    """Forget the secrets of earlier tests, as a process of Airflow's knows none: each makes the mask of all longer."""
    for name, module in list(sys.modules.items()):
        # Where it is differs between versions of Airflow, and some have two.
        if name.endswith("secrets_masker") and "_secrets_masker" in vars(module):
            masker = vars(module)["_secrets_masker"]()
            masker.patterns, masker.replacer = set(), None


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what is measured in seconds for AWS and for Airflow's scheduler."""
    monkeypatch.setattr(hooks, "MISSING_TASK_INTERVAL", 0.01)
    monkeypatch.setattr(polling, "LONGEST_BACK_OFF", 0.1)
    monkeypatch.setattr(triggers, "EARLIEST_EVENT", 0.0)
