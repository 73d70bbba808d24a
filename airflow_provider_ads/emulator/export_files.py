"""
The files of exports: a summary of the imported servers, and EC2 instance recommendations for them.

AWS documents the names of the files, and the header of the recommendations is that of a real export. Everything else is
the emulator's own choice:

- The headers of the other files, and their values.
- Each server has one row in ``_Server.csv`` and in the recommendations, with the newest value of each column that any
  of its records has.
- A server's id is ``d-server-`` and 14 characters, derived from its identity, so every export contains the same one.
- An instance is the smallest of a short list that has enough vCPUs and memory. Prices are invented.
- A server without a number of CPUs or an amount of memory has no recommendation, only a remark.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from botocore.loaders import Loader

from airflow_provider_ads.emulator.import_files import VINFO_COLUMNS, Row
from airflow_provider_ads.emulator.quotas import Holdings
from airflow_provider_ads.inventory.template import NUMERIC_COLUMNS, TEMPLATE_COLUMNS

__all__ = ["RECOMMENDATION_COLUMNS", "make_recommendations", "make_summary"]

#: The account, which is that of moto.
_ACCOUNT = "123456789012"

#: The columns of a template that describe a server in the recommendations, after the groups with other columns.
_USAGE_COLUMNS = (
    "CPU.UsagePct.Avg",
    "CPU.UsagePct.Max",
    "RAM.UsedSizeInMB.Avg",
    "RAM.UsedSizeInMB.Max",
    "RAM.UsagePct.Avg",
    "RAM.UsagePct.Max",
    "NumberOfDisks",
    "DiskReadsPerSecondInKB.Avg",
    "DiskWritesPerSecondInKB.Avg",
    "DiskReadsPerSecondInKB.Max",
    "DiskWritesPerSecondInKB.Max",
    "DiskReadOpsPerSecond.Avg",
    "DiskWriteOpsPerSecond.Avg",
    "DiskReadOpsPerSecond.Max",
    "DiskWriteOpsPerSecond.Max",
    "NetworkReadsPerSecondInKB.Avg",
    "NetworkWritesPerSecondInKB.Avg",
    "NetworkReadsPerSecondInKB.Max",
    "NetworkWritesPerSecondInKB.Max",
)

#: The header of the recommendations, as in a real export:
#: ``EC2InstanceRecommendations-DirectMatch-2021-07-04-05-45.csv`` in https://github.com/t-tkm/aws-ads-post. The table
#: in https://docs.aws.amazon.com/migrationhub/latest/ug/understanding-ec2-recommendations.html spells three of them
#: differently.
RECOMMENDATION_COLUMNS = (
    "ServerId",
    "Server.ExternalId",
    "Server.HostName",
    "Server.VMware.VMname",
    "Recommendation.EC2.Remarks",
    "Server.OS.Name",
    "Server.OS.Version",
    "Server.CPU.NumberOfProcessors",
    "Server.CPU.NumberOfCores",
    "Server.CPU.NumberOfLogicalCores",
    "Recommendation.EC2.RequestedCPU.UsagePct",
    "Recommendation.EC2.RequestedvCPU",
    "Server.RAM.TotalSizeInMB",
    "Recommendation.EC2.RequestedRAM.UsagePct",
    "Recommendation.EC2.RequestedRAMinMB",
    "Recommendation.EC2.Instance.Model",
    "Recommendation.EC2.Instance.vCPUCount",
    "Recommendation.EC2.Instance.RAM.TotalSizeinMB",
    "Recommendation.EC2.Instance.Price.UpfrontCost",
    "Recommendation.EC2.Instance.Price.HourlyRate",
    "Recommendation.EC2.Instance.Price.AmortizedHourlyRate",
    "Recommendation.EC2.Instance.Price.EffectiveDate.UTC",
    "Recommendation.EC2.Instance.OSType",
    "UserPreference.Recommendation.CPUSizing",
    "UserPreference.Recommendation.RAMSizing",
    "UserPreference.Region",
    "UserPreference.EC2.Tenancy",
    "UserPreference.EC2.PricingModel",
    "UserPreference.EC2.PricingModel.ContractTerm",
    "UserPreference.EC2.PricingModel.Payment",
    "UserPreference.EC2.ExcludedInstances",
    "Applications",
    "Tags",
    "Server.SMBiosId",
    "Server.VMware.MoRefId",
    "Server.VMware.VCenterId",
    "Server.VMware.vCenterName",
    "Server.VMware.vmFolderPath",
    *(f"Server.{column}" for column in _USAGE_COLUMNS),
)

#: Columns of the recommendations whose names differ from the template's.
_TEMPLATE_NAMES = {
    "Server.VMware.VMname": "VMware.VMName",
    **{
        f"Server.Disk{kind}OpsPerSecond.{value}": f"Disk{kind}sOpsPerSecond.{value}"
        for kind in ("Read", "Write")
        for value in ("Avg", "Max")
    },
}

_SIZINGS = {"SPEC": "Specification", "AVG": "Average", "MAX": "Maximum"}
_TERMS = {"ONE_YEAR": "1 year", "THREE_YEAR": "3 years"}


class _Instance(NamedTuple):
    model: str
    vcpus: int
    memory_mb: int

    @property
    def hourly_rate(self) -> float:
        """An invented price in US dollars."""
        return 0.03 * self.vcpus + 0.004 * self.memory_mb / 1024


#: The instances that can be recommended, from the smallest.
_INSTANCES = sorted(
    (
        _Instance(f"{family}.{size}", vcpus, vcpus * mb_per_vcpu)
        for family, mb_per_vcpu in (("c6i", 2048), ("m6i", 4096), ("r6i", 8192))
        for size, vcpus in (
            ("large", 2),
            ("xlarge", 4),
            ("2xlarge", 8),
            ("4xlarge", 16),
            ("8xlarge", 32),
            ("32xlarge", 128),
        )
    ),
    key=lambda each: each.hourly_rate,
)


@dataclass(frozen=True)
class _Server:
    """
    A server of the account.

    :param id: its id.
    :param cells: its values by template column.
    """

    id: str
    cells: Mapping[str, str]

    def items(self, column: str) -> list[str]:
        """Return the items of a list column."""
        return [item.strip() for item in self.cells.get(column, "").split(",") if item.strip()]

    def number(self, *columns: str) -> float | None:
        """Return the number in the first of these columns that has one."""
        for column in columns:
            try:
                return float(self.cells.get(column, "").replace(",", ""))
            except ValueError:
                continue
        return None


def make_summary(rows: Iterable[Row]) -> bytes:
    """
    Create the archive of a summary, whose files are named after the account.

    https://docs.aws.amazon.com/application-discovery/latest/userguide/export-data.html

    :param rows: the records that the region holds, in the order in which they were imported.
    :return: the archive, a ZIP file.
    """
    servers = _servers(rows)
    members: dict[str, list[str]] = {}
    for server in servers:
        for name in dict.fromkeys(server.items("Applications")):
            members.setdefault(name, []).append(server.id)
    tags = [(server.id, *map(str.strip, tag.partition(":")[::2])) for server in servers for tag in server.items("Tags")]
    interfaces = [
        (server.id, address, mac)
        for server in servers
        for address, mac in _pairs(server.items("IPAddress"), server.items("MACAddress"))
    ]
    vmware = ("VMware.VMName", "VMware.MoRefId", "VMware.VCenterId")
    files: dict[str, tuple[Sequence[str], Iterable[Sequence[Any]]]] = {
        "Application": (
            ("Id", "name", "description", "serverCount"),
            [(_id("d-application-", name), name, "", len(ids)) for name, ids in members.items()],
        ),
        "ApplicationResourceAssociation": (
            ("configId", "applicationConfigurationId"),
            [(id_, _id("d-application-", name)) for name, ids in members.items() for id_ in ids],
        ),
        # This file can be imported again. The last column is the ServerId.
        "ImportTemplate": (
            TEMPLATE_COLUMNS,
            [[*_values(server, TEMPLATE_COLUMNS[:-1]), server.id] for server in servers],
        ),
        "NetworkInterface": (("serverId", "ipAddress", "macAddress"), interfaces),
        "Server": (
            ("serverId", "externalId", "hostName", "osName", "osVersion"),
            [(server.id, *_values(server, ("ExternalId", "HostName", "OS.Name", "OS.Version"))) for server in servers],
        ),
        "SystemPerformance": (
            ("serverId", *NUMERIC_COLUMNS),
            [(server.id, *_values(server, NUMERIC_COLUMNS)) for server in servers],
        ),
        "Tags": (("serverId", "key", "value"), tags),
        "VMwareInfo": (
            ("serverId", "vmName", "moRefId", "vCenterId"),
            [(server.id, *_values(server, vmware)) for server in servers if any(_values(server, vmware))],
        ),
    }
    return _archive({f"{_ACCOUNT}_{name}.csv": _csv(header, lines) for name, (header, lines) in files.items()})


def make_recommendations(rows: Iterable[Row], preferences: Mapping[str, Any], home_region: str) -> bytes:
    """
    Create the archive of EC2 instance recommendations.

    https://docs.aws.amazon.com/migrationhub/latest/ug/generating-ec2-recommendations.html

    :param rows: the records that the region holds, in the order in which they were imported.
    :param preferences: the ``ec2RecommendationsPreferences`` of the request.
    :param home_region: the region for which instances are recommended unless the preferences name one.
    :return: the archive, a ZIP file.
    """
    now = datetime.now(UTC)
    preferences = {"preferredRegion": home_region, **preferences}
    adjusted = [preferences.get(f"{each}PerformanceMetricBasis", {}) for each in ("cpu", "ram")]
    is_direct = all(
        each.get("name", "SPEC") == "SPEC" and each.get("percentageAdjust", 100) == 100 for each in adjusted
    )
    name = f"{'DirectMatch' if is_direct else 'CustomMatch'}-{now:%Y-%m-%d-%H-%M}.csv"
    recommended = [_recommend(server, preferences, now) for server in _servers(rows)]
    inventory = [
        (_ACCOUNT, preferences["preferredRegion"], row["ServerId"], row.get("Recommendation.EC2.Instance.Model", ""))
        for row in recommended
    ]
    return _archive(
        {
            f"EC2InstanceRecommendations-{name}": _csv(
                RECOMMENDATION_COLUMNS, [[row.get(each, "") for each in RECOMMENDATION_COLUMNS] for row in recommended]
            ),
            f"MgnInventory-{name}": _csv(
                ("mgn:account-id", "mgn:region", "mgn:server:user-provided-id", "mgn:launch:instance-type"), inventory
            ),
        }
    )


def _recommend(server: _Server, preferences: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return a row of the recommendations by column; columns that it lacks are empty."""
    row: dict[str, Any] = {
        column: server.cells.get(_TEMPLATE_NAMES.get(column, column.removeprefix("Server.")), "")
        for column in RECOMMENDATION_COLUMNS
        if column.startswith("Server.") or column in ("Applications", "Tags")
    }
    cpu = preferences.get("cpuPerformanceMetricBasis", {})
    ram = preferences.get("ramPerformanceMetricBasis", {})
    reserved = preferences.get("reservedInstanceOptions", {})
    excluded = preferences.get("excludedInstanceTypes", [])
    remark, os_type = _os_type(server.cells.get("OS.Name", ""))
    total_mb = server.number("RAM.TotalSizeInMB")
    used_mb = server.number(f"RAM.UsedSizeInMB.{_metric(ram)}")
    cpus, cpu_pct = _requested(
        server.number("CPU.NumberOfLogicalCores", "CPU.NumberOfCores", "CPU.NumberOfProcessors"),
        server.number(f"CPU.UsagePct.{_metric(cpu)}"),
        cpu,
    )
    memory, ram_pct = _requested(total_mb, used_mb and total_mb and 100 * used_mb / total_mb, ram)
    row |= {
        "ServerId": server.id,
        "Recommendation.EC2.RequestedCPU.UsagePct": cpu_pct,
        "Recommendation.EC2.RequestedvCPU": "" if cpus is None else cpus,
        "Recommendation.EC2.RequestedRAM.UsagePct": ram_pct,
        "Recommendation.EC2.RequestedRAMinMB": "" if memory is None else memory,
        "Recommendation.EC2.Instance.OSType": os_type,
        "UserPreference.Recommendation.CPUSizing": _sizing(cpu),
        "UserPreference.Recommendation.RAMSizing": _sizing(ram),
        "UserPreference.Region": _region_name(preferences["preferredRegion"]),
        "UserPreference.EC2.Tenancy": preferences.get("tenancy", "SHARED"),
        "UserPreference.EC2.PricingModel": f"Reserved {reserved['offeringClass']}" if reserved else "On-Demand",
        "UserPreference.EC2.PricingModel.ContractTerm": _TERMS[reserved["termLength"]] if reserved else "",
        "UserPreference.EC2.PricingModel.Payment": reserved.get("purchasingOption", ""),
        "UserPreference.EC2.ExcludedInstances": ",".join(excluded),
    }
    if cpus is None or memory is None:
        return row | {"Recommendation.EC2.Remarks": "The number of CPUs or the amount of memory is not known."}
    instance = next(
        (
            each
            for each in _INSTANCES
            if each.vcpus >= cpus
            and each.memory_mb >= memory
            and not {each.model, each.model.partition(".")[0]} & set(excluded)
        ),
        None,
    )
    if instance is None:
        return row | {"Recommendation.EC2.Remarks": "No instance type is large enough."}
    rate = f"{instance.hourly_rate:.4f}"
    return row | {
        "Recommendation.EC2.Remarks": remark,
        "Recommendation.EC2.Instance.Model": instance.model,
        "Recommendation.EC2.Instance.vCPUCount": instance.vcpus,
        "Recommendation.EC2.Instance.RAM.TotalSizeinMB": instance.memory_mb,
        "Recommendation.EC2.Instance.Price.UpfrontCost": "0.0",
        "Recommendation.EC2.Instance.Price.HourlyRate": rate,
        "Recommendation.EC2.Instance.Price.AmortizedHourlyRate": rate,
        "Recommendation.EC2.Instance.Price.EffectiveDate.UTC": f"{now:%Y-%m-%d}",
    }


