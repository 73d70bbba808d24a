"""
Behavior of Airflow and the Amazon provider that the package relies on, although neither promises to keep it.

When one of these tests fails with a new version: find the name in that version's source, adapt the code that the
message names, keep what older versions need in ``version_compat.py``, and correct the table here. If no release of this
project works with the new version, cap the version in ``pyproject.toml`` until one does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def is_cached(owner: Any, name: str) -> bool:
    """Return True if a property keeps its value in the object's dict, from which the hook can remove it."""
    return isinstance(inspect.getattr_static(owner, name), cached_property)


def fails_with(reason: str) -> bool:
    """Return True if Airflow resumes tasks by this name after a deferral that failed."""
    base = "airflow.sdk.bases.operator" if AIRFLOW_V_3_0_PLUS else "airflow.models.baseoperator"
    modules = (import_module(base), import_module("airflow.models.trigger"))
    return any(f'"{reason}"' in inspect.getsource(module) for module in modules)


#: For each name, the place that uses it, and a condition.
BEHAVIOUR: dict[str, tuple[str, Callable[[], bool]]] = {
    "AwsGenericHook.get_client_type": (
        "hooks.AdsHook overrides it, and polling.py calls it",
        lambda: parameters(AwsGenericHook.get_client_type)[1:] == ["region_name", "config", "deferrable"],
    ),
    "AwsGenericHook.get_session": (
        "hooks.AdsHook overrides it",
        lambda: parameters(AwsGenericHook.get_session)[1:] == ["region_name", "deferrable"],
    ),
    "AwsGenericHook.conn, conn_config": (
        "hooks.AdsHook removes their values when credentials have expired",
        lambda: is_cached(AwsGenericHook, "conn") and is_cached(AwsGenericHook, "conn_config"),
    ),
    "AwsConnectionWrapper.session_kwargs, get_service_endpoint_url": (
        "hooks.AdsHook.test_connection",
        lambda: (
            "service_name" in parameters(AwsGenericHook(aws_conn_id=None).conn_config.get_service_endpoint_url)
            and isinstance(AwsGenericHook(aws_conn_id=None).conn_config.session_kwargs, dict)
        ),
    ),
    "AwsBaseOperator.hook": ("all operators", lambda: is_cached(AwsBaseOperator, "hook")),
    "AwsBaseSensor.hook": ("sensors.py", lambda: is_cached(AwsBaseSensor, "hook")),
    "resume_execution": (
        "waiting.py overrides it, to say why a deferral failed",
        lambda: parameters(AwsBaseOperator.resume_execution)[1:] == ["next_method", "next_kwargs", "context"],
    ),
    "__fail__": ("triggers.DEFERRAL_FAILED", lambda: fails_with("__fail__")),
    "BaseAwsLink.persist": (
        "links.MigrationHubLink.persist_for",
        lambda: {"context", "operator", "region_name", "aws_partition"} <= set(parameters(BaseAwsLink.persist)),
    ),
}


@pytest.mark.parametrize("name", BEHAVIOUR)
def test_airflow_behaves_as_the_package_expects(name: str) -> None:
    used, holds = BEHAVIOUR[name]
    assert holds(), f"{name} has changed. It is used by {used}. See the top of this file."
