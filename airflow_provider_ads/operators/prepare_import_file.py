"""Convert inventory exports into files for AWS Application Discovery Service imports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from botocore.config import Config

from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.discovery.quotas import RECORD_QUOTA_XCOM_KEY, RecordQuota
from airflow_provider_ads.exceptions import AdsCallError, fail_without_retry
from airflow_provider_ads.hooks import AdsHook, explained_errors
from airflow_provider_ads.inventory.columns import ColumnMapping
from airflow_provider_ads.inventory.options import OnInvalidRows, PrepareOptions
from airflow_provider_ads.inventory.prepare import prepare_import_file
from airflow_provider_ads.inventory.report import PreparedImportFile
from airflow_provider_ads.inventory.row_filter import RowFilterOption
from airflow_provider_ads.inventory.template import ImportFileError
from airflow_provider_ads.operators.s3_files import AdsS3FilesOperator, split_s3_url

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import XComArg

__all__ = ["RECORD_QUOTA_XCOM_KEY", "REPORT_XCOM_KEY", "AdsPrepareImportFileOperator"]

#: Key of the XCom with the report on the source's rows and columns, which is the same after every retry.
REPORT_XCOM_KEY = "report"


class AdsPrepareImportFileOperator(AdsS3FilesOperator):
    """
    AWS Application Discovery Service: convert an inventory export into importable files.

    The source is one of these, plain or compressed with gzip:

    - A text file of any size with a header and a row for each server. The delimiter, the encoding and the header's
      line are detected.
    - A workbook: .xlsx, .xlsm, .xls, .xlsb or .ods. It needs the extra ``workbook``.
    - An RVTools export, as an .xlsx or ZIP file.

    The operator maps the columns of a table to those of the import template, converts units, numbers, addresses and
    lists, checks the rows against AWS's documentation, and writes them in their order to as many files as the limit of
    10 MB requires: ``part-0001.csv`` and so on. An RVTools export that is complete is written unchanged to one ZIP
    file.

    A value is imported only if its meaning is certain. If it is ambiguous, the task fails before anything is uploaded,
    and its message contains the lines to choose from, ready to paste into the Dag.

    Nothing is uploaded until all files are complete, and the same source produces the same files. A retry of a killed
    task therefore leaves the same files as an undisturbed one. Use a separate folder for each task and run, because
    existing files are overwritten or remain, even if imports have not read them yet. Mapped task instances each use a
    folder that is named after their map index. The worker's folder for temporary files needs room for the decompressed
    rows, and about 200 bytes more for each quarantined row. A killed task can leave files there.

    A source that cannot be prepared fails the task without a retry, and nothing is uploaded.

    The result is the list of URLs to import, which ``import_url`` of
    :class:`~airflow_provider_ads.operators.start_import_task.AdsStartImportTaskOperator` accepts. The XCom ``report``
    is ``{"file_classification", "source_format", "rows_read", "rows_written", "rows_quarantined", "rows_filtered":
    {header: count}, "rows_short", "duplicate_rows", "shared_addresses", "parts": [{"url", "rows", "size_bytes"}],
    "quarantine_url", "columns": [{"header", "column", "unit", "converted", "empty", "invalid", "minimum", "median",
    "maximum"}], "columns_mapped", "columns_ignored", "columns_unknown", "lines_skipped", "warnings"}``, and the XCom
    ``record_quota`` is ``{"before", "after"}``: the account's import records without and with the rows, or None if they
    are not known. The log shows the report as tables. OpenLineage events name the source as input and the files as
    outputs, with their numbers of rows and the columns that they come from.

    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html

    :param source_url: the export, as ``s3://bucket/key``. (templated)
    :param destination_url: the folder for the files, as ``s3://bucket/prefix``. (templated)
    :param column_mapping: template columns by the source's headers, such as ``{"Server Name": "HostName"}``, with None
        for each column to ignore. A dict adds options, such as ``{"Memory (GB)": {"column": "RAM.TotalSizeInMB",
        "unit": "GB"}}``: see :class:`~airflow_provider_ads.inventory.columns.ColumnOptions`. Headers that are template
        columns need no entry; any other header without an entry is ignored and reported. (templated) (default: None)
    :param max_file_bytes: the maximum size of a part, 1 to 10,000,000 bytes. (default: 10,000,000)
    :param on_invalid_rows: ``fail``: invalid rows fail the task, which lists the first 20. ``quarantine``: invalid rows
        are written unchanged, with their line numbers and reasons, to ``quarantine.csv`` in the folder, and all other
        rows to parts; if there are no other rows, the task fails. (default: ``fail``)
    :param delimiter: the delimiter of a text file; None to detect it. (default: None)
    :param encoding: the encoding of a text file, such as ``cp1252``; None to detect it. (default: None)
    :param decimal: the decimal separator, a point or a comma; None for a point, unless the numbers look different.
        (default: None)
    :param thousands: the separator of groups of three digits: a point, a comma, a blank or an apostrophe; None for
        none, unless the numbers look different. (default: None)
    :param na_values: further placeholders, which count as empty cells: a list, or a dict of lists by header.
        (default: None)
    :param keep_default_na: True to count pandas' placeholders, ``unknown``, ``-`` and the like as empty cells too.
        (default: True)
    :param sheet_name: the sheet of a workbook; None for the only visible one with the mapped headers. (default: None)
    :param row_filter: the rows to import, as values by header, such as ``{"Status": ["Operational"]}``, or ``{"Class":
        {"not": ["Service"]}}`` for the rows to remove. (templated) (default: None)
    :param tags: values by name of tags that are added to every row, such as ``{"import": "{{ run_id }}"}``. A row's own
        tag takes precedence. (templated) (default: None)
    :param rvtools_as_template: True to convert an RVTools export to the import template, for one that is too large or
        lacks sheets. (default: False)
    :param aws_conn_id: the Airflow connection for the service and S3; None for boto3's default credentials. (templated)
    :param region_name: the Migration Hub home region; None for the connection's region. (templated)
    :param verify: False to skip the verification of certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments for :class:`botocore.config.Config`.
    :raises ValueError: a parameter that is not templated is invalid.
    """

    template_fields: Sequence[str] = aws_template_fields(
        "source_url", "destination_url", "column_mapping", "row_filter", "tags"
    )
    template_fields_renderers = {"column_mapping": "json", "row_filter": "json", "tags": "json"}

    #: True once S3 has returned the source.
    source_was_read = False

    #: The report on the source; None unless all files were uploaded.
    report: Mapping[str, Any] | None = None

    def __init__(
        self,
        *,
        source_url: str | XComArg,
        destination_url: str | XComArg,
        column_mapping: ColumnMapping | XComArg | None = None,
        max_file_bytes: int = IMPORT_FILE_MAX_BYTES,
        on_invalid_rows: OnInvalidRows = "fail",
        delimiter: str | None = None,
        encoding: str | None = None,
        decimal: str | None = None,
        thousands: str | None = None,
        na_values: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        keep_default_na: bool = True,
        sheet_name: str | None = None,
        row_filter: RowFilterOption | XComArg | None = None,
        tags: Mapping[str, str] | XComArg | None = None,
        rvtools_as_template: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_url: Any = source_url
        self.destination_url = destination_url
        self.column_mapping: Any = column_mapping
        self.max_file_bytes = max_file_bytes
        self.on_invalid_rows = on_invalid_rows
        self.delimiter = delimiter
        self.encoding = encoding
        self.decimal = decimal
        self.thousands = thousands
        self.na_values = na_values
        self.keep_default_na = keep_default_na
        self.sheet_name = sheet_name
        self.row_filter: Any = row_filter
        self.tags: Any = tags
        self.rvtools_as_template = rvtools_as_template
        self._options(column_mapping=None, row_filter=None, tags=None)

    def _options(self, **templated: Any) -> PrepareOptions:
        names = [each.name for each in fields(PrepareOptions) if each.init]
        return PrepareOptions(**{name: getattr(self, name) for name in names} | templated)

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
        options = self._options()
        with TemporaryDirectory(prefix="airflow-provider-ads-") as temporary:
            folder = Path(temporary)
            try:
                prepared = self._prepare(bucket_name, key, folder, options)
                if self.source_url in [folder_url + name for name in prepared.files]:
                    raise ImportFileError("A part would overwrite the source. Choose another destination_url.")
            except ImportFileError as error:
                fail_without_retry(ImportFileError(f"{error}\nThe source is {self.source_url}."))
            for name in prepared.files:
                self.upload(folder / name, folder_url + name)
        self.log.info("Prepared %s in %s:\n%s", self.source_url, folder_url, prepared)
        self.report = report = prepared.report(folder_url)
        quota = self._record_quota(prepared.rows_written)
        if self.do_xcom_push:
            context["ti"].xcom_push(key=REPORT_XCOM_KEY, value=report)
            context["ti"].xcom_push(key=RECORD_QUOTA_XCOM_KEY, value=quota)
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

    def _prepare(self, bucket_name: str, key: str, folder: Path, options: PrepareOptions) -> PreparedImportFile:
        with explained_errors(self.s3_hook, "GetObject", self.source_url):
            client: Any = self.s3_hook.get_conn()
            with closing(client.get_object(Bucket=bucket_name, Key=key)["Body"]) as source:
                self.source_was_read = True
                return prepare_import_file(source, folder, options)

    def _record_quota(self, rows: int | None) -> dict[str, int | None]:
        """Log and return the number of import records that the account uses, without and with these rows."""
        # Don't retry: these calls only feed the log and an XCom.
        config = self.hook.config.merge(Config(connect_timeout=10, read_timeout=30, retries={"total_max_attempts": 1}))
        hook = AdsHook(aws_conn_id=self.aws_conn_id, region_name=self.region_name, verify=self.verify, config=config)
        try:
            quota = RecordQuota.from_import_tasks(hook.list_import_tasks())
        except AdsCallError as error:
            # A missing permission does not matter: the files might be imported with other credentials.
            self.log.warning("The number of import records that the account uses could not be determined: %s", error)
            return {"before": None, "after": None}
        (self.log.info if quota.has_room_for(rows) else self.log.warning)("%s", quota.describe(rows))
        return {"before": quota.used, "after": None if rows is None else quota.used + rows}
