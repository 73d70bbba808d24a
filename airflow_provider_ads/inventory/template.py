"""
The Migration Hub import template: its columns, and the check of its rows.

The check enforces AWS's documented rules, and otherwise refuses only values that cannot be intended. Numbers must not
be negative, because each counts or measures something; their maximum is not documented, so there is none here. AWS
does not document how long cells can be, or the form of addresses and names, so these are not checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import NamedTuple

from airflow_provider_ads.discovery.limits import TAGS_PER_SERVER
from airflow_provider_ads.discovery.parameters import quote

__all__ = [
    "IDENTITY_COLUMNS",
    "IDENTITY_PAIR",
    "NUMERIC_COLUMNS",
    "TEMPLATE_COLUMNS",
    "ImportFileError",
    "Problem",
    "compile_row_check",
    "select_cells",
]

#: Columns that each identify a server. A row needs at least one of them, or both of :data:`IDENTITY_PAIR`.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
IDENTITY_COLUMNS = ("ExternalId", "IPAddress", "MACAddress", "HostName")

#: Two columns that identify a server together, but not on their own.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
IDENTITY_PAIR = ("VMware.MoRefId", "VMware.VCenterId")

#: Columns that contain a number.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
NUMERIC_COLUMNS = (
    "CPU.NumberOfProcessors",
    "CPU.NumberOfCores",
    "CPU.NumberOfLogicalCores",
    "RAM.TotalSizeInMB",
    "RAM.UsedSizeInMB.Avg",
    "RAM.UsedSizeInMB.Max",
    "CPU.UsagePct.Avg",
    "CPU.UsagePct.Max",
    "DiskReadsPerSecondInKB.Avg",
    "DiskWritesPerSecondInKB.Avg",
    "DiskReadsPerSecondInKB.Max",
    "DiskWritesPerSecondInKB.Max",
    "DiskReadsOpsPerSecond.Avg",
    "DiskWritesOpsPerSecond.Avg",
    "DiskReadsOpsPerSecond.Max",
    "DiskWritesOpsPerSecond.Max",
    "NetworkReadsPerSecondInKB.Avg",
    "NetworkWritesPerSecondInKB.Avg",
    "NetworkReadsPerSecondInKB.Max",
    "NetworkWritesPerSecondInKB.Max",
)

#: Every column of the template, in the order of the documentation's table.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
TEMPLATE_COLUMNS = (
    "ExternalId",
    "SMBiosId",
    "IPAddress",
    "MACAddress",
    "HostName",
    *IDENTITY_PAIR,
    *NUMERIC_COLUMNS[:3],
    "OS.Name",
    "OS.Version",
    "VMware.VMName",
    *NUMERIC_COLUMNS[3:],
    "Applications",
    "ApplicationWave",
    "Tags",
    "ServerId",
)

#: The columns that identify a server, for messages.
_IDENTITY = f"{', '.join(IDENTITY_COLUMNS)}, or {' with '.join(IDENTITY_PAIR)}"

_TAG = r"\s*+[^\s:,\0][^:,\0]*+:\s*+[^\s,\0][^,\0]*+"
_TAGS = rf"(?:{_TAG}(?:,{_TAG}){{0,{TAGS_PER_SERVER - 1}}}+|\s*+)"

# Whitespace around a number, an empty cell and a negative zero are valid.
_NUMBER = r"\s*+(?:(?:\+|-(?![0.]*[1-9]))?+(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+\s*+)?+"

#: Patterns of valid cells by column.
_VALID = {column: re.compile(_NUMBER) for column in NUMERIC_COLUMNS} | {"Tags": re.compile(_TAGS)}

#: Patterns that nearly all valid cells match, and that take a third less time.
_COMMON = dict.fromkeys(NUMERIC_COLUMNS, r"[0-9]*+(?:\.[0-9]++)?+") | {"Tags": _TAGS}


class ImportFileError(ValueError):
    """A file cannot be prepared; the message says what is wrong, where, and what to do next."""


class Problem(NamedTuple):
    """
    The reason why a row cannot be imported.

    :param column: the template column; empty if the problem concerns the whole row.
    :param reason: the reason as a sentence.
    """

    column: str
    reason: str


def compile_row_check(columns: Sequence[str]) -> Callable[[Sequence[str]], Sequence[Problem]]:
    """
    Return a function that checks the rows of a file.

    A row must identify a server, its numbers must be numbers, and its tags must have the form ``name:value``:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    The number of tags is limited:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html

    :param columns: the file's template columns, in the order of the cells.
    :return: a function that accepts a row's cells, one for each column, and returns the row's problems.
    :raises ImportFileError: no row with these columns can identify a server.
    """
    places = {column: place for place, column in enumerate(columns)}
    single = [places[column] for column in IDENTITY_COLUMNS if column in places]
    pair = [places[column] for column in IDENTITY_PAIR if column in places]
    has_pair = len(pair) == len(IDENTITY_PAIR)
    if not single and not has_pair:
        raise ImportFileError(
            f"No column identifies the servers. A file needs {_IDENTITY}. Map the column that identifies them with "
            "column_mapping, for example {'Server Name': 'HostName'}."
        )
    # Joined with a character that no cell contains and matched in one call, the cells take half the time.
    checked = [column for column in _VALID if column in places]
    select = select_cells([places[column] for column in checked])
    are_common = re.compile("\0".join(_COMMON[column] for column in checked)).fullmatch

    def find_problems(cells: Sequence[str]) -> list[Problem]:
        problems = []
        has_identity = any(cells[place].strip() for place in single)
        if not has_identity and not (has_pair and all(cells[place].strip() for place in pair)):
            problems.append(Problem("", f"The row needs one of {_IDENTITY}."))
        for column in checked:
            cell = cells[places[column]]
            if not _VALID[column].fullmatch(cell):
                reason = _tags_reason(cell) if column == "Tags" else f"{quote(cell)} is not a number of 0 or more."
                problems.append(Problem(column, reason))
        return problems

    def check_row(cells: Sequence[str]) -> Sequence[Problem]:
        for place in single:
            if cells[place].strip():
                return () if not checked or are_common("\0".join(select(cells))) else find_problems(cells)
        return find_problems(cells)

    return check_row


def select_cells(places: Sequence[int]) -> Callable[[Sequence[str]], Sequence[str]]:
    """Return a function that returns the cells at these indices of a row."""
    if not places:
        return lambda cells: ()
    # With a single index, itemgetter would return the cell itself instead of a sequence.
    return itemgetter(*places) if len(places) > 1 else itemgetter(slice(places[0], places[0] + 1))


def _tags_reason(cell: str) -> str:
    tags = cell.split(",")
    if len(tags) > TAGS_PER_SERVER:
        return f"The server has {len(tags):,} tags; the maximum is {TAGS_PER_SERVER}."
    wrong = next(tag for tag in tags if not re.fullmatch(_TAG, tag))
    return f"{quote(wrong.strip())} does not have the form name:value. Commas separate tags."
