"""
Names and behaviour of Airflow and the Amazon provider that the package uses, although neither promises to keep them.

When one of these tests fails with a new version: find the name in that version's source, adapt the code that the
message names, keep what older versions need in ``version_compat.py``, and correct the table here. If no release of this
project works with the new version, cap the version in ``pyproject.toml`` until one does.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

import airflow_provider_ads

PACKAGE = Path(airflow_provider_ads.__file__).parent

AMAZON = "airflow.providers.amazon"

#: All imported names by module, except for those of version_compat.py, whose places differ between versions.
IMPORTED = {
    f"{AMAZON}.aws.hooks.base_aws": {"AwsGenericHook"},
    f"{AMAZON}.aws.hooks.s3": {"S3Hook"},
    f"{AMAZON}.aws.links.base_aws": {"BASE_AWS_CONSOLE_LINK", "BaseAwsLink"},
    f"{AMAZON}.aws.operators.base_aws": {"AwsBaseOperator"},
    f"{AMAZON}.aws.sensors.base_aws": {"AwsBaseSensor"},
    f"{AMAZON}.aws.utils.mixins": {"aws_template_fields"},
    f"{AMAZON}.version_compat": {"AIRFLOW_V_3_0_PLUS"},
    "airflow.providers.common.compat.openlineage.facet": {
        "InputDataset",
        "OutputDataset",
        "OutputStatisticsOutputDatasetFacet",
        "RunFacet",
    },
    "airflow.providers.openlineage.extractors": {"OperatorLineage"},
    "airflow.sdk": {"XComArg"},
    "airflow.triggers.base": {"BaseTrigger", "TriggerEvent"},
}


def hook() -> Any:
    return importlib.import_module(f"{AMAZON}.aws.hooks.base_aws").AwsGenericHook


def operator() -> Any:
    return importlib.import_module(f"{AMAZON}.aws.operators.base_aws").AwsBaseOperator


def sensor() -> Any:
    return importlib.import_module(f"{AMAZON}.aws.sensors.base_aws").AwsBaseSensor


def link() -> Any:
    return importlib.import_module(f"{AMAZON}.aws.links.base_aws").BaseAwsLink


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def is_cached(owner: Any, name: str) -> bool:
    """Return True if a property keeps its value in the object's dict, from which the hook can remove it."""
    return isinstance(inspect.getattr_static(owner, name), cached_property)


def fails_with(reason: str) -> bool:
    """Return True if Airflow resumes tasks by this name after a deferral that failed."""
    base = importlib.import_module(
        "airflow.sdk.bases.operator" if AIRFLOW_V_3_0_PLUS else "airflow.models.baseoperator"
    )
    return f'"{reason}"' in inspect.getsource(base) or f'"{reason}"' in inspect.getsource(
        importlib.import_module("airflow.models.trigger")
    )


#: For each name, the place that uses it, and a condition.
BEHAVIOUR: dict[str, tuple[str, Callable[[], bool]]] = {
    "AwsGenericHook.get_client_type": (
        "hooks.AdsHook overrides it, and polling.py calls it",
        lambda: parameters(hook().get_client_type)[1:] == ["region_name", "config", "deferrable"],
    ),
    "AwsGenericHook.get_session": (
        "hooks.AdsHook overrides it",
        lambda: parameters(hook().get_session)[1:] == ["region_name", "deferrable"],
    ),
    "AwsGenericHook.conn, conn_config": (
        "hooks.AdsHook removes their values when credentials have expired",
        lambda: is_cached(hook(), "conn") and is_cached(hook(), "conn_config"),
    ),
    "AwsGenericHook.conn_region_name, conn_partition": (
        "links.py and log lines",
        lambda: hasattr(hook(), "conn_region_name") and hasattr(hook(), "conn_partition"),
    ),
    "AwsConnectionWrapper.session_kwargs, get_service_endpoint_url": (
        "hooks.AdsHook.test_connection",
        lambda: (
            "service_name" in parameters(hook()(aws_conn_id=None).conn_config.get_service_endpoint_url)
            and isinstance(hook()(aws_conn_id=None).conn_config.session_kwargs, dict)
        ),
    ),
    "AwsBaseOperator.hook": ("all operators", lambda: is_cached(operator(), "hook")),
    "AwsBaseSensor.hook": ("sensors.py", lambda: is_cached(sensor(), "hook")),
    "resume_execution": (
        "waiting.py overrides it, to say why a deferral failed",
        lambda: parameters(operator().resume_execution)[1:] == ["next_method", "next_kwargs", "context"],
    ),
    "__fail__": ("triggers.DEFERRAL_FAILED", lambda: fails_with("__fail__")),
    "BaseAwsLink.persist": (
        "links.MigrationHubLink.persist_for",
        lambda: {"context", "operator", "region_name", "aws_partition"} <= set(parameters(link().persist)),
    ),
    "Trigger.kwargs": (
        "triggers.py: the database returns the arguments of a trigger unchanged",
        lambda: Trigger("a.Trigger", {"ids": ["a"], "seconds": 1.5}).kwargs == {"ids": ["a"], "seconds": 1.5},
    ),
}


def imports() -> dict[str, set[str]]:
    """Return the names that the package imports from Airflow, except in version_compat.py, which has its own tests."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        if path.name == "version_compat.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "airflow":
                found.setdefault(str(node.module), set()).update(name.name for name in node.names)
    return found


def test_the_list_of_imported_names_is_complete() -> None:
    assert imports() == IMPORTED


@pytest.mark.parametrize(
    ("module", "name"),
    [(module, name) for module, names in IMPORTED.items() for name in names if module != "airflow.sdk"],
)
def test_imported_names_exist(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("name", BEHAVIOUR)
def test_airflow_behaves_as_the_package_expects(name: str) -> None:
    used, holds = BEHAVIOUR[name]
    assert holds(), f"{name} has changed. It is used by {used}. See the top of this file."
