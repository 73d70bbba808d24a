"""Rules that concern the package as a whole."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path
from typing import Any, get_origin

import pytest

import airflow_provider_ads

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(airflow_provider_ads.__path__, "airflow_provider_ads.")
    if not module.name.endswith("__main__")
)

#: What each part of the package may import of it: imports point down only.
BELOW = {
    "discovery": {"discovery"},
    "version_compat": set(),
    "exceptions": {"discovery", "version_compat"},
    "hooks": {"discovery", "exceptions"},
    "polling": {"discovery", "exceptions", "hooks"},
    "change_log": {"polling"},
    "triggers": {"change_log", "discovery", "exceptions", "hooks", "polling"},
    "outcome": {"discovery", "exceptions"},
    "links": set(),
    "idempotency": {"discovery", "hooks"},
    "lineage": {"discovery"},
    "operators": {
        "operators",
        "change_log",
        "links",
        "discovery",
        "exceptions",
        "hooks",
        "idempotency",
        "lineage",
        "outcome",
        "polling",
        "triggers",
        "version_compat",
    },
    "sensors": {"links", "discovery", "exceptions", "hooks", "outcome", "polling", "triggers", "version_compat"},
    "provider_info": {"__version__"},
    "emulator": {"discovery", "emulator"},
}


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_exists_and_is_documented(name: str) -> None:
    module: Any = importlib.import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", []):
        value = getattr(module, public)
        assert not callable(value) or get_origin(value) or value.__doc__, public


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down_only(name: str) -> None:
    parts = {
        part
        for module, names in imports(name)
        if module.partition(".")[0] == "airflow_provider_ads"
        for part in (module.split(".")[1:2] or names)
    }
    assert parts <= BELOW[name.split(".")[1]]


@pytest.mark.parametrize("name", [name for name in MODULES if ".discovery" in name])
def test_discovery_is_plain_python(name: str) -> None:
    tops = {module.partition(".")[0] for module, _ in imports(name)}
    assert not tops & {"airflow", "boto3", "botocore", "aiobotocore"}


def imports(name: str) -> list[tuple[str, list[str]]]:
    """Each import of a module's source: from where, and which names."""
    tree = ast.parse(Path(str(importlib.import_module(name).__file__)).read_text())
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found.append((node.module or "", [alias.name for alias in node.names]))
        elif isinstance(node, ast.Import):
            found += [(alias.name, [alias.name]) for alias in node.names]
    return found
