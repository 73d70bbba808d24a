"""Import tasks as the service describes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.parameters import escaped
from airflow_provider_ads.discovery.record import TaskRecord
from airflow_provider_ads.moved import find_moved_name

__all__ = ["ImportTask", "newest_by_name"]


@dataclass(frozen=True, kw_only=True)
class ImportTask(TaskRecord):
    """
    One import task as returned by ``DescribeImportTasks``; fields that the service did not send are None.

    Anyone with the archive URL can download the failed rows, and the request token identifies the request to the
    service. ``repr`` therefore omits both, and Airflow cannot store a record as an XCom: store its :meth:`summary`.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ImportTask.html

    :param import_task_id: ``import-task-`` and 32 hexadecimal digits, unique in the account.
    :param client_request_token: the token with which the import was started. A secret.
    :param name: the import's name, which is not unique.
    :param import_url: the URL of the file.
    :param status: a value of ``ImportStatus``, or one that AWS added later.
    :param import_request_time: when the import was requested, in UTC.
    :param import_completion_time: when it ended, in UTC.
    :param import_deleted_time: when its data was deleted, in UTC.
    :param file_classification: the type of file that the service recognized, for example ``IMPORT_TEMPLATE``.
    :param server_import_success: number of server records imported.
    :param server_import_failure: number of server records that failed.
    :param application_import_success: number of application records imported.
    :param application_import_failure: number of application records that failed.
    :param errors_and_failed_entries_zip: presigned URL of the archive with the failed rows. A credential.
    """

    noun = "import task"
    secrets = "its request token and the link to its error archive"

    import_task_id: str
    client_request_token: str | None = field(default=None, repr=False)
    name: str | None = None
    import_url: str | None = None
    status: str | None = None
    import_request_time: datetime | None = None
    import_completion_time: datetime | None = None
    import_deleted_time: datetime | None = None
    file_classification: str | None = None
    server_import_success: int | None = None
    server_import_failure: int | None = None
    application_import_success: int | None = None
    application_import_failure: int | None = None
    errors_and_failed_entries_zip: str | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """The task's id."""
        return self.import_task_id

    @property
    def failed_records(self) -> int:
        """Number of server and application records that failed; one bad row can count as both."""
        failed = (self.server_import_failure or 0) + (self.application_import_failure or 0)
        return max(failed, 1) if statuses.has_failed_records(self.status) else failed

    @property
    def failed_servers(self) -> int:
        """Number of failed records that are not applications."""
        return self.failed_records - (self.application_import_failure or 0)

    def __str__(self) -> str:
        return self.describe()

    def describe(self, *details: str, with_url: bool = False) -> str:
        """
        Return a log line without its period: status and counts, then details, then file, name and id.

        A running import has no counts until one of them exceeds 0.

        :param details: further details, such as ``started in us-west-2``.
        :param with_url: True for the URL of the file instead of its name.
        """
        servers = ((self.server_import_success, "imported"), (self.server_import_failure, "failed"))
        applications = ((self.application_import_success, "imported"), (self.application_import_failure, "failed"))
        # Most inventories have no applications.
        counts = [f"{count:,} applications {label}" for count, label in applications if count]
        if counts or not statuses.is_running(self.status) or any(count for count, _ in servers):
            counts = [f"{count:,} {label}" for count, label in servers if count is not None] + counts
        outcome = ", ".join([*counts, *details])
        url = escaped(self.import_url or "")
        file = url if with_url else PurePosixPath(url).name
        names = [*filter(None, [file]), *([] if self.name is None else [repr(self.name)]), self.import_task_id]
        identity = names[0] + (f" ({', '.join(names[1:])})" if names[1:] else "")
        return f"{self.shown_status}: {outcome}. {identity}" if outcome else f"{self.shown_status}: {identity}"

    @property
    def shown_status(self) -> str:
        """The status, or a placeholder if it is missing."""
        return self.status or ("no status" if self.is_listed else "not listed")

    @property
    def age(self) -> timedelta | None:
        """Time since the import was requested, in full seconds; None if that time is not known."""
        if self.import_request_time is None:
            return None
        return timedelta(seconds=int((datetime.now(UTC) - self.import_request_time).total_seconds()))


def newest_by_name(import_tasks: Iterable[ImportTask]) -> dict[str, ImportTask]:
    """
    Return the newest task for each name.

    If tasks were requested at the same time, the one with the greatest id counts as the newest, so that the result does
    not depend on the order.

    :param import_tasks: tasks in any order.
    :return: the newest tasks by name. Tasks without a name are ignored.
    """
    never = datetime.min.replace(tzinfo=UTC)
    in_order = sorted(import_tasks, key=lambda task: (task.import_request_time or never, task.import_task_id))
    return {task.name: task for task in in_order if task.name is not None}


if not TYPE_CHECKING:
    __getattr__ = partial(find_moved_name, __name__)
