"""
Import corrected rows of an earlier import: trigger this Dag, and enter the URL of the corrected file.

```text
s3://.../corrected.csv
└─> start_import
    └─> wait_for_import
        └─> fetch_failed_records
```

**What to change**

1. `region_name`: your Migration Hub home region.
2. `migration-inventory`: your bucket.

A corrected file is a `failed-entries.csv` of an earlier run, with its values corrected. Each event of the asset
`migration_hub_servers` contains the counts.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, Param

from airflow_provider_ads.operators import AdsFailedRecordsToS3Operator, AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor

with DAG(
    dag_id="example_ads_corrected_rows",
    description="Import corrected rows of an earlier import",
    doc_md=__doc__,
    schedule=None,
    params={
        "import_url": Param(
            "s3://migration-inventory/corrected.csv",
            type="string",
            pattern="^s3://[^/]+/.+",
            description="A failed-entries.csv with corrected rows",
        ),
        "prefix": Param(
            "cmdb-",
            type="string",
            pattern="-$",
            description="The prefix of the imports to which the rows belong",
        ),
    },
    default_args={
        "owner": "migration-team",
        "region_name": "us-west-2",  # your Migration Hub home region
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
    },
    tags=["example", "migration"],
) as dag:
    start_import = AdsStartImportTaskOperator(
        task_id="start_import",
        # The name has the prefix of the nightly imports, so the next nightly run also deletes this import. This Dag
        # itself deletes nothing, because its rows are only a part of the inventory.
        name="{{ params.prefix }}corrected-{{ run_id }}",
        import_url="{{ params.import_url }}",
    )

    wait_for_import = AdsImportTaskSensor(
        task_id="wait_for_import",
        import_task_id=start_import.output,
        deferrable=True,
        poke_interval=timedelta(seconds=15),
        timeout=timedelta(hours=6),
        outlets=[Asset("migration_hub_servers")],
    )

    fetch_failed_records = AdsFailedRecordsToS3Operator(
        task_id="fetch_failed_records",
        import_task_id=start_import.output,
        destination_url="s3://migration-inventory/failed",
        trigger_rule="all_done",
    )

    wait_for_import >> fetch_failed_records
