"""Operators for AWS Application Discovery Service (ADS) imports and exports."""

from __future__ import annotations

from airflow_provider_ads.operators.delete_import_data import AdsDeleteImportDataOperator
from airflow_provider_ads.operators.export_to_s3 import AdsExportToS3Operator
from airflow_provider_ads.operators.failed_records_to_s3 import AdsFailedRecordsToS3Operator
from airflow_provider_ads.operators.prepare_import_file import AdsPrepareImportFileOperator
from airflow_provider_ads.operators.prune_import_tasks import AdsPruneImportTasksOperator
from airflow_provider_ads.operators.start_import_task import AdsStartImportTaskOperator

__all__ = [
    "AdsDeleteImportDataOperator",
    "AdsExportToS3Operator",
    "AdsFailedRecordsToS3Operator",
    "AdsPrepareImportFileOperator",
    "AdsPruneImportTasksOperator",
    "AdsStartImportTaskOperator",
]
