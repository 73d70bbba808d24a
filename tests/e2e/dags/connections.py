"""An import for each connection of ``docs/howto/connections.md``, started by a worker and awaited in the triggerer."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsPrepareImportFileOperator, AdsStartImportTaskOperator

CONNECTIONS = [
    "access_keys",
    "role",
    "web_identity",
    "kubernetes_service_account",
    "profile",
    "endpoint_url",
    "service_config",
    "ca_bundle",
    "verify_off",
    "proxy",
]

with DAG(dag_id="connections", schedule=None, start_date=datetime(2026, 1, 1)):
    AdsPrepareImportFileOperator(
        task_id="prepare",
        source_url="s3://connections/export.csv",
        destination_url="s3://connections/prepared",
        aws_conn_id="connections_service_config",
    )
    for name in CONNECTIONS:
        AdsStartImportTaskOperator(
            task_id=name,
            name=f"{name} {{{{ run_id }}}}",
            import_url="s3://connections/export.csv",
            aws_conn_id=f"connections_{name}",
            wait_for_completion=True,
            deferrable=True,
            # No trigger fires within 5 seconds.
            poll_interval=timedelta(seconds=3),
        )
