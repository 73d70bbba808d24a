"""The public names of the package."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any, get_origin

import pytest

import airflow_provider_ads

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(airflow_provider_ads.__path__, "airflow_provider_ads.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    module: Any = importlib.import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", []):
        value = getattr(module, public)
        assert not callable(value) or get_origin(value) or value.__doc__, public
