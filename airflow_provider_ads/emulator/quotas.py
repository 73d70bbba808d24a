"""The quotas of imports: records, servers and applications per account, and deletions per day."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from airflow_provider_ads.discovery import limits
from airflow_provider_ads.emulator.import_files import Row, RowError

__all__ = ["DeletionQuota", "Holdings", "Quotas", "apply_quotas"]


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """
    The quotas of a region. The defaults are AWS's quotas.

    :param records: the number of records that it can hold.
    :param servers: the number of servers that it can hold.
    :param applications: the number of applications that it can hold.
    :param servers_per_application: the number of servers that an application can have.
    :param tags_per_server: the number of tags that a server can have.
    """

    records: int = limits.IMPORT_RECORDS_PER_ACCOUNT
    servers: int = limits.IMPORTED_SERVERS_PER_ACCOUNT
    applications: int = limits.APPLICATIONS_PER_ACCOUNT
    servers_per_application: int = limits.SERVERS_PER_APPLICATION
    tags_per_server: int = limits.TAGS_PER_SERVER


class Holdings:
    """
    The servers, applications and tags of the rows that a region holds.

    - A row with a ServerId updates that server:
      https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    - Rows with equal ExternalIds belong to one server, no matter what else differs. Otherwise, the other identity
      columns decide. Every imported row counts as a record again, even if it adds no server:
      https://docs.aws.amazon.com/application-discovery/latest/userguide/view-data.html
    - The emulator's own choices: an application exists while a row that names it is held, and an unknown ServerId is a
      new server.

    :param rows: the rows, in the order in which they were imported.
    :ivar records: the number of rows.
    :ivar servers: the number of servers.
    :ivar servers_of: the servers of each application.
    :ivar tags_of: the tags of each server.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self.records = 0
        self.servers = 0
        self.servers_of: dict[str, set[int]] = {}
        self.tags_of: dict[int, frozenset[str]] = {}
        self._server_by_key: dict[object, int] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Add a row to its server, or to a new one."""
        server = self.server_of(row)
        self.records += 1
        self.servers = max(self.servers, server + 1)
        self._server_by_key |= dict.fromkeys(_keys(row), server)
        self.tags_of[server] = self.tags_of.get(server, frozenset()) | row.tags
        for application in row.applications:
            self.servers_of.setdefault(application, set()).add(server)

    def server_of(self, row: Row) -> int:
        """Return the number of the server that a row belongs to; if it is a new one, the next free number."""
        return next((self._server_by_key[key] for key in _keys(row) if key in self._server_by_key), self.servers)

    def usage(self) -> Quotas:
        """Return the use of each quota; for servers per application and tags per server, that of the largest one."""
        return Quotas(
            records=self.records,
            servers=self.servers,
            applications=len(self.servers_of),
            servers_per_application=max(map(len, self.servers_of.values()), default=0),
            tags_per_server=max(map(len, self.tags_of.values()), default=0),
        )


def apply_quotas(held: Iterable[Row], rows: Sequence[Row], quotas: Quotas) -> tuple[list[Row], str | None]:
    """
    Apply a region's quotas to the rows of an import.

    Deleting an import also deletes what it added to servers that other imports match. The remaining servers are
    therefore counted as if the deleted import had never existed:
    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportData.html

    The quotas are documented per account, without saying if they apply per region. AWS does not document the outcome of
    an import that exceeds a quota of applications or tags. The emulator's own choices: a row that would exceed one
    fails, and the import continues. Each region has its own quotas, and records are checked before servers.

    :param held: the rows that the region holds, in the order in which they were imported.
    :param rows: the rows of the import.
    :param quotas: the quotas.
    :return: the rows of the import, with the errors of those that would exceed a quota of applications or tags; and the
        status of the import if it would exceed the quota of records or servers, otherwise None.
    """
    checked: list[Row] = []
    holdings = Holdings(held)
    for row in rows:
        if not row.errors and (errors := _row_errors(row, holdings, quotas)):
            row = dataclasses.replace(row, errors=errors)
        checked.append(row)
        if not row.errors:
            holdings.add(row)
    if holdings.records > quotas.records:
        return checked, "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"
    return checked, "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED" if holdings.servers > quotas.servers else None


def _keys(row: Row) -> list[object]:
    """Return the keys that identify the server of a row, the strongest first."""
    return [key for key in enumerate((row.server_id, row.external_id, row.identity)) if key[1]]


def _row_errors(row: Row, holdings: Holdings, quotas: Quotas) -> tuple[RowError, ...]:
    """Return the errors of a row that would exceed a quota of applications or tags."""
    errors = []
    applications, server = row.applications, holdings.server_of(row)
    added = applications - holdings.servers_of.keys()
    if added and len(holdings.servers_of) + len(added) > quotas.applications:
        errors.append(
            RowError("Applications", f"The account would have more than {quotas.applications:,} applications.")
        )
    for name in sorted(applications & holdings.servers_of.keys()):
        if len(holdings.servers_of[name] | {server}) > quotas.servers_per_application:
            message = f"The application {name!r} would have more than {quotas.servers_per_application:,} servers."
            errors.append(RowError("Applications", message))
    if len(holdings.tags_of.get(server, frozenset()) | row.tags) > quotas.tags_per_server:
        errors.append(RowError("Tags", f"The server would have more than {quotas.tags_per_server:,} tags."))
    return tuple(errors)


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
        self.records_per_day = records_per_day
        self._day: date | None = None
        self._used = 0

    def use(self, records: int, now: datetime) -> bool:
        """
        Use part of the day's quota, unless it exceeds what remains.

        :param records: the number of records to delete.
        :param now: the time, in UTC.
        :return: True if they can be deleted.
        """
        used = self.used(now)
        if used + records > self.records_per_day:
            return False
        self._day, self._used = now.date(), used + records
        return True

    def used(self, now: datetime) -> int:
        """Return the number of records that were deleted on the day of a time in UTC."""
        return self._used if now.date() == self._day else 0
