"""
The Migration Hub import template: its columns, and what a row must be.

What a page of AWS says is checked, and beyond it only what cannot be meant. So a number must be one, and not below
zero, for it counts or measures something; how large it may be is not documented, so any is taken. The lengths of
fields, and the forms of addresses and names, are not documented either and not checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from operator import itemgetter
from typing import NamedTuple

from airflow_provider_ads.discovery.limits import TAGS_PER_SERVER

__all__ = [
    "IDENTITY_COLUMNS",
    "IDENTITY_PAIR",
    "NUMERIC_COLUMNS",
    "TEMPLATE_COLUMNS",
    "ImportFileError",
    "Problem",
    "check_column_mapping",
    "compile_row_check",
    "compile_selection",
    "quote",
]

#: Columns of which a row needs one at least, unless it has both of :data:`IDENTITY_PAIR`.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
IDENTITY_COLUMNS = ("ExternalId", "IPAddress", "MACAddress", "HostName")

#: Two columns that identify a server together and never alone.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
IDENTITY_PAIR = ("VMware.MoRefId", "VMware.VCenterId")

#: Columns that hold a number.
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


#: What a row needs to have, in words.
_IDENTITY = f"{', '.join(IDENTITY_COLUMNS)}, or {' with '.join(IDENTITY_PAIR)}"

_TAG = r"\s*+[^\s:,\0][^:,\0]*+:\s*+[^\s,\0][^,\0]*+"
_TAGS = rf"(?:{_TAG}(?:,{_TAG}){{0,{TAGS_PER_SERVER - 1}}}+|\s*+)"

# A number may have blanks around it, and may be missing; and minus nothing is not below zero.
_NUMBER = r"\s*+(?:(?:\+|-(?![0.]*[1-9]))?+(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+\s*+)?+"

#: What cells must match, by column.
_RIGHT = {column: re.compile(_NUMBER) for column in NUMERIC_COLUMNS} | {"Tags": re.compile(_TAGS)}

#: What nearly all cells that are right match, in two thirds of the time.
_USUAL = dict.fromkeys(NUMERIC_COLUMNS, r"[0-9]*+(?:\.[0-9]++)?+") | {"Tags": _TAGS}


class ImportFileError(ValueError):
    """A file cannot be prepared for an import: what is wrong with it, where, and what to do next."""


class Problem(NamedTuple):
    """
    What is wrong with a row.

    :param column: the column of the template; empty if the whole row is meant.
    :param reason: a sentence.
    """

    column: str
    reason: str


def check_column_mapping(column_mapping: object) -> dict[str, str | None]:
    """
    Return a column mapping if it can be applied to some file.

    :param column_mapping: the template's columns by the headers that a source has for them, and None by the header
        of a column that is to be left out; None for no mapping.
    :raises ValueError: it is something else, names a column that the template lacks, or names one twice.
    """
    if column_mapping is None:
        return {}
    if not isinstance(column_mapping, Mapping):
        advice = (
            ". A template makes a text of it, unless the Dag has render_template_as_native_obj=True; a task's .output "
            "stays a dict"
            if isinstance(column_mapping, str)
            else ""
        )
        raise ValueError(
            f"column_mapping must be a dict such as {{'Server Name': 'HostName'}}; got {quote(column_mapping)}{advice}"
        )
    headers: dict[str, str] = {}
    for header, column in column_mapping.items():
        if not isinstance(header, str):
            raise ValueError(f"column_mapping must have the source's headers, which are texts; got {quote(header)}")
        if column is None:
            continue
        if column not in TEMPLATE_COLUMNS:
            near = get_close_matches(str(column), TEMPLATE_COLUMNS, 1)
            advice = f"Did you mean {near[0]!r}?" if near else f"Its columns are {', '.join(TEMPLATE_COLUMNS)}."
            raise ValueError(
                f"column_mapping maps {quote(header)} to {quote(column)}, which the import template does not have. "
                f"{advice}"
            )
        if column in headers:
            raise ValueError(
                f"column_mapping maps both {quote(headers[column])} and {quote(header)} to {column!r}. Map one of them."
            )
        headers[column] = header
    return dict(column_mapping)


def compile_row_check(columns: Sequence[str]) -> Callable[[Sequence[str]], Sequence[Problem]]:
    """
    Make the check of all rows that have the same columns.

    An identity, numbers, and tags of the form ``name:value``:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
    As many tags as a server can have:
    https://docs.aws.amazon.com/application-discovery/latest/userguide/ads_service_limits.html

    :param columns: columns of the template, in the order of the rows' cells.
    :return: takes a row's cells, one for each column, and returns what is wrong with them.
    :raises ImportFileError: with these columns no row can have an identity.
    """
    places = {column: place for place, column in enumerate(columns)}
    single = [places[column] for column in IDENTITY_COLUMNS if column in places]
    pair = [places[column] for column in IDENTITY_PAIR if column in places]
    has_pair = len(pair) == len(IDENTITY_PAIR)
    if not single and not has_pair:
        raise ImportFileError(
            f"No column tells which server a row is about: {_IDENTITY}. Name the column that does with column_mapping, "
            "for example {'Server Name': 'HostName'}."
        )
    # All cells in one go, with what is in no cell between them, take half the time of one after the other.
    checked = [column for column in _RIGHT if column in places]
    select = compile_selection([places[column] for column in checked])
    are_usual = re.compile("\0".join(_USUAL[column] for column in checked)).fullmatch

    def find_problems(cells: Sequence[str]) -> list[Problem]:
        problems = []
        has_identity = any(cells[place].strip() for place in single)
        if not has_identity and not (has_pair and all(cells[place].strip() for place in pair)):
            problems.append(Problem("", f"The row needs one of {_IDENTITY}."))
        for column in checked:
            cell = cells[places[column]]
            if not _RIGHT[column].fullmatch(cell):
                reason = _tags_reason(cell) if column == "Tags" else f"{quote(cell)} is not a number of 0 or more."
                problems.append(Problem(column, reason))
        return problems

    def check_row(cells: Sequence[str]) -> Sequence[Problem]:
        for place in single:
            if cells[place].strip():
                return () if not checked or are_usual("\0".join(select(cells))) else find_problems(cells)
        return find_problems(cells)

    return check_row


def compile_selection(places: Sequence[int]) -> Callable[[Sequence[str]], Sequence[str]]:
    """
    Make a function that takes some cells of each row.

    :param places: which, counted from 0.
    :return: takes a row's cells, and returns those.
    """
    if not places:
        return lambda cells: ()
    # With one place, itemgetter would return the cell instead of a row.
    return itemgetter(*places) if len(places) > 1 else itemgetter(slice(places[0], places[0] + 1))


def quote(value: object) -> str:
    """Return what a value looks like in a message: not more than a line of it."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text):,} characters)"


def _tags_reason(cell: str) -> str:
    tags = cell.split(",")
    if len(tags) > TAGS_PER_SERVER:
        return f"There are {len(tags):,} tags; a server can have {TAGS_PER_SERVER}."
    wrong = next(tag for tag in tags if not re.fullmatch(_TAG, tag))
    return f"{quote(wrong.strip())} is not of the form name:value; commas separate tags."
