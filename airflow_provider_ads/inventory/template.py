"""The Migration Hub import template: its columns, and the units of its numbers."""

from __future__ import annotations

from decimal import Decimal

__all__ = [
    "IDENTITY",
    "IDENTITY_COLUMNS",
    "IDENTITY_PAIR",
    "LIST_COLUMNS",
    "MEMORY_COLUMNS",
    "NUMERIC_COLUMNS",
    "PERCENTAGE_COLUMNS",
    "TEMPLATE_COLUMNS",
    "UNITS",
    "ImportFileError",
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

#: Columns that contain a list.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
LIST_COLUMNS = ("IPAddress", "MACAddress", "Applications", "Tags")

#: Columns with an amount of memory in MB.
MEMORY_COLUMNS = tuple(column for column in NUMERIC_COLUMNS if column.startswith("RAM."))

#: Columns with a percentage.
PERCENTAGE_COLUMNS = tuple(column for column in NUMERIC_COLUMNS if "UsagePct" in column)

_BYTES = {"B": -2, "KB": -1, "MB": 0, "GB": 1, "TB": 2, "PB": 3}
_MEMORY = {unit: Decimal(1024) ** power for unit, power in _BYTES.items()}
_RATES = {unit: Decimal(1024) ** (power + 1) for unit, power in _BYTES.items()}
_PERCENTAGES = {"%": Decimal(1), "fraction": Decimal(100)}

#: Units by column and name, each with the number of the column's own units, which is the one with 1.
UNITS: dict[str, dict[str, Decimal]] = {
    **dict.fromkeys(MEMORY_COLUMNS, _MEMORY),
    **{column: _RATES for column in NUMERIC_COLUMNS if "PerSecondInKB" in column},
    **dict.fromkeys(PERCENTAGE_COLUMNS, _PERCENTAGES),
}


class ImportFileError(ValueError):
    """A file cannot be prepared; the message contains the problem, its place, and what to do next."""


#: The columns that identify a server, for messages.
IDENTITY = f"{', '.join(IDENTITY_COLUMNS)}, or {' with '.join(IDENTITY_PAIR)}"
