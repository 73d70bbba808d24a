"""
Proposals for a column mapping: common headers and their template columns.

A proposal is a line for the user to check and paste; nothing is mapped automatically. A wrong proposal costs more than
a missing one. So a header is proposed only if its name has a single meaning and the cells below it do not contradict
that. Some names do not mean what they seem to:

- CPU.NumberOfCores is a total, but ServiceNow's "CPU core count" and Device42's "cpucore" are the cores of one CPU.
- "Host" is the hypervisor's host in most exports of virtual machines, and the server itself elsewhere.
- A hypervisor schedules each virtual CPU on a logical core, so vCPUs are logical cores.
- A measured value is an average or a maximum only if the header says so. CPU usage in percent is the exception: it is
  always measured over an interval, so it is an average by default.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from airflow_provider_ads.inventory.columns import ColumnOptions
from airflow_provider_ads.inventory.placeholders import PLACEHOLDERS
from airflow_provider_ads.inventory.template import IDENTITY_COLUMNS, LIST_COLUMNS, NUMERIC_COLUMNS, TEMPLATE_COLUMNS

__all__ = ["SAMPLE_ROWS", "Entry", "names_servers", "propose_entry", "propose_mapping"]

#: A template column, or a dict with the column and the options for reading its cells: an entry of ``column_mapping``.
Entry = str | ColumnOptions

#: Number of rows that are compared with the headers.
SAMPLE_ROWS = 1_000

#: Maximum number of headers that are examined, and their maximum length.
MAX_HEADERS, MAX_HEADER_LENGTH = 2_000, 100

#: Amounts of memory in MB that a server can have.
LIKELY_MEMORY = (64, 16_000_000)

_COUNT = r"(?:(?:total)?(?:num(?:ber)?|no|nr|count)(?:of)?)"
_CPU = r"(?:cpu|processor)"
_MEMORY = r"(?:ram|mem(?:ory)?|m[eé]moire(?:vive)?|(?:arbeits|haupt)speicher)"
_GIVEN = r"(?:allocated|assigned|configured|installed|provisioned)"
_OF_SERVER = r"(?:ansible|primary|secondary|additional|private|internal|main|default|all|server|guest|vm|nic|ipv4)*"

#: Patterns of headers by template column, the best ones first. They match the header in lower case, with only its
#: letters and digits, and without a unit.
_SYNONYMS: dict[str, tuple[str, ...]] = {
    "ExternalId": (
        r"externalid",
        r"sysid",
        r"(?:cmdb|ci|configurationitem)id",
        r"assettag",
        r"(?:asset|inventory)(?:number|no|id)|inventarnummer",
    ),
    "SMBiosId": (
        r"(?:sm)?bios(?:uu|gu)id|smbiosid",
        r"(?:system|server|hardware|machine|(?:ansible)?product)uuid",
        r"uuid",
        r"vmuuid",
    ),
    "IPAddress": (rf"{_OF_SERVER}ip(?:v?[46])?(?:addr(?:ess(?:es)?)?|adressen?)?s?\d?", r"ansibledefaultipv4address"),
    "MACAddress": (rf"{_OF_SERVER}mac(?:addr(?:ess(?:es)?)?|adressen?)?s?\d?",),
    "HostName": (
        r"(?:server|host|guest|vm|ansible)?fqdn|fullyqualified(?:domain|host)name|fullcomputername",
        r"(?:guest)?dns(?:host)?name",
        r"guesthostname",
        r"(?:server|ansible)?hostnames?(?:fqdn)?",
        r"servernames?",
        r"(?:computer|machine|rechner)name",
        r"(?:device|node|netbios)name",
        r"server|machine|computer",
        r"(?:ci)?name",
    ),
    "VMware.MoRefId": (r"(?:vm)?(?:moref|managedobjectreference)(?:id)?", r"vmid"),
    "VMware.VCenterId": (r"visdkuuid", r"vcenter(?:server)?(?:instance)?(?:uuid|id)"),
    "CPU.NumberOfProcessors": (
        rf"{_COUNT}?{_CPU}?sockets?(?:count)?",
        rf"{_COUNT}(?:physical)?{_CPU}s?|(?:total|physical){_CPU}s|(?:ansible|physical)?{_CPU}s?count|{_CPU}s|{_CPU}number",
    ),
    "CPU.NumberOfCores": (
        rf"(?:total|{_COUNT})(?:physical)?{_CPU}?cores?",
        rf"(?:physical|{_GIVEN})?{_CPU}cores?(?:count|total)?|(?:physical)?cores|cores?(?:count|total)",
    ),
    "CPU.NumberOfLogicalCores": (
        rf"(?:{_COUNT}|total|{_GIVEN})?(?:v|virtual|logical)(?:{_CPU}|core)s?(?:count)?|v{_CPU}s?{_GIVEN}",
        r"ansibleprocessorvcpus",
    ),
    "OS.Name": (
        r"osaccordingtothevmwaretools",
        r"(?:guest|server|vm)?(?:os|operatingsystem)(?:full)?(?:name)?|operatingsystemnameand(?:version)?|betriebssystem",
        r"ansibledistribution",
        r"osaccordingtotheconfigurationfile",
    ),
    "OS.Version": (
        r"(?:guest)?(?:os|operatingsystem)ver(?:sion)?|betriebssystemversion",
        r"ansibledistributionversion",
        r"osver(?:sion)?no",
    ),
    "VMware.VMName": (r"vmnames?|virtualmachinenames?", r"vms?|virtualmachine"),
    "RAM.TotalSizeInMB": (
        rf"(?:ansible|total|physical|system|server|vm|v|{_GIVEN})*{_MEMORY}(?:total|size|capacity|{_GIVEN})*",
    ),
    "Applications": (r"(?:business|hosted|supported)?app(?:lication)?s?(?:names?|hosted)?|anwendung(?:en)?",),
    "ApplicationWave": (
        r"(?:migration|move|app(?:lication)?)?wave(?:name|number|no|id|group)?",
        r"(?:move|migration)group",
    ),
    "Tags": (r"tags", r"labels", r"categories"),
    "ServerId": (r"serverid",),
}

#: Patterns of headers of measured values, by the template column without its ``Avg`` or ``Max``.
_MEASURED = {
    "CPU.UsagePct": rf"(?:total)?{_CPU}(?:usage|used|util(?:i[sz]ation)?|load|time)?",
    "RAM.UsedSizeInMB": rf"{_MEMORY}(?:used|usage|inuse|consumed)(?:size)?|(?:used|consumed){_MEMORY}(?:size)?",
    **{
        f"Disk{direction}sOpsPerSecond": rf"(?:(?:disk|storage)?{direction.lower()}s?(?:iops|ops|operations|ios?)"
        rf"|(?:disk|storage)iops{direction.lower()}s?)(?:persec(?:ond)?)?|disk{direction.lower()}spersec(?:ond)?"
        for direction in ("Read", "Write")
    },
    **{
        f"Disk{direction}sPerSecondInKB": rf"(?:disk|storage){direction.lower()}s?(?:throughput|bandwidth|rate|speed)?"
        for direction in ("Read", "Write")
    },
    "NetworkReadsPerSecondInKB": r"net(?:work)?(?:reads?|received?|rx|in(?:bound)?)(?:throughput|bandwidth|rate)?",
    "NetworkWritesPerSecondInKB": r"net(?:work)?(?:writes?|sent|transmit(?:ted)?|tx|out(?:bound)?)"
    r"(?:throughput|bandwidth|rate)?",
}

#: Patterns that the cells of a column match at their beginning.
_CELLS = {
    **dict.fromkeys(NUMERIC_COLUMNS, r"\d"),
    "SMBiosId": r"(?:[0-9a-f][-{} ]*){32}",
    "IPAddress": r"\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4}:[0-9a-f:]*:",
    "MACAddress": r"(?:[0-9a-f]{2}[:-]?){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}",
    "HostName": r"(?!\d+(?:\.\d+){3}|(?:yes|no|true|false)\Z)[^\s,;|]*[^\W\d][^\s,;|]*\Z",
    "VMware.VMName": r"(?!\d+(?:\.\d+){3}|(?:yes|no|true|false)\Z).*[^\W\d]",
    "VMware.MoRefId": r"vm-\d+\Z",
    "VMware.VCenterId": r"(?:[0-9a-f][-{} ]*){32}",
    "OS.Name": r".*[^\W\d]{2}",
    "OS.Version": r".*\d",
    "Applications": r"(?!(?:yes|no|true|false)\Z).*[^\W\d]",
    "ServerId": r"d-server-",
}

#: Columns whose header alone is not certain.
_ONLY_WITH_CELLS = ("VMware.MoRefId", "ServerId")

#: Columns with another value in nearly every row. The host of a hypervisor, for example, repeats.
_DISTINCT = ("ExternalId", "SMBiosId", "HostName", "VMware.VMName", "VMware.MoRefId")

#: Columns that identify a server without its name.
_OTHER_IDENTITIES = ("ExternalId", "IPAddress", "MACAddress", "VMware.VCenterId")

#: Cells that contain no information about a column.
_EMPTY = PLACEHOLDERS | {"", "dhcp"}

#: Headers, as the patterns match them, that only lists of virtual machines have.
_OF_VM_LISTS = {"powerstate", "guestid", "vmhost", "provisionedspace", "provisionedspacegb"}

_PHYSICAL_HOST = re.compile(r"host|(?:vm|esxi?|virtual|physical|hypervisor|parent|hyperv)(?:host|server)(?:name)?")

#: The last rank of the host name patterns that always mean the server itself, and the rank of a plain "name".
_GUEST_RANK, _NAME_RANK = 2, len(_SYNONYMS["HostName"]) - 1

_SIZE = re.compile(
    r"(?:in[\s_]*)?(?:([kmgt])(?:ega|iga|ilo|era)?bytes?|([kmgt])i?b|(?<=[\W_])([kmg])o|bytes?)(?P<rate>persec)?", re.I
)
_CELL_UNIT = re.compile(r"[\d.,\s]+[kmgt]i?[bo]", re.I)


class _Header(NamedTuple):
    """
    The parts of a header.

    :param name: its letters and digits in lower case.
    :param stem: the name without unit, percent sign, ``Avg`` and ``Max``.
    :param statistic: ``Avg``, ``Max``, both of them, or nothing.
    :param unit: the unit of bytes; empty if it has none.
    :param is_rate: True if the unit is a number of bytes per second.
    :param is_percentage: True if the header contains a percent sign or a word for it.
    """

    name: str
    stem: str
    statistic: str
    unit: str
    is_rate: bool
    is_percentage: bool


class _Candidate(NamedTuple):
    """
    A column that a header can mean.

    :param header: the header.
    :param entry: its entry in the mapping.
    :param rank: the rank among the candidates for the column; the smallest one wins.
    :param is_unique: True if there are several cells, and no two are the same.
    """

    header: str
    entry: Entry
    rank: tuple[int, ...]
    is_unique: bool


def propose_entry(header: str) -> Entry | None:
    """
    Return an entry of ``column_mapping`` for a header.

    :param header: the header, of which nothing else is known.
    :return: the entry; None if the header is not certain.
    """
    return propose_mapping([header]).get(header)


def names_servers(cells: Sequence[str]) -> bool:
    """
    Return True if cells can be the header of an inventory, because one of them is a header for names or addresses.

    :param cells: the cells of a row.
    """
    return not {*IDENTITY_COLUMNS, "VMware.VMName"}.isdisjoint(map(str, propose_mapping(cells).values()))


def propose_mapping(headers: Sequence[str], rows: Sequence[Sequence[str]] = ()) -> dict[str, Entry]:
    """
    Return a column mapping for the headers that are certain.

    :param headers: the source's headers.
    :param rows: rows of the source. Headers that their cells contradict are omitted.
    :return: a ``column_mapping`` in the order of the headers, with those that are template columns.
    """
    headers = headers[:MAX_HEADERS]
    parsed = [_parse(header) for header in headers]
    candidates: dict[str, list[_Candidate]] = {column: [] for column in TEMPLATE_COLUMNS}
    for place, (header, parts) in enumerate(zip(headers, parsed, strict=True)):
        cells = [row[place].strip() for row in rows[:SAMPLE_ROWS] if place < len(row)]
        filled = [cell for cell in cells if cell.lower() not in _EMPTY]
        for column, rank, entry in _read(header, parts, filled):
            # A column that is empty in most rows is the worse candidate, no matter what it is called.
            is_sparse = header != column and len(filled) * 2 < len(cells)
            is_unique = len(set(filled)) == len(filled) > 2
            candidates[column].append(_Candidate(header, entry, (is_sparse, *rank, place), is_unique))
    names = {parts.name for parts in parsed if parts}
    _separate_hosts_from_guests(candidates, names)
    _check_cores(candidates, names, headers, rows[:SAMPLE_ROWS])
    mapping: dict[str, Entry] = {}
    for column, found in candidates.items():
        for candidate in found if column in LIST_COLUMNS else sorted(found, key=lambda each: each.rank)[:1]:
            mapping[candidate.header] = candidate.entry
    return {header: mapping[header] for header in headers if header in mapping}


def _parse(header: str) -> _Header | None:
    """Return the parts of a header; None if it is too long or names two things, such as ``Hostname/IP``."""
    if len(header) > MAX_HEADER_LENGTH:
        return None
    # With a lower-case b, a rate can be in bits.
    if re.search(r"[kmgtKMGT]i?b(?:ps|/s|[\s_]?per[\s_]sec)", header):
        return None
    text = re.sub(r"([kmgtKMGT]i?B)(?:ps|[\s_]?per[\s_]sec(?:ond)?)(?![a-z])", r"\1persec", header)
    text = re.sub(r"/s(?:ec(?:ond)?)?(?![a-z])", "persec", text, flags=re.I)
    if re.search(r"[/&+|;]|,(?!\s*[kmgt]i?b)", text, re.I):
        return None
    text = re.sub(r"^u_|^Details_Table\d+_|(?<=[A-Za-z])0$", "", text.strip()).replace("#", "number")
    name = re.sub(r"[\W_]+", "", text.casefold())
    bare, percentages = re.subn(r"%|percent(?:age)?|pct", " ", text, flags=re.I)
    averages = len(re.findall(r"average|avg|mean", bare, re.I))
    maxima = len(re.findall(r"maximum|max|peak", bare, re.I))
    bare = re.sub(r"average|avg|mean|maximum|max|peak", "", bare, flags=re.I)
    bare = re.sub(r"[\W_]+\Z", "", bare)
    unit, is_rate = "", False
    sizes = [match for match in _SIZE.finditer(bare) if match.end() == len(bare) or bare[match.end()] in ")]"]
    if sizes:
        match = sizes[-1]
        unit = f"{(match[1] or match[2] or match[3] or '').upper()}B"
        is_rate = bool(match["rate"])
        bare = bare[: match.start()] + bare[match.end() :]
    stem = re.sub(r"[\W_]+", "", bare.casefold())
    return _Header(name, stem, "Avg" * averages + "Max" * maxima, unit, is_rate, bool(percentages))


def _read(header: str, parts: _Header | None, cells: Sequence[str]) -> list[tuple[str, tuple[int, ...], Entry]]:
    """Return the columns that a header can mean, each with its rank and entry."""
    if header in TEMPLATE_COLUMNS and header != "Tags":
        return [(header, (-1,), header)]
    if parts is None:
        return []
    for column in TEMPLATE_COLUMNS:
        if "." in column and parts.name == re.sub(r"\W", "", column.casefold()) and _fits(column, cells):
            return [(column, (-1,), column)]
    if parts.name in ("env", "environment") and not any(re.search("[:,]", cell) for cell in cells):
        return [("Tags", (0,), {"column": "Tags", "tag": "environment"})]
    if parts.statistic or parts.is_percentage or parts.is_rate:
        return _read_measured(parts, cells)
    if re.fullmatch(_SYNONYMS["HostName"][_NAME_RANK], parts.name):
        return [(column, (_NAME_RANK,), column) for column in ("HostName", "VMware.VMName") if _fits(column, cells)]
    for column, patterns in _SYNONYMS.items():
        text = parts.stem if column == "RAM.TotalSizeInMB" else parts.name
        for rank, pattern in enumerate(patterns):
            if re.fullmatch(pattern, text) and _fits(column, cells):
                return _with_options(column, rank, parts, cells)
    return _read_measured(parts, cells)


def _with_options(
    column: str, rank: int, parts: _Header, cells: Sequence[str]
) -> list[tuple[str, tuple[int, ...], Entry]]:
    entry: Entry | None = column
    if column == "Tags":
        entry = _tags_entry(cells)
    elif column == "RAM.TotalSizeInMB":
        entry = _memory_entry(column, parts.unit, cells)
        return [(column, (rank, parts.unit != "MB", not parts.unit), entry)] if entry else []
    return [(column, (rank,), entry)] if entry else []


def _read_measured(parts: _Header, cells: Sequence[str]) -> list[tuple[str, tuple[int, ...], Entry]]:
    for base, pattern in _MEASURED.items():
        if not re.fullmatch(pattern, parts.stem) or parts.statistic not in ("", "Avg", "Max"):
            continue
        column = f"{base}.{parts.statistic or 'Avg'}"
        if base == "CPU.UsagePct":
            has_signs = bool(cells) and all(cell.endswith("%") for cell in cells)
            is_percentage = parts.is_percentage or has_signs or (bool(parts.statistic) and "util" in parts.stem)
            exceeds_100 = any(re.match(r"(?!100(?!\d))\d{3}", cell) for cell in cells)
            if is_percentage and not parts.unit and not exceeds_100 and _fits(column, cells):
                return [(column, (not parts.statistic,), column)]
        elif parts.statistic and not parts.is_percentage and _fits(column, cells):
            if base.endswith("OpsPerSecond"):
                return [] if parts.unit else [(column, (0,), column)]
            if base.startswith("RAM") and not parts.is_rate and parts.unit:
                entry = _memory_entry(column, parts.unit, cells)
                return [(column, (0,), entry)] if entry else []
            if not base.startswith("RAM") and parts.is_rate and parts.unit:
                return [(column, (0,), column if parts.unit == "KB" else {"column": column, "unit": parts.unit})]
    return []


def _fits(column: str, cells: Sequence[str]) -> bool:
    """Return True if no more than half of the different cells contradict a column."""
    values = set(cells)
    pattern = re.compile(_CELLS.get(column, ""), re.I)
    fitting = sum(bool(pattern.match(value)) for value in values)
    if values and (not fitting or fitting * 2 < len(values)):
        return False
    if column in _DISTINCT and len(values) * 3 < len(cells) * 2:
        return False
    return bool(values) or column not in _ONLY_WITH_CELLS


def _memory_entry(column: str, unit: str, cells: Sequence[str]) -> Entry | None:
    """Return the entry of an amount of memory; None if the unit is unlikely to be MB and could be KB or bytes."""
    numbers = _numbers(cells)
    typical = median(numbers) if numbers else 0
    low, high = LIKELY_MEMORY
    if unit:
        in_mb = typical * 1_024.0 ** ("B", "KB", "MB", "GB", "TB").index(unit) / 1_024**2
        # If the header is contradicted, prepare asks for the unit.
        is_likely = not typical or column != "RAM.TotalSizeInMB" or low <= in_mb <= high
        return column if unit == "MB" or not is_likely else {"column": column, "unit": unit}
    if sum(bool(_CELL_UNIT.match(cell)) for cell in cells) * 2 > len(cells) or typical < 1_024**2:
        return column
    # As KB, it would be 4 TB.
    return {"column": column, "unit": "B"} if typical > 1_024**3 * 4 else None


def _tags_entry(cells: Sequence[str]) -> Entry | None:
    """Return the entry of tags, with the separators that fit all cells; None if there are none."""
    if not cells:
        return "Tags"
    for pair_separator in ":=":
        for separator in ",;|\n":
            items = [item for cell in cells for item in cell.split(separator) if item.strip()]
            if all(re.fullmatch(rf"[^:=,;|\n]+{pair_separator}[^,;|\n]*", item) for item in items):
                entry: ColumnOptions = {"column": "Tags"}
                if separator != "," and any(separator in cell for cell in cells):
                    entry["separator"] = separator
                if pair_separator != ":":
                    entry["pair_separator"] = pair_separator
                return entry if len(entry) > 1 else "Tags"
    return None


def _numbers(cells: Sequence[str]) -> list[float]:
    matches = [re.match(r"\d+(?:\.\d+)?(?![\d.])", cell.replace(",", "")) for cell in cells]
    return [float(match[0]) for match in matches if match]


def _separate_hosts_from_guests(candidates: dict[str, list[_Candidate]], names: set[str]) -> None:
    """Correct the candidates that have another meaning in a list of virtual machines."""
    named = candidates["VMware.VMName"]
    candidates["VMware.VMName"] = vm_names = [each for each in named if each.rank[1] != _NAME_RANK]
    if not vm_names and not names & _OF_VM_LISTS:
        return
    # The number of CPUs of a virtual machine is that of its virtual CPUs, in any number of sockets.
    cpus = [each for each in candidates["CPU.NumberOfProcessors"] if each.rank[1] == 1]
    candidates["CPU.NumberOfProcessors"] = [each for each in candidates["CPU.NumberOfProcessors"] if each not in cpus]
    candidates["CPU.NumberOfLogicalCores"] += [each._replace(entry="CPU.NumberOfLogicalCores") for each in cpus]
    hosts = [each for each in candidates["HostName"] if each.rank[1] != _NAME_RANK]
    identities = [*hosts, *(each for column in _OTHER_IDENTITIES for each in candidates[column])]
    if named and not any(_PHYSICAL_HOST.fullmatch(name) for name in names):
        hosts = [each for each in hosts if each.rank[1] <= _GUEST_RANK or each.is_unique]
    if vm_names or identities:
        candidates["HostName"] = hosts
        candidates["VMware.VMName"] = vm_names or named
    # Otherwise only the name can identify the servers, and most virtual machines are named after their host name.


def _check_cores(
    candidates: dict[str, list[_Candidate]], names: set[str], headers: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Remove numbers of cores per CPU, and numbers of virtual CPUs that have several cores."""
    if any(re.search(r"coresper(?:v|virtual)cpu", name) for name in names):
        candidates["CPU.NumberOfLogicalCores"].clear()
    column = "CPU.NumberOfCores"
    if names & {"cpucount", "totalcpus"} and names & {"cpucorecount", "cpucore"}:
        candidates[column] = [
            each for each in candidates[column] if not re.fullmatch(r"cpu[\s_]?core(?:[\s_]?count)?", each.header, re.I)
        ]
    for cpus in candidates["CPU.NumberOfProcessors"]:
        pairs = [
            (_numbers([row[cpus.rank[-1]].strip()]), _numbers([row[each.rank[-1]].strip()]), each)
            for each in candidates[column]
            for row in rows
            if max(cpus.rank[-1], each.rank[-1]) < len(row)
        ]
        per_cpu = {each.header for count, cores, each in pairs if count and cores and cores[0] < count[0]}
        candidates[column] = [each for each in candidates[column] if each.header not in per_cpu]
