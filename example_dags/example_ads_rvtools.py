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
from airflow_provider_ads.sensors import AdsImportTaskSensor

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

    start_import = AdsStartImportTaskOperator.partial(
        task_id="start_import",
        name="rvtools-{{ run_id }}-{{ ti.map_index }}",
    ).expand(import_url=prepare.output)

    wait_for_import = AdsImportTaskSensor(
        task_id="wait_for_import",
        import_task_id=start_import.output,
        deferrable=True,
        poke_interval=timedelta(seconds=15),
        timeout=timedelta(hours=6),
    )

    delete_older_imports = AdsPruneImportTasksOperator(
        task_id="delete_older_imports",
        name_prefix="rvtools-",
        superseded_by=start_import.output,
        deferrable=True,
        poll_interval=timedelta(seconds=15),
    )

    wait_for_import >> delete_older_imports
# [END rvtools]
