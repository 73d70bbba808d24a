"""Export tasks as the service describes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from airflow_provider_ads.discovery.record import TaskRecord
from airflow_provider_ads.log_redaction import redact

__all__ = ["ExportTask"]


@dataclass(frozen=True, kw_only=True)
class ExportTask(TaskRecord):
    """
    One export task as returned by ``DescribeExportTasks``; fields that the service did not send are None.

    Anyone with the download URL can download the exported data. ``repr`` therefore omits it, and Airflow cannot store a
    record as an XCom: store its :meth:`summary`.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ExportInfo.html

    :param export_id: identifies the export; at most 200 characters.
    :param export_status: a value of ``ExportStatus``, or one that AWS added later.
    :param status_message: the service's remark about the status, such as the reason for a failure.
    :param configurations_download_url: presigned URL of the archive, set once the export has succeeded. A credential.
    :param export_request_time: when the export was requested, in UTC.
    :param is_truncated: True if the archive is incomplete, because it would have exceeded the service's size limit.
    :param requested_start_time: the beginning of the requested period, in UTC, for data of a single agent.
    :param requested_end_time: the end of the requested period, in UTC, for data of a single agent.
    """

    noun = "export task"
    secrets = "the link to its archive"

    export_id: str
    export_status: str | None = None
    status_message: str | None = None
    configurations_download_url: str | None = field(default=None, repr=False)
    export_request_time: datetime | None = None
    is_truncated: bool | None = None
    requested_start_time: datetime | None = None
    requested_end_time: datetime | None = None

    def __post_init__(self) -> None:
        if self.status_message is not None:
            # The service's words might quote the link, which must appear nowhere.
            object.__setattr__(self, "status_message", redact(self.status_message))

    @property
    def id(self) -> str:
        """The export's id."""
        return self.export_id

    @property
    def status(self) -> str | None:
        """The export's status."""
        return self.export_status

    def __str__(self) -> str:
        return self.describe()

    def describe(self, *details: str) -> str:
        """
        Return a log line without its period: the status, then details, then the id.

        :param details: further details, such as ``2 files``.
        """
        return f"EXPORT: {', '.join([self.export_status or 'no status', *details])} ({self.export_id})"
