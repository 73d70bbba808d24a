"""
Import a server inventory into AWS Migration Hub every night on Airflow 2.11, without holding a worker.

```text
s3://.../servers.csv
└─> start_import
    └─> wait_for_import ─> migration_hub_servers
```

**What to change**

1. `region_name`: your Migration Hub home region.
2. `import_url`: your file, a CSV file with the columns of AWS's import template or a ZIP file with an RVTools export.

The schedule imports that file. To import another one, trigger the Dag and enter its URL into the form. Each event of
the dataset contains the counts.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.datasets import Dataset as Asset
from airflow.models import DAG
from airflow.models.param import Param

from airflow_provider_ads.operators import AdsStartImportTaskOperator
from airflow_provider_ads.sensors import AdsImportTaskSensor

with DAG(
    dag_id="example_ads_import_airflow_2",
    description="Import a server inventory into AWS Migration Hub every night",
    doc_md=__doc__,
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
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
        "max_failed_records": Param(
            10,
            type=["null", "integer"],
            minimum=0,
            description="The task fails if more records fail. Leave it empty to allow any number",
        ),
    },
    tags=["example", "migration"],
) as dag:
    start_import = AdsStartImportTaskOperator(
        task_id="start_import",
        name="cmdb-{{ run_id }}",
        import_url="{{ params.import_url }}",
    )

    wait_for_import = AdsImportTaskSensor(
        task_id="wait_for_import",
        import_task_id=start_import.output,
        deferrable=True,
        poke_interval=timedelta(seconds=15),
        timeout=timedelta(hours=6),
        max_failed_records="{{ params.max_failed_records }}",
        outlets=[Asset("migration_hub_servers")],
    )
