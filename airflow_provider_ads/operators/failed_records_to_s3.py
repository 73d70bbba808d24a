"""Fetch the failed records of AWS Application Discovery Service imports into S3."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from botocore.httpsession import get_cert_path

from airflow_provider_ads.discovery.failed_records import (
    FailedRecordsError,
    count_failed_entries,
    format_errors_table,
    open_failed_records,
    read_errors,
)
from airflow_provider_ads.discovery.import_task import (
    IMPORT_FAILED_STATUSES,
    IMPORT_RUNNING_STATUSES,
    ImportTask,
    check_import_task_ids,
)
from airflow_provider_ads.exceptions import AdsCallError
from airflow_provider_ads.operators.s3_files import AdsS3FilesOperator
from airflow_provider_ads.version_compat import AirflowSkipException

if TYPE_CHECKING:
    from airflow.sdk import XComArg

__all__ = ["AdsFailedRecordsToS3Operator"]


class AdsFailedRecordsToS3Operator(AdsS3FilesOperator):
    """
    AWS Application Discovery Service: fetch the records of imports that failed, and why, into S3.

    For each import two CSV files are written under ``destination_url``, in a folder that is named for the import:
    ``errors.csv`` tells the line, the column, the ExternalId and a message for each field that failed,
    ``failed-entries.csv`` holds the rows that failed, as they were sent, to be corrected and imported again. The log
    shows the first errors. A retry writes the same files again.

    The task is skipped if there is no import to ask about, because the task that should have started it failed or was
    skipped. With ``trigger_rule="all_done"`` it runs also when the wait before it failed because of failed records.

    The result is ``{"failed_records": 2, "errors_url": "s3://...", "failed_entries_url": "s3://..."}``, or for several
    imports a list of such dicts in the order given; the number is that of the rows, and without any the URLs are None.

    The service offers the files as an archive behind a presigned URL, a credential, which is used at once and kept
    nowhere: https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html

    :param import_task_id: the id of an import that has ended, or any number of ids. (templated)
    :param destination_url: where the files go, as ``s3://bucket/prefix``. (templated)
    :param aws_conn_id: the Airflow connection with the credentials, for S3 too; None for boto3's own. (templated)
    :param region_name: the Migration Hub home region; None for that of the connection. (templated)
    :param verify: whether certificates are verified, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of :class:`botocore.config.Config`.
    """

    template_fields: Sequence[str] = aws_template_fields("import_task_id", "destination_url")

    def __init__(
        self, *, import_task_id: str | Iterable[str] | XComArg | None, destination_url: str, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.import_task_id = import_task_id
        self.destination_url = destination_url

    def execute(self, context: Any) -> dict[str, Any] | list[dict[str, Any]]:
        """
        Fetch the failed records.

        :return: a number and two URLs for the import, or a list of them.
        :raises AirflowSkipException: there is no import to ask about.
        :raises ValueError: an id or ``destination_url`` is not of its form; nothing was sent.
        :raises AdsCallError: AWS refused or could not be reached, an import is still in progress, or its archive is
            gone, damaged or none.
        """
        self.folder_url()
        import_tasks = self.hook.get_import_tasks(self._import_task_ids())
        for task in import_tasks:
            if task.status in IMPORT_RUNNING_STATUSES:
                raise AdsCallError(
                    f"Import {task}. It is still in progress: wait for it first, with AdsImportTaskSensor.",
                    code="ImportInProgress",
                    import_task_id=task.import_task_id,
                )
        results = [self._fetch(task) for task in import_tasks]
        return results[0] if isinstance(self.import_task_id, str) else results

    def _import_task_ids(self) -> list[str]:
        ids: Any = self.import_task_id
        if isinstance(ids, str) or ids is None:
            ids = [ids]
        # What a task that failed or was skipped returned; Jinja makes text of it.
        ids = [import_task_id for import_task_id in ids if import_task_id not in (None, "None", "")]
        if not ids:
            raise AirflowSkipException("There is no import to ask about: the task that starts it has returned no id")
        return check_import_task_ids(ids)

    def _fetch(self, task: ImportTask) -> dict[str, Any]:
        url = task.errors_and_failed_entries_zip
        failed = task.status in IMPORT_FAILED_STATUSES
        if not task.failed_records and not (failed and url):
            if failed:
                self.log.warning("Import %s. The service offers no archive with reasons", task)
            else:
                self.log.info("Import %s. No failed records", task)
            return {"failed_records": 0, "errors_url": None, "failed_entries_url": None}
        if url is None:
            raise AdsCallError(
                f"Import {task}. Records failed, but the service offers no archive of them (any more). Import the file "
                "again to get a new one.",
                code="ArchiveNotFound",
                import_task_id=task.import_task_id,
            )
        folder = self.folder_url(task.import_task_id)
        try:
            with open_failed_records(url, self._verify) as files:
                failed_records = count_failed_entries(files.failed_entries_file)
                table = format_errors_table(read_errors(files.errors_file))
                errors_url = self.upload(files.errors_file, f"{folder}errors.csv")
                entries_url = self.upload(files.failed_entries_file, f"{folder}failed-entries.csv")
        except FailedRecordsError as error:
            raise AdsCallError(
                f"Import {task}. {error}", error.code, task.import_task_id, transient=error.transient
            ) from error
        self.log.info(
            "Import %s. Failed rows: %s, in %s; why they failed, in %s:\n%s",
            task,
            f"{failed_records:,}",
            entries_url,
            errors_url,
            table,
        )
        return {"failed_records": failed_records, "errors_url": errors_url, "failed_entries_url": entries_url}

    @property
    def _verify(self) -> bool | str | None:
        """What boto3 would verify certificates with."""
        verify: bool | str | None = self.hook.verify
        if verify is None or verify is True:
            verify = os.environ.get("AWS_CA_BUNDLE") or get_cert_path(True)
        return verify
