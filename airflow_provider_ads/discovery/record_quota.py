"""How much of the account's import records is used up, as far as its import tasks tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airflow_provider_ads.discovery.import_task import IMPORT_RUNNING_STATUSES, ImportTask
from airflow_provider_ads.discovery.limits import IMPORT_RECORDS_PER_ACCOUNT

__all__ = ["RecordQuota"]


@dataclass(frozen=True)
class RecordQuota:
    """
    What the account's 25,000 import records are used for.

    Every row that is imported counts as a record, also if it adds no server:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/view-data.html
    Those of imports whose history was deleted without their data cannot be known.

    :param used: records of the imports that are listed.
    :param running: how many of these are in progress, so that their records are not known yet.
    """

    used: int
    running: int

    @classmethod
    def of(cls, import_tasks: Iterable[ImportTask]) -> RecordQuota:
        """Add up the imports of an account, other than those that are deleted."""
        used = running = 0
        for task in import_tasks:
            running += task.status in IMPORT_RUNNING_STATUSES
            if task.status != "DELETE_COMPLETE":
                used += task.server_import_success or 0
        return cls(used, running)

    def has_room_for(self, rows: int | None) -> bool:
        """Whether so many rows can be imported, as far as is known; None if their number is not."""
        return self.used + (rows or 0) <= IMPORT_RECORDS_PER_ACCOUNT

    def describe(self, rows: int | None) -> str:
        """Say what so many rows will use up of it, and what to do if it is too much."""
        need = (
            "How many the file will use is not known"
            if rows is None
            else f"The file's {rows:,} rows will use {rows / IMPORT_RECORDS_PER_ACCOUNT:.1%}"
        )
        running = f", and {self.running:,} more are in progress" if self.running else ""
        text = (
            f"Of the account's {IMPORT_RECORDS_PER_ACCOUNT:,} import records, the imports that are listed hold "
            f"{self.used:,} ({self.used / IMPORT_RECORDS_PER_ACCOUNT:.1%}){running}. {need}"
        )
        if self.has_room_for(rows):
            return text
        if rows and rows > IMPORT_RECORDS_PER_ACCOUNT:
            return f"{text}. They are too many for one account: leave out servers that need not be imported"
        return f"{text}. There is no room for both: delete imports first, with AdsDeleteImportDataOperator"
