"""An inventory is prepared and imported in parts, with OpenLineage enabled."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.openlineage.utils.selective_enable import enable_lineage
from airflow.sdk import DAG

from airflow_provider_ads.operators import AdsPrepareImportFileOperator, AdsStartImportTaskOperator

with DAG(
    dag_id="lineage", schedule=None, start_date=datetime(2026, 1, 1), default_args={"aws_conn_id": "aws_lineage"}
) as dag:
    prepare = AdsPrepareImportFileOperator(
        task_id="prepare",
        source_url="s3://inventory/lineage.csv",
        destination_url="s3://inventory/lineage/{{ run_id }}",
        max_file_bytes=150,
        on_invalid_rows="quarantine",
    )
    AdsStartImportTaskOperator.partial(
        task_id="start",
        name="{{ run_id }}-{{ ti.map_index }}",
        client_request_token="{{ run_id }}-{{ ti.map_index }}-{{ var.value.client_request_token }}",
        wait_for_completion=True,
        deferrable=True,
        poll_interval=timedelta(seconds=5),
    ).expand(import_url=prepare.output)

enable_lineage(dag)
