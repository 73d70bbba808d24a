"""Import tasks as the service describes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, NoReturn

from airflow_provider_ads.discovery import statuses

__all__ = ["ImportTask", "newest_by_name"]


@dataclass(frozen=True, kw_only=True)
class ImportTask:
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

    @classmethod
    def from_response(cls, response: Mapping[str, Any]) -> ImportTask:
        """
        Return the record for one task of a boto3 response, or for a :meth:`summary`; unknown fields are ignored.

        :param response: a task with the service's field names; times as ``datetime`` or ISO 8601 strings.
        :raises KeyError: ``importTaskId`` is missing.
        """
        fields = {name: response.get(service_name) for name, service_name in _SERVICE_NAMES.items()}
        for name in _TIMES:
            time = fields[name]
            if time is not None:
                fields[name] = (datetime.fromisoformat(time) if isinstance(time, str) else time).astimezone(UTC)
        return cls(**{**fields, "import_task_id": response["importTaskId"]})

    def summary(self) -> dict[str, Any]:
        """
        Return the task as JSON-safe values without its secrets, for events, XComs and logs.

        :return: every field but ``errorsAndFailedEntriesZip`` and ``clientRequestToken`` under the service's name
            (``importTaskId``, ``status``, ``serverImportFailure``, ...); None for a field that the service did not
            send; times as ISO 8601 strings in UTC.
        """
        values = {
            service_name: getattr(self, name) for name, service_name in _SERVICE_NAMES.items() if name not in _SECRETS
        }
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}

    def serialize(self) -> NoReturn:
        """
        Refuse to be stored as an XCom; Airflow calls this method.

        :raises TypeError: always.
        """
        raise TypeError(
            f"Return the summary() of import task {self.import_task_id} instead of the ImportTask: an XCom would store "
            "its request token and the link to its error archive in clear text."
        )

    def __reduce__(self) -> NoReturn:
        # Airflow 2 can pickle XComs.
        self.serialize()

    @property
    def failed_records(self) -> int:
        """Number of server and application records that failed; one bad row can count as both."""
        failed = (self.server_import_failure or 0) + (self.application_import_failure or 0)
        return max(failed, 1) if statuses.has_failed_records(self.status) else failed

    @property
    def is_listed(self) -> bool:
        """True if the service lists the task, False if only its id is known."""
        return self != ImportTask(import_task_id=self.import_task_id)

    def __str__(self) -> str:
        return self.describe()

    def describe(self, *details: str, with_url: bool = False) -> str:
        """
        Return a log line without its period: status and counts, then details, then file, name and id.

        :param details: what else is to be known at once, such as ``started in us-west-2``.
        :param with_url: True for the URL of the file instead of its name.
        """
        servers = ((self.server_import_success, "imported"), (self.server_import_failure, "failed"))
        applications = ((self.application_import_success, "imported"), (self.application_import_failure, "failed"))
        counts = [f"{count:,} {label}" for count, label in servers if count is not None]
        # Most inventories have no applications.
        counts += [f"{count:,} applications {label}" for count, label in applications if count]
        outcome = ", ".join([*counts, *details])
        url = self.import_url or ""
        file = url if with_url else PurePosixPath(url).name
        names = [*filter(None, [file]), *([] if self.name is None else [repr(self.name)]), self.import_task_id]
        identity = names[0] + (f" ({', '.join(names[1:])})" if names[1:] else "")
        return f"{self.shown_status}: {outcome}. {identity}" if outcome else f"{self.shown_status}: {identity}"

    @property
    def shown_status(self) -> str:
        """The status, or words for a missing one."""
        return self.status or ("no status" if self.is_listed else "not listed")

    @property
    def age(self) -> timedelta | None:
        """Time since the import was requested, in full seconds; None if that time is not known."""
        if self.import_request_time is None:
            return None
        return timedelta(seconds=int((datetime.now(UTC) - self.import_request_time).total_seconds()))


def _service_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


_SERVICE_NAMES = {f.name: _service_name(f.name) for f in dataclasses.fields(ImportTask)}
_TIMES = ("import_request_time", "import_completion_time", "import_deleted_time")
_SECRETS = ("client_request_token", "errors_and_failed_entries_zip")


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
