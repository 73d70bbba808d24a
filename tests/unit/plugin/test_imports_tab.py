from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from tests.support.airflow import AIRFLOW_3_1

#: Prints what Airflow reads of the plugin, and if the plugin imported the page.
CODE = """
import json, sys
from airflow_provider_ads.plugin.imports_tab import AdsImportsTabPlugin as plugin
views = getattr(plugin, "external_views", [])
apps = [app["url_prefix"] for app in getattr(plugin, "fastapi_apps", [])]
print(json.dumps([views, apps, "airflow_provider_ads.plugin.page" in sys.modules]))
"""

needs_tabs = pytest.mark.skipif(not AIRFLOW_3_1, reason="Airflow before 3.1 has no tabs of plugins")


def run(*command: str, enabled: bool | None) -> str:
    """Run a command with the option, or without it; return its output."""
    option = {} if enabled is None else {"AIRFLOW__AWS_APPLICATION_DISCOVERY__IMPORTS_TAB": str(enabled)}
    result = subprocess.run(
        [sys.executable, *command], env={**os.environ, **option}, capture_output=True, text=True, check=True
    )
    return result.stdout.splitlines()[-1]


@cache
def load(enabled: bool | None) -> Any:
    """Load the plugin in a new process."""
    return json.loads(run("-c", CODE, enabled=enabled))


@pytest.mark.parametrize("enabled", [None, False])
def test_the_tab_is_off_by_default(enabled: bool | None) -> None:
    assert load(enabled) == [[], [], False]


@needs_tabs
def test_the_option_adds_a_tab_to_the_pages_of_dags_runs_and_task_instances() -> None:
    views, apps, _ = load(enabled=True)
    assert apps == ["/ads-imports"]
    assert [(view["name"], view["destination"], view["href"]) for view in views] == [
        ("Imports", "dag", "ads-imports/#dag_id={DAG_ID}"),
        ("Imports", "dag_run", "ads-imports/#dag_id={DAG_ID}&run_id={RUN_ID}"),
        (
            "Imports",
            "task_instance",
            "ads-imports/#dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}&map_index={MAP_INDEX}",
        ),
    ]


@needs_tabs
def test_each_tab_has_a_route_of_its_own() -> None:
    # Airflow 3.3 shows the first view with a route, wherever it belongs.
    views, _, _ = load(enabled=True)
    assert len({view["url_route"] for view in views}) == 3


@pytest.mark.skipif(AIRFLOW_3_1, reason="Airflow 3.1 has tabs of plugins")
def test_the_plugin_does_nothing_where_airflow_has_no_tabs() -> None:
    assert load(enabled=True) == [[], [], False]


@pytest.mark.parametrize("enabled", [None, True])
def test_airflow_loads_the_plugin(enabled: bool | None) -> None:
    plugins = json.loads(run("-m", "airflow", "plugins", "--output", "json", enabled=enabled))
    assert "ads_imports_tab" in [plugin["name"] for plugin in plugins]
