"""The quotas of imports: records and servers per account, and deletions per day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from airflow_provider_ads.emulator.import_files import Row

__all__ = ["DeletionQuota", "exceeded_quota"]


def exceeded_quota(rows: Sequence[Row], *, record_quota: int, server_quota: int) -> str | None:
    """
    Return the import status for the quota that a region's imported rows exceed.

    - A row with a ServerId updates that server:
      https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    - Rows with equal ExternalIds belong to one server, whatever else differs. Otherwise, the other identity columns
      decide. Every imported row counts as a record again, even if it adds no server:
      https://docs.aws.amazon.com/application-discovery/latest/userguide/view-data.html
    - Deleting an import also deletes what it added to servers that other imports match. The remaining servers are
      therefore counted as if the deleted import had never existed:
      https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportData.html

    The quotas are documented per account, without saying if they apply per region. The emulator's own choices:
    each region has its own quotas, records are checked before servers, and an unknown ServerId is a new server.

    :param rows: rows without errors, in the order in which they were imported.
    :param record_quota: the number of records that the region can hold.
    :param server_quota: the number of servers that the region can hold.
    :return: the status of an import that exceeds a quota, or None.
    """
    if len(rows) > record_quota:
        return "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"
    servers = 0
    server_by_key: dict[object, int] = {}
    for row in rows:
        keys = [key for key in enumerate((row.server_id, row.external_id, row.identity)) if key[1]]
        server = next((server_by_key[key] for key in keys if key in server_by_key), None)
        if server is None:
            server = servers
            servers += 1
        server_by_key |= dict.fromkeys(keys, server)
    return "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED" if servers > server_quota else None


class DeletionQuota:
    """
    The number of import records that can be deleted in one region per day.

    https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html
    In 2019 that page stated that a day begins at 00:00 UTC: ``doc_source/ads_service_limits.md`` in
    https://github.com/awsdocs/amazon-application-discovery-user-guide at commit 9c91036.
    A separate quota for each region is the emulator's own choice.

    :param records_per_day: the number of records.
    """

    def __init__(self, records_per_day: int) -> None:
        self._records_per_day = records_per_day
        self._day: date | None = None
        self._remaining = 0

    def use(self, records: int, now: datetime) -> bool:
        """
        Use part of the day's quota, unless it exceeds what remains.

        :param records: the number of records to delete.
        :param now: the time, in UTC.
        :return: True if they can be deleted.
        """
        if now.date() != self._day:
            self._day, self._remaining = now.date(), self._records_per_day
        if records > self._remaining:
            return False
        self._remaining -= records
        return True
