"""Environment variables that must be set before Airflow is first imported."""

from __future__ import annotations

import os
import tempfile

_AIRFLOW_HOME = tempfile.TemporaryDirectory(prefix="airflow-provider-ads-")

# Nothing of the machine's own AWS and Airflow settings may reach a test.
for _name in list(os.environ):
    if _name.startswith(("AWS_", "AIRFLOW_")) or _name.lower() in {"http_proxy", "https_proxy", "all_proxy"}:
        del os.environ[_name]

os.environ.update(
    {
        "AIRFLOW_HOME": _AIRFLOW_HOME.name,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # A database that cannot be opened: a unit test that needs one fails.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:////{_AIRFLOW_HOME.name}/no-database-in-unit-tests/airflow.db",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
)
