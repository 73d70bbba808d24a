"""Exports on a worker and in the triggerer; each Dag is a row of the table in ``whole_airflow/test_exports.py``."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsExportToS3Operator

for row in ("succeeded", "failed", "truncated", "denied", "timed_out"):
    with DAG(
        dag_id=f"export_{row}",
        schedule=None,
        start_date=datetime(2026, 1, 1),
        default_args={"aws_conn_id": f"aws_export_{row}", "retries": 0},
    ):
        for mode, deferrable in (("sync", False), ("deferred", True)):
            AdsExportToS3Operator(
                task_id=mode,
                destination_url=f"s3://inventory/exports/{row}/{mode}",
                ec2_recommendations={"preferredRegion": "eu-west-1"},
                deferrable=deferrable,
                # Airflow 3.0 to 3.3 mistakes a task that resumes sooner for one that was killed.
                poll_interval=timedelta(seconds=5),
                execution_timeout=timedelta(seconds=20 if row == "timed_out" else 600),
            )
