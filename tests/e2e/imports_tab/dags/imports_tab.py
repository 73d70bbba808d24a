"""Dags whose runs the Imports tab shows. A run is configured with the URL of its file, and can name a connection."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, get_current_context, task

from airflow_provider_ads.operators import (
    AdsFailedRecordsToS3Operator,
    AdsPrepareImportFileOperator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)
from airflow_provider_ads.sensors import AdsImportTaskSensor

SOURCE_URL = "{{ dag_run.conf['source_url'] }}"
DAG_ARGUMENTS: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1),
    "default_args": {"aws_conn_id": "{{ dag_run.conf.get('aws_conn_id', 'aws_default') }}"},
}
WAITING: dict[str, Any] = {"wait_for_completion": True, "deferrable": True, "poll_interval": timedelta(seconds=1)}


def prepare(max_file_bytes: int = 100_000) -> AdsPrepareImportFileOperator:
    """Return the task that prepares the file; by default, 600 rows become four parts."""
    return AdsPrepareImportFileOperator(
        task_id="prepare",
        source_url=SOURCE_URL,
        destination_url="s3://inventory/prepared/{{ dag.dag_id }}/{{ run_id }}",
        column_mapping={
            "Asset Tag": "ExternalId",
            "Server Name": "HostName",
            "IP Address": "IPAddress",
            "CPU Cores": "CPU.NumberOfCores",
            "Memory (MB)": "RAM.TotalSizeInMB",
            "Operating System": "OS.Name",
            "Application": "Applications",
            "Labels": "Tags",
            "Comment": None,
        },
        row_filter={"Operating System": {"not": ['SLES "for SAP"']}},
        max_file_bytes=max_file_bytes,
        on_invalid_rows="quarantine",
    )


def fetch_failed_records(import_task_id: Any) -> AdsFailedRecordsToS3Operator:
    """Return the task that fetches failed records, even if the wait failed because of them."""
    return AdsFailedRecordsToS3Operator(
        task_id="fetch_failed_records",
        import_task_id=import_task_id,
        destination_url="s3://inventory/failed/{{ run_id }}",
        trigger_rule="all_done",
    )


with DAG(dag_id="tab_pipeline", dag_display_name="Pipeline <b>of parts</b>", schedule=None, **DAG_ARGUMENTS):
    imports = AdsStartImportTaskOperator(
        task_id="import_files", name="{{ run_id }}", import_url=prepare().output, **WAITING
    )
    fetch_failed_records(imports.output)
    AdsPruneImportTasksOperator(
        task_id="delete_older_imports", name_prefix="{{ dag_run.conf['name_prefix'] }}", superseded_by=imports.output
    )

with DAG(dag_id="tab_mapped", schedule=None, **DAG_ARGUMENTS):
    starts = AdsStartImportTaskOperator.partial(task_id="start_import", name="{{ run_id }}").expand(
        import_url=prepare().output
    )
    wait = AdsImportTaskSensor(
        task_id="wait_for_imports", import_task_id=starts.output, deferrable=True, poke_interval=1, timeout=600
    )
    wait >> fetch_failed_records(starts.output)

with DAG(dag_id="tab_fifty_parts", schedule=None, **DAG_ARGUMENTS):
    AdsStartImportTaskOperator(
        task_id="import_files",
        name="{{ run_id }}",
        import_url=prepare(5_000).output,
        max_failed_records=None,
        **WAITING,
    )

for dag_id in ("tab_one_file", "tab_references"):
    with DAG(dag_id=dag_id, schedule=None, **DAG_ARGUMENTS):
        AdsStartImportTaskOperator(task_id="import_file", name="{{ run_id }}", import_url=SOURCE_URL, **WAITING)

with DAG(dag_id="tab_reports", schedule=None, **DAG_ARGUMENTS):

    @task
    def push() -> None:
        """Push the XComs in the configuration, as a subclass of an operator might."""
        context = get_current_context()
        for key, value in (context["dag_run"].conf or {})["xcoms"].items():
            context["ti"].xcom_push(key=key, value=value)

    push()

with DAG(dag_id="tab_without_imports", schedule=None, **DAG_ARGUMENTS):

    @task
    def report() -> dict[str, str]:
        return {"report": "nothing about imports"}

    report()
