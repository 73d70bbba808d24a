"""Use of the account's quota of import records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.discovery.limits import IMPORT_RECORDS_PER_ACCOUNT

__all__ = ["RECORD_QUOTA_XCOM_KEY", "RecordQuota"]

#: Key of the XCom with the account's import records before and after a task.
RECORD_QUOTA_XCOM_KEY = "record_quota"


@dataclass(frozen=True)
class RecordQuota:
    """
    Known use of the account's quota of 25,000 import records.

    Every imported row counts as a record, even if it adds no server:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/view-data.html
    Imports whose history was deleted without their data use records too, but it is not known how many.

    :param used: number of records of the imports that the service lists.
    :param running: number of imports in progress, whose records are not known yet.
    """

    used: int
    running: int

    @classmethod
    def from_import_tasks(cls, import_tasks: Iterable[ImportTask]) -> RecordQuota:
        """
        Add up the records of import tasks, except those whose data was deleted.

        :param import_tasks: all import tasks of the account.
        """
        used = running = 0
        for task in import_tasks:
            running += statuses.is_running(task.status)
            if not statuses.is_deleted(task.status):
                used += task.server_import_success or 0
        return cls(used, running)

    def has_room_for(self, rows: int | None) -> bool:
        """
        Return True if the known records leave room for a file.

        :param rows: number of rows in the file; None if it is not known.
        """
        return self.used + (rows or 0) <= IMPORT_RECORDS_PER_ACCOUNT

    def describe(self, rows: int | None) -> str:
        """
        Return a message about the records in use and those that a file needs.

        :param rows: number of rows in the file; None if it is not known.
        """
        quota = f"the account's {IMPORT_RECORDS_PER_ACCOUNT:,} import records"
        need = (
            f"The number of rows in the file is not known. Of {quota}"
            if rows is None
            else f"The file's {rows:,} rows need {rows / IMPORT_RECORDS_PER_ACCOUNT:.1%} of {quota}. Of these"
        )
        running = f"; imports in progress: {self.running:,}" if self.running else ""
        text = f"{need}, the listed imports use {self.used:,} ({self.used / IMPORT_RECORDS_PER_ACCOUNT:.1%}){running}"
        if self.has_room_for(rows):
            return text
        if rows and rows > IMPORT_RECORDS_PER_ACCOUNT:
            return f"Too many rows for one account. {text}. Remove servers that need not be imported"
        return f"Not enough import records are left. {text}. Delete imports first, with AdsDeleteImportDataOperator"
