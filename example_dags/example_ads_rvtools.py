"""
Import an RVTools export into AWS Migration Hub every night, and delete the import that it replaces.

```text
s3://.../export.xlsx
└─> prepare
    └─> import_files ─> asset migration_hub_servers
        └─> delete_older_imports
```

**What to change**

1. `region_name`: your Migration Hub home region.
2. `source_url`: your export.

To import the export of another vCenter, trigger the Dag and enter its URL and another prefix into the form; with the
same prefix, it replaces this one. Each event of the asset contains the counts.
"""

from __future__ import annotations

# [START rvtools]
from datetime import datetime, timedelta

from airflow.sdk import DAG, Asset, Param

from airflow_provider_ads.operators import (
    AdsPrepareImportFileOperator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)

with DAG(
    dag_id="example_ads_rvtools",
    description="Import an RVTools export into AWS Migration Hub every night",
    doc_md=__doc__,
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,  # each run replaces the import of the previous run
    default_args={
        "owner": "migration-team",
        "region_name": "us-west-2",  # your Migration Hub home region
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
    },
    params={
        "source_url": Param(
            "s3://migration-inventory/rvtools/export.xlsx",  # your export, .xlsx or .zip
            type="string",
            pattern="^s3://[^/]+/.+",
            description="An RVTools export: a workbook, or a ZIP file with CSV files",
        ),
        "prefix": Param(
            "rvtools-",
            type="string",
            pattern="-$",
            description="The prefix of this inventory's imports. Each run deletes older imports with this prefix",
        ),
    },
    tags=["example", "migration"],
) as dag:
    prepare = AdsPrepareImportFileOperator(
        task_id="prepare",
        source_url="{{ params.source_url }}",
        destination_url="s3://migration-inventory/rvtools/prepared/{{ run_id }}",
    )

    import_files = AdsStartImportTaskOperator(
        task_id="import_files",
        name="{{ params.prefix }}{{ run_id }}",
        import_url=prepare.output,
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=15),
        execution_timeout=timedelta(hours=6),
        outlets=[Asset("migration_hub_servers")],
    )

    AdsPruneImportTasksOperator(
        task_id="delete_older_imports",
        name_prefix="{{ params.prefix }}",
        superseded_by=import_files.output,
        deferrable=True,
        poll_interval=timedelta(seconds=15),
    )
# [END rvtools]
