"""Convert inventory exports into files for AWS Application Discovery Service imports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from botocore.config import Config

from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.discovery.quotas import RecordQuota
from airflow_provider_ads.exceptions import AdsCallError, fail_without_retry
from airflow_provider_ads.hooks import AdsHook, explained_errors
from airflow_provider_ads.inventory.columns import check_column_mapping
from airflow_provider_ads.inventory.prepare import (
    OnInvalidRows,
    check_max_file_bytes,
    check_on_invalid_rows,
    prepare_import_file,
)
from airflow_provider_ads.inventory.report import PreparedImportFile
from airflow_provider_ads.inventory.template import ImportFileError
from airflow_provider_ads.operators.s3_files import AdsS3FilesOperator, split_s3_url

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import XComArg

__all__ = ["REPORT_XCOM_KEY", "AdsPrepareImportFileOperator"]

#: Key of the XCom with the report on the source's rows and columns.
REPORT_XCOM_KEY = "report"


class AdsPrepareImportFileOperator(AdsS3FilesOperator):
    """
    AWS Application Discovery Service: convert an inventory export into importable files.

    The source is one of these:

    - A CSV file in UTF-8 of any size, plain or compressed with gzip. The operator maps its columns to those of the
      import template, checks its rows against AWS's documentation, and writes them in their order to as many files as
      the limit of 10 MB requires: ``part-0001.csv`` and so on.
    - An RVTools export, as an .xlsx or ZIP file. The operator checks that it contains the sheets that AWS requires, and
      writes it to one ZIP file.

    Nothing is uploaded until all files are complete, and the same source produces the same files. A retry of a killed
    task therefore leaves the same files as an undisturbed one. Use a separate folder for each task and run, because
    existing files are overwritten or remain, even if imports have not read them yet. Mapped task instances each use a
    folder that is named after their map index. The worker's folder for temporary files needs room for the decompressed
    rows, and about 200 bytes more for each quarantined row. A killed task can leave files there.

    A source that cannot be prepared fails the task without a retry, and nothing is uploaded.

    The result is the list of URLs to import, ready for ``.expand(import_url=...)``. The XCom ``report`` is
    ``{"file_classification", "rows_read", "rows_written", "rows_quarantined", "parts": [{"url", "rows",
    "size_bytes"}], "quarantine_url", "columns_mapped", "columns_ignored", "columns_unknown"}``. The log shows the
    report as a table, and how many of the account's import records the rows need. OpenLineage events name the source
    as input and the files as outputs, with their numbers of rows.

    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html

    :param source_url: the export, as ``s3://bucket/key``. (templated)
    :param destination_url: the folder for the files, as ``s3://bucket/prefix``. (templated)
    :param column_mapping: template columns by the source's headers, such as ``{"Server Name": "HostName"}``, with None
        for each column to ignore. Headers that are template columns need no entry; any other header without an entry
        is ignored and reported. (templated) (default: None)
    :param max_file_bytes: the maximum size of a part, 1 to 10,000,000 bytes. (default: 10,000,000)
    :param on_invalid_rows: ``fail``: invalid rows fail the task, which lists the first 20. ``quarantine``: invalid rows
        are written unchanged, with their line numbers and reasons, to ``quarantine.csv`` in the folder, and all other
        rows to parts; if there are no other rows, the task fails. (default: ``fail``)
    :param aws_conn_id: the Airflow connection for the service and S3; None for boto3's default credentials. (templated)
    :param region_name: the Migration Hub home region; None for the connection's region. (templated)
    :param verify: False to skip the verification of certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments for :class:`botocore.config.Config`.
    :raises ValueError: ``max_file_bytes`` is out of range, or ``on_invalid_rows`` has another value.
    """

    template_fields: Sequence[str] = aws_template_fields("source_url", "destination_url", "column_mapping")
    template_fields_renderers = {"column_mapping": "json"}

    #: True once S3 has returned the source.
    source_was_read = False

    #: The report on the source; None unless all files were uploaded.
    report: Mapping[str, Any] | None = None

    def __init__(
        self,
        *,
        source_url: str | XComArg,
        destination_url: str | XComArg,
        column_mapping: Mapping[str, str | None] | XComArg | None = None,
        max_file_bytes: int = IMPORT_FILE_MAX_BYTES,
        on_invalid_rows: OnInvalidRows = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_url: Any = source_url
        self.destination_url = destination_url
        self.column_mapping = column_mapping
        self.max_file_bytes = check_max_file_bytes(max_file_bytes)
        self.on_invalid_rows = check_on_invalid_rows(on_invalid_rows)

    def execute(self, context: Any) -> list[str]:
        """
        Prepare the file.

        :return: the URLs of the files to import, in the order of the source's rows.
        :raises ValueError: a rendered parameter does not have the required form; nothing was sent.
        :raises AirflowFailException: the source cannot be prepared; nothing was uploaded.
        :raises AdsCallError: a call of S3 failed.
        """
        map_index = context["ti"].map_index
        folder_url = self.folder_url(*([] if map_index < 0 else [str(map_index)]))
        bucket_name, key = split_s3_url("source_url", self.source_url, "key")
        column_mapping = check_column_mapping(self.column_mapping)
        with TemporaryDirectory(prefix="airflow-provider-ads-") as temporary:
            folder = Path(temporary)
            try:
                prepared = self._prepare(bucket_name, key, folder, column_mapping)
                if self.source_url in [folder_url + name for name in prepared.files]:
                    raise ImportFileError("A part would overwrite the source. Choose another destination_url.")
            except ImportFileError as error:
                fail_without_retry(ImportFileError(f"{self.source_url}: {error}"))
            for name in prepared.files:
                self.upload(folder / name, folder_url + name)
        self.log.info("Prepared %s in %s:\n%s", self.source_url, folder_url, prepared)
        self.report = report = prepared.report(folder_url)
        if self.do_xcom_push:
            context["ti"].xcom_push(key=REPORT_XCOM_KEY, value=report)
        self._log_quota(prepared.rows_written)
        return [part["url"] for part in report["parts"]]

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """
        Return the source and the files for OpenLineage. Airflow also calls this when the task has failed.

        :param task_instance: the task instance that has ended.
        :return: the datasets; None if the source was not read.
        """
        if not self.source_was_read:
            return None
        from airflow_provider_ads.lineage import lineage_of_preparation

        return lineage_of_preparation(self.source_url, self.report)

    def _prepare(
        self, bucket_name: str, key: str, folder: Path, column_mapping: dict[str, str | None]
    ) -> PreparedImportFile:
        with explained_errors(self.s3_hook, "GetObject", self.source_url):
            client: Any = self.s3_hook.get_conn()
            with closing(client.get_object(Bucket=bucket_name, Key=key)["Body"]) as source:
                self.source_was_read = True
                return prepare_import_file(source, folder, column_mapping, self.max_file_bytes, self.on_invalid_rows)

    def _log_quota(self, rows: int | None) -> None:
        # Don't retry: these calls only feed a log line.
        config = self.hook.config.merge(Config(connect_timeout=10, read_timeout=30, retries={"total_max_attempts": 1}))
        hook = AdsHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name, verify=self.verify, config=config)
        try:
            quota = RecordQuota.from_import_tasks(hook.list_import_tasks())
        except AdsCallError as error:
            # The files can be imported with other credentials, which might have more permissions.
            self.log.warning("The number of import records that the account uses could not be determined: %s", error)
        else:
            (self.log.info if quota.has_room_for(rows) else self.log.warning)("%s", quota.describe(rows))
