"""
Import a server inventory every night, fetch the failed rows, and delete the import of the night before.

```text
s3://.../servers.csv
└─> start_import
    └─> wait_for_import ─> asset migration_hub_servers
        ├─> fetch_failed_records ─> s3://.../failed
        └─> delete_older_imports
```

**What to change**

1. `region_name`: your Migration Hub home region.
2. `import_url`: your file, a CSV file with the columns of AWS's import template.
3. `target_arn`: your SNS topic, or another notifier.

To import another file, trigger the Dag and enter its URL into the form. If it is another inventory, enter another
prefix too; otherwise it replaces this one. Each event of the asset contains the counts.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
from airflow.sdk import DAG, Asset, Param

from airflow_provider_ads.operators import (
    AdsFailedRecordsToS3Operator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)
from airflow_provider_ads.sensors import AdsImportTaskSensor

# [START notifier]
COUNTS = """
{%- set import_task = ti.xcom_pull(task_ids="wait_for_import", key="import_task") -%}
{%- if import_task -%}
{{ import_task.name }}: {{ import_task.status }}, servers imported {{ import_task.serverImportSuccess }},
servers failed {{ import_task.serverImportFailure }}, applications failed {{ import_task.applicationImportFailure }}
{%- else -%}
{{ run_id }}: failed before the outcome of the import was known
{%- endif -%}
"""

# Any other notifier works too: SlackNotifier(text=COUNTS, ...), SmtpNotifier(html_content=COUNTS, ...)
send_counts = SnsNotifier(
    target_arn="arn:aws:sns:us-west-2:123456789012:migration",  # your topic
    message=COUNTS,
    region_name="us-west-2",
)
# [END notifier]

with DAG(
    dag_id="example_ads_failed_records",
    description="Import a server inventory every night, and fetch the failed rows",
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
        "import_url": Param(
            "s3://migration-inventory/servers.csv",  # your file
            type="string",
            pattern="^s3://[^/]+/.+",
            description="A CSV file with the columns of AWS's import template, or a ZIP file with an RVTools export",
        ),
        "prefix": Param(
            "cmdb-",
            type="string",
            pattern="-$",
            description="The prefix of this inventory's imports. Each run deletes older imports with this prefix",
        ),
    },
    tags=["example", "migration"],
) as dag:
    start_import = AdsStartImportTaskOperator(
        task_id="start_import",
        name="{{ params.prefix }}{{ run_id }}",
        import_url="{{ params.import_url }}",
    )

    wait_for_import = AdsImportTaskSensor(
        task_id="wait_for_import",
        import_task_id=start_import.output,
        deferrable=True,
        poke_interval=timedelta(seconds=15),
        timeout=timedelta(hours=6),
        on_failure_callback=send_counts,
        outlets=[Asset("migration_hub_servers")],
    )

    # [START failed_records]
    fetch_failed_records = AdsFailedRecordsToS3Operator(
        task_id="fetch_failed_records",
        import_task_id=start_import.output,
        destination_url="s3://migration-inventory/failed",
        trigger_rule="all_done",  # even if failed records made the wait fail
    )
    # [END failed_records]

    # [START prune]
    delete_older_imports = AdsPruneImportTasksOperator(
        task_id="delete_older_imports",
        name_prefix="{{ params.prefix }}",
        superseded_by=start_import.output,
        deferrable=True,
        poll_interval=timedelta(seconds=15),
    )
    # [END prune]

    wait_for_import >> [fetch_failed_records, delete_older_imports]
