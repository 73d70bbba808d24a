"""The quotas of imports: the records and servers that they use up, and the deletions of a day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from airflow_provider_ads.emulator.import_rows import Row

__all__ = ["DeletionQuota", "exceeded_quota"]


def exceeded_quota(rows: Sequence[Row], *, record_quota: int, server_quota: int) -> str | None:
    """
    Tell which quota a region would exceed if it held these rows of its imports.

    A row with a ServerId updates that server:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    Equal ExternalIds are one server whatever else differs; otherwise the other identity columns decide:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/view-data.html
    Every imported row counts as a record again, also if it adds no server (the same page).
    What a deleted import brought to servers that others match is deleted too:
    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportData.html
    So the servers are counted as if it had never been: one that another import has a row of is left.
    The quotas are documented per account, not saying whether each region has its own: that it has is the
    emulator's own choice, and so are the order in which they are checked and that a ServerId which no import
    brought is a new server.

    :param rows: rows without errors, in the order they were imported.
    :param record_quota: records that the region may hold.
    :param server_quota: servers that the region may hold.
    :return: None, or the status of the import that would exceed a quota.
    """
    if len(rows) > record_quota:
        return "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"
    servers = 0
    server_by_key: dict[object, int] = {}
    for row in rows:
        keys = [key for key in enumerate((row.server_id, row.external_id, row.identity)) if key[1]]
        known = next((server_by_key[key] for key in keys if key in server_by_key), None)
        if known is None:
            known = servers
            servers += 1
        server_by_key |= dict.fromkeys(keys, known)
    return "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED" if servers > server_quota else None


class DeletionQuota:
    """
    How many import records may be deleted in one region a day, from 00:00 UTC on.

    https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html
    The page told when a day begins in 2019: ``doc_source/ads_service_limits.md`` in
    https://github.com/awsdocs/amazon-application-discovery-user-guide at commit 9c91036.
    That each region has its own is the emulator's own choice.

    :param records_per_day: records that may be deleted in a day.
    """

    def __init__(self, records_per_day: int) -> None:
        self._records_per_day = records_per_day
        self._day: date | None = None
        self._left = 0

    def take(self, records: int, now: datetime) -> bool:
        """
        Use up a part of the day's deletions, if as much is left.

        :param records: number of records to delete.
        :param now: the time, in UTC.
        :return: whether they may be deleted.
        """
        if now.date() != self._day:
            self._day, self._left = now.date(), self._records_per_day
        if records > self._left:
            return False
        self._left -= records
        return True
