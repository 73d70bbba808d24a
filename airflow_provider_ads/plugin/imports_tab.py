"""The plugin that adds the Imports tab to Airflow's UI."""

from __future__ import annotations

from typing import Any

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

__all__ = ["AdsImportsTabPlugin"]

#: Path of the page below Airflow's own. Links to it have no leading slash, so that they work under a base path.
_PATH = "ads-imports"

#: The fragment of the page's address, by the page of Airflow's UI that shows the tab.
_FRAGMENTS = {
    "dag": "dag_id={DAG_ID}",
    "dag_run": "dag_id={DAG_ID}&run_id={RUN_ID}",
    "task_instance": "dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}&map_index={MAP_INDEX}",
}


def _is_enabled() -> bool:
    # Airflow before 3.1 has no such tabs. Without the fallback, the plugin could not be loaded by a process that does
    # not read the metadata of providers.
    return hasattr(AirflowPlugin, "external_views") and conf.getboolean(
        "aws_application_discovery", "imports_tab", fallback=False
    )


def _fastapi_apps() -> list[dict[str, Any]]:
    # Imported here, because every Airflow process loads the plugin.
    from airflow_provider_ads.plugin.page import serve_page

    return [{"name": "Imports of AWS Application Discovery Service", "app": serve_page, "url_prefix": f"/{_PATH}"}]


class AdsImportsTabPlugin(AirflowPlugin):
    """
    Add the tab "Imports" to the pages of Dags, Dag runs and task instances.

    Airflow shows the tab for all Dags, so the option ``[aws_application_discovery] imports_tab`` has to enable it. The
    plugin does nothing on Airflow 2.11 and 3.0.
    """

    name = "ads_imports_tab"

    if _is_enabled():
        fastapi_apps = _fastapi_apps()
        external_views = [
            {
                "name": "Imports",
                "destination": destination,
                # Airflow looks views up by their route alone, so each needs its own.
                "url_route": f"{_PATH}-of-{destination.replace('_', '-')}",
                "href": f"{_PATH}/#{fragment}",
            }
            for destination, fragment in _FRAGMENTS.items()
        ]
