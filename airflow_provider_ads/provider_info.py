"""Provider metadata for Airflow, which every Airflow process reads; so this module imports only the version."""

from __future__ import annotations

from typing import Any

from airflow_provider_ads import __version__

__all__ = ["get_provider_info"]


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata as defined by Airflow's ``provider_info.schema.json``."""
    integration = "AWS Application Discovery Service"
    return {
        "package-name": "airflow-provider-ads",
        "name": integration,
        "description": "Import server inventories into AWS Migration Hub.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": integration,
                "external-doc-url": "https://docs.aws.amazon.com/application-discovery/",
                "tags": ["aws"],
            }
        ],
        "hooks": [{"integration-name": integration, "python-modules": ["airflow_provider_ads.hooks"]}],
        "operators": [
            {
                "integration-name": integration,
                "python-modules": [
                    "airflow_provider_ads.operators.delete_import_data",
                    "airflow_provider_ads.operators.export_to_s3",
                    "airflow_provider_ads.operators.failed_records_to_s3",
                    "airflow_provider_ads.operators.prepare_import_file",
                    "airflow_provider_ads.operators.prune_import_tasks",
                    "airflow_provider_ads.operators.start_import_task",
                ],
            }
        ],
        "sensors": [{"integration-name": integration, "python-modules": ["airflow_provider_ads.sensors"]}],
        "extra-links": ["airflow_provider_ads.links.MigrationHubLink"],
        "triggers": [{"integration-name": integration, "python-modules": ["airflow_provider_ads.triggers"]}],
        "config": {
            "aws_application_discovery": {
                "description": "Options of the provider for AWS Application Discovery Service.",
                "options": {
                    "imports_tab": {
                        "description": "Show the tab Imports on the pages of all Dags, Dag runs and task instances. It "
                        "needs Airflow 3.1. The API server reads the option when it starts.",
                        "version_added": "0.2.0",
                        "type": "boolean",
                        "example": None,
                        "default": "False",
                    }
                },
            }
        },
    }
