"""A ServiceNow workbook is prepared, imported in parts, and replaces the imports of the previous run."""

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
    dag_id="servicenow",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    default_args={"aws_conn_id": "aws_servicenow"},
):
    prepare = AdsPrepareImportFileOperator(
        task_id="prepare",
        source_url="s3://inventory/servicenow.xlsx",
        destination_url="s3://inventory/servicenow/{{ run_id }}",
        column_mapping={
            "Name": "HostName",
            "Serial number": "ExternalId",
            "IP Address": {"column": "IPAddress", "separator": ";"},
            "RAM (GB)": {"column": "RAM.TotalSizeInMB", "unit": "GB"},
            "CPU core count": "CPU.NumberOfCores",
            "Operating System": "OS.Name",
            "Used for": {"column": "Tags", "tag": "environment"},
            "Support group": {"column": "Tags", "tag": "team"},
            "Class": None,
            "Operational status": None,
        },
        row_filter={
            "Class": {"not": ["Service", "Storage"]},
            "Operational status": {"not": ["Decommissioned"]},
        },
        tags={"import": "{{ run_id | replace(':', '') }}"},
        max_file_bytes=10_000,
        on_invalid_rows="quarantine",
    )
    import_files = AdsStartImportTaskOperator(
        task_id="import_files",
        name="servicenow-{{ run_id }}",
        import_url=prepare.output,
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=5),
        max_failed_records=5,
    )
    AdsFailedRecordsToS3Operator(
        task_id="fetch",
        import_task_id=import_files.output,
        destination_url="s3://inventory/servicenow-failed/{{ run_id }}",
        trigger_rule="all_done",
    )
    AdsPruneImportTasksOperator(
        task_id="prune",
        name_prefix="servicenow-",
        superseded_by=import_files.output,
        allow_failed_records=True,
        deferrable=True,
        poll_interval=timedelta(seconds=5),
    )
