"""The quotas of records and servers that imports use up."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_ads.emulator.import_rows import Row

__all__ = ["ImportQuotas"]


class ImportQuotas:
    """
    What was imported into one region, and how much may be.

    A row with a ServerId updates that server:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    Equal ExternalIds are one server whatever else differs; otherwise the other identity columns decide:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/view-data.html
    Every imported row counts as a record again, also if it adds no server (the same page).
    The quotas are documented per account, not saying whether each region has its own: that it has is the
    emulator's own choice, and so are the order in which they are checked and that a ServerId which no import
    brought is a new server.

    :param record_quota: records that the region may hold.
    :param server_quota: servers that the region may hold.
    """

    def __init__(self, record_quota: int, server_quota: int) -> None:
        self._record_quota = record_quota
        self._server_quota = server_quota
        self._records = 0
        self._servers = 0
        self._server_by_key: dict[object, int] = {}

    def add(self, rows: Iterable[Row]) -> str | None:
        """
        Add the rows of one import, all of them or none.

        :param rows: rows without errors.
        :return: None, or the status of the import that would exceed a quota.
        """
        records = self._records
        servers = self._servers
        server_by_key = dict(self._server_by_key)
        for row in rows:
            records += 1
            keys = [key for key in enumerate((row.server_id, row.external_id, row.identity)) if key[1]]
            known = next((server_by_key[key] for key in keys if key in server_by_key), None)
            if known is None:
                known = servers
                servers += 1
            server_by_key |= dict.fromkeys(keys, known)
        if records > self._record_quota:
            return "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"
        if servers > self._server_quota:
            return "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED"
        self._records, self._servers, self._server_by_key = records, servers, server_by_key
        return None
