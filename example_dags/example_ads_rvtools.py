"""Import an RVTools export into AWS Migration Hub every night, and delete the import that it replaces."""

from __future__ import annotations

# [START rvtools]
from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_ads.operators import (
    AdsPrepareImportFileOperator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)

with DAG(
    dag_id="example_ads_rvtools",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,  # each run replaces the import of the previous run
    default_args={
        "region_name": "us-west-2",  # your Migration Hub home region
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
    },
    tags=["example", "migration"],
) as dag:
    prepare = AdsPrepareImportFileOperator(
        task_id="prepare",
        source_url="s3://migration-inventory/rvtools/export.xlsx",  # your export, .xlsx or .zip
        destination_url="s3://migration-inventory/rvtools/prepared/{{ run_id }}",
    )

    import_files = AdsStartImportTaskOperator(
        task_id="import_files",
        name="rvtools-{{ run_id }}",
        import_url=prepare.output,
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=15),
        execution_timeout=timedelta(hours=6),
    )

    AdsPruneImportTasksOperator(
        task_id="delete_older_imports",
        name_prefix="rvtools-",
        superseded_by=import_files.output,
        deferrable=True,
        poll_interval=timedelta(seconds=15),
    )
# [END rvtools]
