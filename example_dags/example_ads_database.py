"""
Query a database every night, and import the result into AWS Migration Hub.

```text
database ─> query
└─> prepare
    └─> import_files ─> asset migration_hub_servers
```

**What to change**

1. `sql_conn_id` and `sql`: your connection, and a query that returns a row for each server.
2. `region_name`: your Migration Hub home region.
3. `migration-inventory`: your bucket.

Rows that cannot be imported are in `quarantine.csv`, beside the prepared files. Each event of the asset contains the
counts.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.amazon.aws.transfers.sql_to_s3 import SqlToS3Operator
from airflow.sdk import DAG, Asset

from airflow_provider_ads.operators import AdsPrepareImportFileOperator, AdsStartImportTaskOperator

with DAG(
    dag_id="example_ads_database",
    description="Query a database every night, and import the result into AWS Migration Hub",
    doc_md=__doc__,
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"owner": "migration-team", "retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["example", "migration"],
) as dag:
    # [START database]
    query = SqlToS3Operator(
        task_id="query",
        sql_conn_id="cmdb",  # the connection to your database
        query="""
            SELECT asset_tag AS "ExternalId", hostname AS "HostName", addresses AS "IPAddress", memory_gb AS "Memory"
            FROM servers
            WHERE status = 'in use'
            ORDER BY asset_tag
        """,
        s3_bucket="migration-inventory",
        s3_key="database/{{ run_id }}.csv",
        replace=True,  # a retry overwrites the file
    )

    prepare = AdsPrepareImportFileOperator(
        task_id="prepare",
        source_url="s3://migration-inventory/database/{{ run_id }}.csv",
        destination_url="s3://migration-inventory/prepared/{{ run_id }}",
        column_mapping={
            "Memory": {"column": "RAM.TotalSizeInMB", "unit": "GB"},
            "Unnamed: 0": None,  # pandas' row numbers
        },
        on_invalid_rows="quarantine",
        region_name="us-west-2",  # your Migration Hub home region
    )
    query >> prepare
    # [END database]

    AdsStartImportTaskOperator(
        task_id="import_files",
        name="database-{{ run_id }}",
        import_url=prepare.output,
        wait_for_completion=True,
        deferrable=True,
        execution_timeout=timedelta(hours=6),
        outlets=[Asset("migration_hub_servers")],
        region_name="us-west-2",
    )
