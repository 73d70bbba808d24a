"""The columns of the Migration Hub import template."""

from __future__ import annotations

__all__ = ["IDENTITY_COLUMNS", "IDENTITY_PAIR", "NUMERIC_COLUMNS", "TEMPLATE_COLUMNS"]

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