def _metric(basis: Mapping[str, Any]) -> str:
    return {"AVG": "Avg", "MAX": "Max"}.get(basis.get("name", "SPEC"), "")


def _requested(
    total: float | None, usage_pct: float | None, basis: Mapping[str, Any]
) -> tuple[float | None, float | str]:
    """
    Return the requested amount, and the percentage of the total that it is.

    The specification counts if the metric is unknown, as percentiles of imported servers are. ``percentageAdjust`` is
    the percentage of the metric that is requested:
    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_UsageMetricBasis.html
    """
    if total is None:
        return None, ""
    percentage = (100.0 if usage_pct is None else usage_pct) * basis.get("percentageAdjust", 100.0) / 100
    return round(total * percentage / 100, 2), round(percentage, 2)


def _sizing(basis: Mapping[str, Any]) -> str:
    name: str = basis.get("name", "SPEC")
    return _SIZINGS.get(name, name)


def _os_type(name: str) -> tuple[str, str]:
    """
    Return a remark and the type of an operating system.

    One that EC2 does not support counts as Linux, with a remark:
    https://docs.aws.amazon.com/migrationhub/latest/ug/understanding-ec2-recommendations.html
    """
    folded = name.casefold()
    for part, os_type in (("windows", "Windows"), ("red hat", "RHEL"), ("rhel", "RHEL"), ("suse", "SUSE")):
        if part in folded:
            return "", os_type
    is_linux = any(part in folded for part in ("linux", "ubuntu", "debian", "centos", "fedora"))
    return ("" if is_linux else "The operating system is not supported or not known, so Linux is assumed."), "Linux"


