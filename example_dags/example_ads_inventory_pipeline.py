"""Prepare a CMDB export, import it in parts, fetch the failed rows, and delete the imports that the parts replace."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG

from airflow_provider_ads.operators import (
    AdsFailedRecordsToS3Operator,
    AdsPrepareImportFileOperator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)

with DAG(
    dag_id="example_ads_inventory_pipeline",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,  # each run replaces the imports of the previous run
    default_args={
        "region_name": "us-west-2",  # your Migration Hub home region
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
    },
    tags=["example", "migration"],
) as dag:
    # [START prepare]
    prepare = AdsPrepareImportFileOperator(
        task_id="prepare",
        source_url="s3://migration-inventory/cmdb-export.csv",  # your file
        destination_url="s3://migration-inventory/prepared/{{ run_id }}",
        column_mapping={  # your header: column of the import template
            "Asset Tag": "ExternalId",
            "Server Name": "HostName",
            "IP Address": "IPAddress",
            "CPU Cores": "CPU.NumberOfCores",
            "Memory (MB)": "RAM.TotalSizeInMB",
            "Operating System": "OS.Name",
            "Application": "Applications",
            "Labels": "Tags",
            "Comment": None,  # ignored
        },
        max_file_bytes=1_000_000,  # at most 10,000,000
        on_invalid_rows="quarantine",  # import the valid rows
    )
    # [END prepare]

    # [START import]
    import_files = AdsStartImportTaskOperator(
        task_id="import_files",
        name="cmdb-{{ run_id }}",
        import_url=prepare.output,  # one task starts and waits for the imports of all parts
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=15),
        execution_timeout=timedelta(hours=6),
        max_failed_records=10,  # more than 10 failed records of one part fail the task
    )
    # [END import]

    # [START after_import]
    AdsFailedRecordsToS3Operator(
        task_id="fetch_failed_records",
        import_task_id=import_files.output,
        destination_url="s3://migration-inventory/failed/{{ run_id }}",
        trigger_rule="all_done",  # even if failed records made import_files fail
    )

    AdsPruneImportTasksOperator(
        task_id="delete_older_imports",
        name_prefix="cmdb-",
        superseded_by=import_files.output,
        allow_failed_records=True,  # import_files limits their number
        deferrable=True,
        poll_interval=timedelta(seconds=15),
    )
    # [END after_import]
