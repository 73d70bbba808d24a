from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

from airflow_provider_ads import __version__, operators
from airflow_provider_ads.provider_info import get_provider_info

INFO = get_provider_info()
CLASS_SUFFIXES = {"hooks": "Hook", "operators": "Operator", "sensors": "Sensor", "triggers": "Trigger"}
MODULES = [(kind, module) for kind in CLASS_SUFFIXES for entry in INFO[kind] for module in entry["python-modules"]]


def test_the_metadata_conforms_to_the_schema_of_the_installed_airflow() -> None:
    (schema,) = Path(airflow.__path__[0]).rglob("provider_info.schema.json")
    jsonschema.validate(INFO, json.loads(schema.read_text()))


@pytest.mark.parametrize(("kind", "module"), MODULES)
def test_every_listed_module_defines_a_class_of_its_kind(kind: str, module: str) -> None:
    loaded: Any = importlib.import_module(module)
    defined = [name for name, value in inspect.getmembers(loaded, inspect.isclass) if value.__module__ == module]
    assert [name for name in defined if name.startswith("Ads") and name.endswith(CLASS_SUFFIXES[kind])]


def test_every_operator_is_listed() -> None:
    listed = [module for kind, module in MODULES if kind == "operators"]
    assert listed == sorted({getattr(operators, name).__module__ for name in operators.__all__})


def test_name_and_version_match_the_distribution() -> None:
    distribution = importlib.metadata.distribution("airflow-provider-ads")
    assert INFO["package-name"] == distribution.metadata["Name"]
    assert INFO["versions"] == [__version__] == [distribution.version]


def test_the_entry_point_returns_the_metadata() -> None:
    (entry_point,) = (
        entry_point
        for entry_point in importlib.metadata.entry_points(group="apache_airflow_provider")
        if entry_point.dist and entry_point.dist.name == "airflow-provider-ads"
    )
    assert entry_point.value == "airflow_provider_ads.provider_info:get_provider_info"
    assert entry_point.load()() == INFO


def test_reading_the_metadata_imports_neither_airflow_nor_boto3() -> None:
    # Every Airflow process reads the metadata of all providers.
    code = (
        "import sys; from airflow_provider_ads.provider_info import get_provider_info; get_provider_info(); "
        "print([name for name in sys.modules if name.partition('.')[0] in ('airflow', 'boto3', 'botocore')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_airflow_lists_the_provider() -> None:
    listed = subprocess.run(
        [Path(sys.executable).with_name("airflow"), "providers", "list", "--output", "plain"],
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (line for line in listed.stdout.splitlines() if line.startswith("airflow-provider-ads"))
    assert INFO["description"].rstrip(".") in line
    assert line.split()[-1] == __version__
