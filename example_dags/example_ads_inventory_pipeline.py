"""
Prepare a CMDB export, import it in parts, fetch the failed rows, and delete the imports that the parts replace.

```text
s3://.../cmdb-export.csv
└─> prepare
    └─> import_files ─> asset migration_hub_servers
        ├─> delete_older_imports
        └─> fetch_failed_records ─> show_sum
```

**What to change**

1. `region_name`: your Migration Hub home region.
2. `source_url`: your export.
3. `column_mapping`: the columns of the import template for your headers, which
   `python -m airflow_provider_ads.inventory FILE` proposes.

The log of `show_sum` accounts for every row. To import another file, trigger the Dag and enter its URL into the form.
If it is another inventory, enter another prefix too; otherwise it replaces this one. Each event of the asset contains
the counts.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Asset, Param, task

from airflow_provider_ads.inventory.accounting import account_for_rows
from airflow_provider_ads.operators import (
    AdsFailedRecordsToS3Operator,
    AdsPrepareImportFileOperator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)

log = logging.getLogger(__name__)

with DAG(
    dag_id="example_ads_inventory_pipeline",
    description="Prepare a CMDB export and import it into AWS Migration Hub every night",
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
            "cmdb-",
            type="string",
            pattern="-$",
            description="The prefix of this inventory's imports. Each run deletes older imports with this prefix",
        ),
        "max_failed_records": Param(
            10,
            type=["null", "integer"],
            minimum=0,
            description="The run fails if more records of one part fail. Leave it empty to allow any number",
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
        name="{{ params.prefix }}{{ run_id }}",
        import_url=prepare.output,  # one task starts and waits for the imports of all parts
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=15),
        execution_timeout=timedelta(hours=6),
        max_failed_records="{{ params.max_failed_records }}",
        outlets=[Asset("migration_hub_servers")],
    )
    # [END import]

    # [START after_import]
    fetch_failed_records = AdsFailedRecordsToS3Operator(
        task_id="fetch_failed_records",
        import_task_id=import_files.output,
        destination_url="s3://migration-inventory/failed/{{ run_id }}",
        trigger_rule="all_done",  # even if failed records made import_files fail
    )

    AdsPruneImportTasksOperator(
        task_id="delete_older_imports",
        name_prefix="{{ params.prefix }}",
        superseded_by=import_files.output,
        allow_failed_records=True,  # import_files limits their number
        deferrable=True,
        poll_interval=timedelta(seconds=15),
    )
    # [END after_import]

    @task(trigger_rule="all_done")
    def show_sum(ti: Any = None) -> None:
        """Log the number of rows that were read, and their outcomes."""
        report = ti.xcom_pull(task_ids="prepare", key="report")
        import_tasks = ti.xcom_pull(task_ids="import_files", key="import_task")
        log.info("%s", account_for_rows(report, import_tasks))

    fetch_failed_records >> show_sum()
