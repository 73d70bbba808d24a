"""Copy the failed records of AWS Application Discovery Service imports to S3."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.download import ArchiveDownloadError
from airflow_provider_ads.discovery.failed_records import (
    count_failed_entries,
    format_errors_table,
    open_failed_records,
    read_errors,
)
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.parameters import as_list, renderable
from airflow_provider_ads.exceptions import AdsCallError
from airflow_provider_ads.operators.s3_files import AdsS3FilesOperator
from airflow_provider_ads.version_compat import AirflowSkipException

if TYPE_CHECKING:
    from airflow.sdk import XComArg

__all__ = ["AdsFailedRecordsToS3Operator"]

#: Values that stand for a missing id.
NO_IDS = (None, "None", "")


class AdsFailedRecordsToS3Operator(AdsS3FilesOperator):
    """
    AWS Application Discovery Service: copy the failed records of imports, and the reasons, to S3.

    For each import, the operator writes two CSV files to a folder in ``destination_url`` that is named after the import
    task id. ``errors.csv`` lists the line, the column, the ExternalId and a message for each field that failed.
    ``failed-entries.csv`` contains the failed rows unchanged, so that you can correct and import them again. The log
    shows the first errors. A retry writes the same files again.

    The task is skipped if there is no import, because the task that should have started it failed or was skipped. With
    ``trigger_rule="all_done"``, the task also runs if the wait before it failed because of failed records.

    The result is ``{"failed_records": 2, "errors_url": "s3://...", "failed_entries_url": "s3://..."}``, or a list of
    such dicts in the order of the ids. ``failed_records`` is the number of rows; if it is 0, the URLs are None.

    The service offers the files as an archive behind a presigned URL. The URL is a credential, so the operator uses it
    immediately and does not store it:
    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html

    :param import_task_id: the id of an import that has ended, or any iterable of ids. (templated)
    :param destination_url: the folder for the files, as ``s3://bucket/prefix``. (templated)
    :param aws_conn_id: the Airflow connection for the service and S3; None for boto3's default credentials. (templated)
    :param region_name: the Migration Hub home region; None for the connection's region. (templated)
    :param verify: False to skip the verification of certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments for :class:`botocore.config.Config`.
    """

    template_fields: Sequence[str] = aws_template_fields("import_task_id", "destination_url")

    def __init__(
        self,
        *,
        import_task_id: str | Iterable[str | XComArg] | XComArg | None,
        destination_url: str | XComArg,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.import_task_id: Any = renderable(import_task_id)
        self.destination_url = destination_url

    def execute(self, context: Any) -> dict[str, Any] | list[dict[str, Any]]:
        """
        Copy the failed records.

        :return: the number of failed rows and two URLs for one import, or a list of these.
        :raises AirflowSkipException: there is no import.
        :raises ValueError: an id or ``destination_url`` does not have the required form; nothing was sent.
        :raises AdsCallError: a call failed, an import is still in progress, or its archive is missing or damaged.
        """
        self.folder_url()
        # A task that failed or was skipped returns no id, which Jinja renders as "None".
        ids = [import_task_id for import_task_id in as_list(self.import_task_id) if import_task_id not in NO_IDS]
        if not ids:
            raise AirflowSkipException("There is no import: the task that should have started it returned no id")
        import_tasks = self.hook.get_import_tasks(ids)
        for task in import_tasks:
            if statuses.is_running(task.status):
                raise AdsCallError(
                    f"Wait for the import first, with AdsImportTaskSensor: it is still in progress.\n{task}.",
                    code="ImportInProgress",
                    import_task_id=task.import_task_id,
                )
        results = [self._fetch(task) for task in import_tasks]
        return results[0] if isinstance(self.import_task_id, str) else results

    def _fetch(self, task: ImportTask) -> dict[str, Any]:
        url = task.errors_and_failed_entries_zip
        failed = statuses.is_failed(task.status)
        if not task.failed_records and not (failed and url):
            if failed:
                self.log.warning("%s. The service offers no archive with the reasons", task)
            else:
                self.log.info("%s. No failed records", task)
            return {"failed_records": 0, "errors_url": None, "failed_entries_url": None}
        if url is None:
            raise AdsCallError(
                "Import the file again to get a new archive of its failed records: the service does not offer one, or "
                f"no longer does.\n{task}.",
                code="ArchiveNotFound",
                import_task_id=task.import_task_id,
            )
        folder = self.folder_url(task.import_task_id)
        try:
            with open_failed_records(url, self.ca_bundle) as files:
                failed_records = count_failed_entries(files.failed_entries_file)
                table = format_errors_table(read_errors(files.errors_file))
                errors_url = self.upload(files.errors_file, f"{folder}errors.csv")
                entries_url = self.upload(files.failed_entries_file, f"{folder}failed-entries.csv")
        except ArchiveDownloadError as error:
            raise AdsCallError(
                f"{error}\n{task}.", error.code, task.import_task_id, transient=error.transient
            ) from None
        rows = f"{failed_records:,} failed row{'' if failed_records == 1 else 's'}"
        self.log.info("%s in %s, reasons in %s. %s\n%s", rows, entries_url, errors_url, task, table)
        return {"failed_records": failed_records, "errors_url": errors_url, "failed_entries_url": entries_url}
