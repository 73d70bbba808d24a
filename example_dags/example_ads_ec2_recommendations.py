"""
Import a CMDB export every night, then write EC2 instance recommendations for the servers to S3.

```text
s3://.../cmdb-export.csv
└─> prepare
    └─> import_files ─> asset migration_hub_servers
        ├─> fetch_failed_records
        └─> delete_older_imports
            └─> wait_for_aws
                └─> export_recommendations
                    └─> s3://.../recommendations
```

**What to change**

1. `region_name`: your Migration Hub home region.
2. `source_url`: your export.
3. `column_mapping`: the columns of the import template for your headers, which
   `python -m airflow_provider_ads.inventory FILE` proposes.
4. `ec2_recommendations`: the region, tenancy and sizing that you plan for.

An export might not contain what was imported just before, so `wait_for_aws` waits for some minutes without occupying
a worker. The result of `export_recommendations` contains the URLs of the files. Every server of a run has the tag
`import` with the run's id, by which you can filter the column `Tags`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG, Asset, Param

from airflow_provider_ads.operators import (
    AdsExportToS3Operator,
    AdsFailedRecordsToS3Operator,
    AdsPrepareImportFileOperator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)

with DAG(
    dag_id="example_ads_ec2_recommendations",
    description="Import a CMDB export into AWS Migration Hub, and export EC2 recommendations to S3 every night",
    doc_md=__doc__,
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,  # each run replaces the imports of the previous run
    default_args={
        "owner": "migration-team",
        "region_name": "us-west-2",  # your Migration Hub home region
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
    },
    params={
        "source_url": Param(
            "s3://migration-inventory/cmdb-export.csv",  # your file
            type="string",
            pattern="^s3://[^/]+/.+",
            description="An export: a text file or a workbook",
        ),
        "prefix": Param(
            "recommended-",
            type="string",
            pattern="-$",
            description="The prefix of this inventory's imports. Each run deletes older imports with this prefix",
        ),
        "minutes_before_export": Param(
            5,
            type="number",
            minimum=0,
            description="Minutes between import and export, because AWS takes some time until exports contain new data",
        ),
    },
    tags=["example", "migration"],
) as dag:
    # [START prepare]
    prepare = AdsPrepareImportFileOperator(
        task_id="prepare",
        source_url="{{ params.source_url }}",
        destination_url="s3://migration-inventory/prepared/{{ run_id }}",
        column_mapping={  # your header: column of the import template
            "Asset Tag": "ExternalId",
            "Server Name": "HostName",
            "CPU Cores": "CPU.NumberOfCores",
            "Memory (MB)": "RAM.TotalSizeInMB",
            "Operating System": "OS.Name",
        },
        on_invalid_rows="quarantine",  # import the valid rows
        tags={"import": "{{ run_id | replace(':', '') }}"},  # finds the servers of this run
    )
    # [END prepare]

    import_files = AdsStartImportTaskOperator(
        task_id="import_files",
        name="{{ params.prefix }}{{ run_id }}",
        import_url=prepare.output,
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=15),
        execution_timeout=timedelta(hours=6),
        max_failed_records=10,  # more than 10 failed records of one part fail the task
        outlets=[Asset("migration_hub_servers")],
    )

    AdsFailedRecordsToS3Operator(
        task_id="fetch_failed_records",
        import_task_id=import_files.output,
        destination_url="s3://migration-inventory/failed/{{ run_id }}",
        trigger_rule="all_done",  # even if failed records made import_files fail
    )

    delete_older_imports = AdsPruneImportTasksOperator(
        task_id="delete_older_imports",
        name_prefix="{{ params.prefix }}",
        superseded_by=import_files.output,
        allow_failed_records=True,  # import_files limits their number
        deferrable=True,
        poll_interval=timedelta(seconds=15),
    )

    # [START export]
    wait_for_aws = DateTimeSensorAsync(
        task_id="wait_for_aws",
        target_time="{{ ti.start_date + macros.timedelta(minutes=params.minutes_before_export) }}",
    )

    export_recommendations = AdsExportToS3Operator(
        task_id="export_recommendations",
        destination_url="s3://migration-inventory/recommendations",
        ec2_recommendations={
            "preferredRegion": "us-west-2",  # the region that you plan for
            "tenancy": "SHARED",
            "cpuPerformanceMetricBasis": {"name": "SPEC"},
            "ramPerformanceMetricBasis": {"name": "SPEC"},
        },
        deferrable=True,
        poll_interval=timedelta(seconds=15),
        execution_timeout=timedelta(hours=1),
    )
    # [END export]

    delete_older_imports >> wait_for_aws >> export_recommendations
