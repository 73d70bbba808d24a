"""Make files for AWS Application Discovery Service imports of what an inventory system exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_ads.discovery.import_file import (
    ImportFileError,
    OnInvalidRows,
    PreparedImportFile,
    check_max_file_bytes,
    check_on_invalid_rows,
    prepare_import_file,
)
from airflow_provider_ads.discovery.import_template import check_column_mapping
from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.discovery.record_quota import RecordQuota
from airflow_provider_ads.exceptions import AdsCallError, call_error, fail_without_retry
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.operators.s3_files import AdsS3FilesOperator, split_s3_url

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import XComArg

__all__ = ["REPORT_XCOM_KEY", "AdsPrepareImportFileOperator"]

#: The XCom that says what became of the source's rows and columns.
REPORT_XCOM_KEY = "report"


class AdsPrepareImportFileOperator(AdsS3FilesOperator):
    """
    AWS Application Discovery Service: make files that can be imported of what an inventory system exports.

    A CSV file in UTF-8, of any size, gzip or not: its columns are mapped to those of the import template, its rows
    checked as AWS documents them, and written to as many files as the limit of 10 MB takes, ``part-0001.csv`` and so
    on, in their order. An export of RVTools, as .xlsx or ZIP file: it is checked for the sheets that AWS needs, zipped
    if it is not, and is one file.

    Files appear only when all of them are complete, and the same source makes the same files, so that a task that was
    killed and is tried again leaves what an undisturbed one would. Give each task and run a folder of its own, because
    what is there already is written over, or stays, although imports may be about to read it; mapped task instances
    have one each, named for their map index. The worker's folder for temporary files needs room for the rows,
    decompressed, and some 200 bytes more for each that is quarantined; a task that is killed leaves there what it had.

    A file that cannot be prepared fails the task at once, without a retry, and nothing is written.

    The result is the list of the URLs to import, ready for ``.expand(import_url=...)``. The XCom ``report`` holds what
    became of rows and columns, ``{"file_classification", "rows_read", "rows_written", "rows_quarantined", "parts":
    [{"url", "rows", "size_bytes"}], "quarantine_url", "columns_mapped", "columns_ignored", "columns_unknown"}``; the
    log shows it as a table, with what the rows will use up of the account's import records. Events of OpenLineage name
    the source as input and the files as outputs, with their numbers of rows.

    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html

    :param source_url: the export, as ``s3://bucket/key``. (templated)
    :param destination_url: the folder for the files, as ``s3://bucket/prefix``. (templated)
    :param column_mapping: the template's columns by the headers that the source has for them, such as
        ``{"Server Name": "HostName"}``, and None by the header of a column that is to be left out. The template's own
        headers need no mention; headers that are neither are left out and reported. (templated) (default: None)
    :param max_file_bytes: bytes that no part exceeds, 1 to 10,000,000. (default: 10,000,000)
    :param on_invalid_rows: ``fail``: invalid rows fail the task, which lists the first 20. ``quarantine``: they go, as
        they were read, with their line and the reason, to ``quarantine.csv`` in the folder, and the others are
        prepared, unless there are none. (default: ``fail``)
    :param aws_conn_id: the Airflow connection with the credentials; None for boto3's own. (templated)
    :param region_name: the Migration Hub home region; None for that of the connection. (templated)
    :param verify: whether certificates are verified, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of :class:`botocore.config.Config`.
    :raises ValueError: ``max_file_bytes`` is out of range, or ``on_invalid_rows`` neither of the two.
    """

    template_fields: Sequence[str] = aws_template_fields("source_url", "destination_url", "column_mapping")
    template_fields_renderers = {"column_mapping": "json"}

    #: Whether the source could be read.
    source_was_read = False

    #: What became of the source; None unless all files are there.
    report: Mapping[str, Any] | None = None

    def __init__(
        self,
        *,
        source_url: str,
        destination_url: str,
        column_mapping: Mapping[str, str | None] | XComArg | None = None,
        max_file_bytes: int = IMPORT_FILE_MAX_BYTES,
        on_invalid_rows: OnInvalidRows = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_url = source_url
        self.destination_url = destination_url
        self.column_mapping = column_mapping
        self.max_file_bytes = check_max_file_bytes(max_file_bytes)
        self.on_invalid_rows = check_on_invalid_rows(on_invalid_rows)

    def execute(self, context: Any) -> list[str]:
        """
        Prepare the file.

        :return: the URLs of the files to import, in the order of the source's rows.
        :raises ValueError: a rendered parameter is not of its form; nothing was sent.
        :raises AirflowFailException: the file cannot be prepared; nothing was written.
        :raises AdsCallError: S3 refused or could not be reached.
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
                    raise ImportFileError("The file would be written over. Choose another destination_url.")
            except ImportFileError as error:
                fail_without_retry(ImportFileError(f"{self.source_url}: {error}"))
            for name in prepared.files:
                self.upload(folder / name, folder_url + name)
        self.log.info("Prepared %s in %s:\n%s", self.source_url, folder_url, prepared)
        self.report = report = prepared.report(folder_url)
        if self.do_xcom_push:
            context["ti"].xcom_push(key=REPORT_XCOM_KEY, value=report)
        self._tell_the_quota(prepared.rows_written)
        return [part["url"] for part in report["parts"]]

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """
        Tell OpenLineage what was read and written; Airflow asks also when the task has failed.

        :param task_instance: the task instance that has ended.
        :return: None if nothing was read.
        """
        if not self.source_was_read:
            return None
        from airflow_provider_ads.lineage import lineage_of_preparation

        return lineage_of_preparation(self.source_url, self.report)

    def _prepare(
        self, bucket_name: str, key: str, folder: Path, column_mapping: dict[str, str | None]
    ) -> PreparedImportFile:
        try:
            client: Any = self.s3_hook.get_conn()
            with closing(client.get_object(Bucket=bucket_name, Key=key)["Body"]) as source:
                self.source_was_read = True
                return prepare_import_file(source, folder, column_mapping, self.max_file_bytes, self.on_invalid_rows)
        except (ClientError, BotoCoreError) as error:
            raise call_error(error, "GetObject", self.source_url, self.s3_hook.region_name, self.aws_conn_id) from error

    def _tell_the_quota(self, rows: int | None) -> None:
        # For a line of the log nobody shall wait until an endpoint that cannot be reached was tried five times.
        config = self.hook.config.merge(Config(connect_timeout=10, read_timeout=30, retries={"total_max_attempts": 1}))
        hook = AdsHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name, verify=self.verify, config=config)
        try:
            quota = RecordQuota.of(hook.list_import_tasks())
        except AdsCallError as error:
            # The files are there, and may be imported by somebody who may do more.
            self.log.warning("How much of the account's import records is used up cannot be told: %s", error)
        else:
            (self.log.info if quota.has_room_for(rows) else self.log.warning)("%s", quota.describe(rows))