def _servers(rows: Iterable[Row]) -> list[_Server]:
    """Return the servers that the records describe, in the order in which they were first imported."""
    holdings = Holdings(())
    ids: list[str] = []
    cells: list[dict[str, str]] = []
    for row in rows:
        number = holdings.server_of(row)
        holdings.add(row)
        if number == len(cells):
            cells.append({})
            ids.append(row.server_id or _id("d-server-", repr((row.external_id, row.identity))))
        cells[number] |= {VINFO_COLUMNS.get(name, name): value for name, value in row.cells.items() if value}
    return [_Server(*each) for each in zip(ids, cells, strict=True)]


def _id(prefix: str, key: str) -> str:
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:10])
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return prefix + "".join(digits[number // 36**place % 36] for place in range(14))


def _values(server: _Server, columns: Sequence[str]) -> list[str]:
    return [server.cells.get(column, "") for column in columns]


def _pairs(addresses: Sequence[str], macs: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Pair the first address with the first MAC address, and so on; the rest are empty."""
    for index in range(max(len(addresses), len(macs))):
        yield "".join(addresses[index : index + 1]), "".join(macs[index : index + 1])


@cache
def _region_name(region: str) -> str:
    """Return the name of a region in words, such as ``Asia Pacific (Tokyo)``; the code, if botocore has no name."""
    for partition in Loader().load_data("endpoints")["partitions"]:
        if region in partition["regions"]:
            return str(partition["regions"][region]["description"])
    return region


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _archive(files: Mapping[str, str]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
        for name, text in files.items():
            members.writestr(name, text)
    return archive.getvalue()
