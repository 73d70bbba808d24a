"""The quotas of imports: records, servers and applications per account, and deletions per day."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from airflow_provider_ads.discovery import limits
from airflow_provider_ads.emulator.import_files import Row, RowError

__all__ = ["DeletionQuota", "Quotas", "apply_quotas"]


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


def apply_quotas(held: Sequence[Row], rows: Sequence[Row], quotas: Quotas) -> tuple[list[Row], str | None]:
    """
    Apply a region's quotas to the rows of an import.

    - A row with a ServerId updates that server:
      https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    - Rows with equal ExternalIds belong to one server, whatever else differs. Otherwise, the other identity columns
      decide. Every imported row counts as a record again, even if it adds no server:
      https://docs.aws.amazon.com/application-discovery/latest/userguide/view-data.html
    - Deleting an import also deletes what it added to servers that other imports match. The remaining servers are
      therefore counted as if the deleted import had never existed:
      https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_BatchDeleteImportData.html

    The quotas are documented per account, without saying if they apply per region. AWS does not document the outcome of
    an import that exceeds a quota of applications or tags. The emulator's own choices: a row that would exceed one
    fails, the import continues, and an application exists while a row that names it is held. Each region has its own
    quotas, records are checked before servers, and an unknown ServerId is a new server.

    :param held: the rows that the region holds, in the order in which they were imported.
    :param rows: the rows of the import.
    :param quotas: the quotas.
    :return: the rows of the import, with the errors of those that would exceed a quota of applications or tags; and the
        status of the import if it would exceed the quota of records or servers, otherwise None.
    """
    checked: list[Row] = []
    servers = 0
    server_by_key: dict[object, int] = {}
    servers_of: dict[str, set[int]] = {}
    tags_of: dict[int, frozenset[str]] = defaultdict(frozenset)
    for number, row in enumerate((*held, *rows)):
        keys = [key for key in enumerate((row.server_id, row.external_id, row.identity)) if key[1]]
        server = next((server_by_key[key] for key in keys if key in server_by_key), servers)
        applications, tags = row.applications, row.tags | tags_of[server]
        if number >= len(held):
            if not row.errors:
                row = dataclasses.replace(row, errors=_row_errors(applications, server, servers_of, tags, quotas))
            checked.append(row)
            if row.errors:
                continue
        servers = max(servers, server + 1)
        server_by_key |= dict.fromkeys(keys, server)
        tags_of[server] = tags
        for application in applications:
            servers_of.setdefault(application, set()).add(server)
    if len(held) + sum(not row.errors for row in checked) > quotas.records:
        return checked, "IMPORT_FAILED_RECORD_LIMIT_EXCEEDED"
    return checked, "IMPORT_FAILED_SERVER_LIMIT_EXCEEDED" if servers > quotas.servers else None


def _row_errors(
    applications: frozenset[str], server: int, servers_of: dict[str, set[int]], tags: frozenset[str], quotas: Quotas
) -> tuple[RowError, ...]:
    """Return the errors of a row that would exceed a quota of applications or tags."""
    errors = []
    added = applications - servers_of.keys()
    if added and len(servers_of) + len(added) > quotas.applications:
        errors.append(
            RowError("Applications", f"The account would have more than {quotas.applications:,} applications.")
        )
    for name in sorted(applications & servers_of.keys()):
        if len(servers_of[name] | {server}) > quotas.servers_per_application:
            message = f"The application {name!r} would have more than {quotas.servers_per_application:,} servers."
            errors.append(RowError("Applications", message))
    if len(tags) > quotas.tags_per_server:
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
