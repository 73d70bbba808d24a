"""
Check that a connection can be used for imports into AWS Migration Hub, and report what is missing.

```text
check_connection
├─> credentials, region, home region
└─> permission to list imports
```

**What to change**

1. `aws_conn_id`: your connection.
2. `region_name`: your Migration Hub home region.

Then trigger the Dag. If something is missing, the task fails, and its log says what to do.
"""

from __future__ import annotations

# [START check]
from airflow.sdk import DAG, task

from airflow_provider_ads.hooks import AdsHook

with DAG(
    dag_id="example_ads_check_connection",
    description="Check that a connection can be used for imports into AWS Migration Hub",
    doc_md=__doc__,
    schedule=None,
    default_args={"owner": "migration-team"},
    tags=["example", "migration"],
) as dag:

    @task(retries=0)
    def check_connection() -> str:
        """Return the result of the check, or fail with the list of problems."""
        hook = AdsHook(
            aws_conn_id="aws_default",  # your connection
            region_name="us-west-2",  # your Migration Hub home region
        )
        good, message = hook.test_connection()
        if not good:
            raise RuntimeError(message)
        return message

    check_connection()
# [END check]
