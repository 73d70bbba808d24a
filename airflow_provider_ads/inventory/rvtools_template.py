"""
Conversion of RVTools exports to the import template.

The sheets are joined by virtual machine: vInfo has a row for each, and vNetwork, vCpu and vMemory add to it. Headers
are those of RVTools 3 and 4, also with the option ``-DBColumnNames``, which calls ``VM`` ``vInfoVMName``.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.rvtools import extract_workbook, find_rvtools_export, read_member
from airflow_provider_ads.inventory.source import TextTable, open_source
from airflow_provider_ads.inventory.table import (
    AmbiguousFileError,
    IsHeader,
    Question,
    Record,
    SuspectCell,
    unique_headers,
)
from airflow_provider_ads.inventory.template import TEMPLATE_COLUMNS, ImportFileError
from airflow_provider_ads.inventory.workbook import WorkbookTable

__all__ = ["RVToolsTable"]

#: Headers by sheet and template column, in lower case and without blanks and brackets. The first cell that is not
#: empty is used. A virtual CPU is a logical core, and memory is in MiB in all versions.
_SOURCES: dict[str, dict[str, tuple[str, ...]]] = {
    "vInfo": {
        "SMBiosId": ("smbiosuuid", "biosuuid"),
        "IPAddress": ("primaryipaddress",),
        "MACAddress": (),
        "HostName": ("dnsname", "guesthostname"),
        "VMware.MoRefId": ("vmid",),
        "VMware.VCenterId": ("visdkuuid",),
        "CPU.NumberOfProcessors": (),
        "CPU.NumberOfLogicalCores": ("cpus",),
        "OS.Name": ("osaccordingtothevmwaretools", "ostools", "osaccordingtotheconfigurationfile", "os"),
        "VMware.VMName": ("vm", "vmname"),
        "RAM.TotalSizeInMB": ("memory", "memorymib", "memorymb"),
    },
    "vNetwork": {"IPAddress": ("ipaddress", "ipv4address", "ipv6address"), "MACAddress": ("macaddress",)},
    "vCpu": {"CPU.NumberOfProcessors": ("sockets",), "CPU.NumberOfLogicalCores": ("cpus",)},
    "vMemory": {"RAM.TotalSizeInMB": ("sizemib", "sizemb", "size")},
}

#: Columns with all cells of a virtual machine instead of the first one.
_LISTS = ("IPAddress", "MACAddress")

#: Headers that identify a virtual machine in every sheet, the best ones first.
_KEYS = (("vmid", "visdkuuid"), ("vmuuid",), ("uuid",), ("vmid",), ("vm",), ("vmname",))

#: Headers of columns in which True removes the row, by the name of such rows in the report.
_FILTERS = {"Template": "template", "SRM Placeholder": "srmplaceholder"}

_BOOLEANS = {"": False, "false": False, "no": False, "0": False, "true": True, "yes": True, "1": True}

#: Groups of three digits. RVTools writes memory as a whole number, so their separator is not a decimal separator.
_GROUPED = re.compile(r"[1-9]\d{0,2}([,.' \u00a0\u2019\u202f])\d{3}(?:\1\d{3})*", re.ASCII)

#: Maximum memory for the cells of a sheet, and the memory that a virtual machine and a cell need besides their text.
MAX_BYTES = 100_000_000
MACHINE_BYTES, CELL_BYTES = 1_000, 100

_DESCRIPTION = "RVTools export, converted"

_Key = tuple[str, ...]


class RVToolsTable:
    """
    The virtual machines of an RVTools export. Implements :class:`~airflow_provider_ads.inventory.table.Table`.

    :param file: the export: an .xlsx file, or a ZIP file of one or of CSV files. Its folder needs room for a copy of
        the .xlsx file.
    :param delimiter: the delimiter of the CSV files; None to detect it.
    :param encoding: the encoding of the CSV files; None to detect it.
    :ivar header: template columns, and the other headers of vInfo. Those that a template column has are prefixed with
        ``vInfo``, because they might mean something else.
    :ivar skipped: always empty.
    :ivar description: how the file was read, and rows of other sheets that belong to no row of vInfo.
    :ivar delimiter: a comma, for a file with rows of the table.
    :ivar filtered: number of rows that do not describe servers, by reason.
    :ivar warnings: the columns that are empty because of their headers, once the records were read.
    :raises ~airflow_provider_ads.inventory.table.AmbiguousFileError: the delimiter or encoding of a CSV
        file is not certain.
    :raises ImportFileError: the file is not an RVTools export or cannot be read.
    """

    def __init__(self, file: Path, delimiter: str | None = None, encoding: str | None = None) -> None:
        self._file = file
        self._workbook = file
        self._dialect = delimiter, encoding
        with file.open("rb") as stream:
            self._export = find_rvtools_export(stream)
            if self._export.workbook is not None:
                self._workbook = file.with_name(f"{file.name}.xlsx")
                extract_workbook(stream, self._export, self._workbook)
        info = self._open("vInfo")
        used = {name for names in _SOURCES["vInfo"].values() for name in names} | {*_FILTERS.values()}
        self._others = [place for place, name in enumerate(info.names) if name not in used]
        template = {column.casefold() for column in TEMPLATE_COLUMNS}
        others = [info.header[place] for place in self._others]
        others = [f"vInfo {name}" if name.casefold() in template else name for name in others]
        self.header = unique_headers([*_SOURCES["vInfo"], *others])
        self.skipped: list[str] = []
        self.description = _DESCRIPTION
        self.delimiter = ","
        self.filtered = dict.fromkeys(_FILTERS, 0)
        self.warnings: list[str] = []

    def __iter__(self) -> Iterator[Record]:
        """
        Yield a record for each virtual machine that is a server.

        :raises ImportFileError: a sheet cannot be read, or no row of one belongs to a row of vInfo.
        """
        self.filtered = dict.fromkeys(_FILTERS, 0)
        joined = self._join()
        info = self._open("vInfo")
        for record in info:
            if record.problem:
                # Its cells are kept for the user, but not below headers to which they might not belong.
                yield record._replace(cells=[""] * len(_SOURCES["vInfo"]) + record.cells, text=None)
                continue
            problems: list[str] = []
            if not self._is_filtered_out(info, record.cells, problems):
                cells = _convert(info, record.cells, joined, problems)
                cells += [record.cells[place] for place in self._others]
                yield Record(record.line, cells, None, " ".join(problems))

    def _is_filtered_out(self, info: _Sheet, cells: list[str], problems: list[str]) -> bool:
        """Return True for a row that does not describe a server, and count it."""
        for name, header in _FILTERS.items():
            for cell in info.cells(cells, (header,)):
                value = _BOOLEANS.get(cell.strip().casefold())
                if value is None:
                    problems.append(f"{name}: {quote(cell)} is neither True nor False.")
                elif value:
                    self.filtered[name] += 1
                    return True
        return False

    def _join(self) -> list[_Joined]:
        """Return the sheets that add to vInfo, and describe rows that belong to no row of vInfo."""
        info = self._open("vInfo")
        joined = [_Joined(self._open(sheet), info) for sheet in _SOURCES if sheet != "vInfo" and self._has(sheet)]
        found = info.columns.union(*(each.columns for each in joined))
        missing = [column for column in _SOURCES["vInfo"] if column not in found]
        self.warnings = [f"No sheet has a known header for {', '.join(missing)}, so that is empty."] * bool(missing)
        # Which keys are repeated is only known at the end.
        counts = {each.key_names: Counter[_Key]() for each in joined}
        size = 0
        for record in info if counts else ():
            for names, count in counts.items():
                if not record.problem and (key := info.key(record.cells, names)):
                    size += 0 if key in count else MACHINE_BYTES + sum(map(len, key))
                    count[key] += 1
            _check_memory("vInfo", size)
        self.description = _DESCRIPTION
        for each in joined:
            each.counts = counts[each.key_names]
            unmatched = sum(key not in each.counts for key in each.machines)
            if unmatched and unmatched == len(each.machines):
                raise ImportFileError(
                    f"No row of {each.name} belongs to a row of vInfo. Check that both sheets are from the same export."
                )
            if unmatched:
                self.description += f"; virtual machines of {each.name} that are not in vInfo: {unmatched:,}"
        return joined

    def _has(self, sheet: str) -> bool:
        return sheet in self._export.csv_files or self._export.sheet_name(sheet) is not None

    def _open(self, sheet: str) -> _Sheet:
        if not self._has(sheet):
            raise ImportFileError(f"The RVTools export lacks {sheet}. Export all sheets.")
        with _naming(sheet):
            if (member := self._export.csv_files.get(sheet)) is not None:
                source = open_source(_MemberSource(self._file, member))
                return _Sheet(sheet, TextTable(source, _is_header(sheet), *self._dialect))
            return _Sheet(sheet, WorkbookTable(self._workbook, _is_header(sheet), self._export.sheet_name(sheet)))


def _normalize(sheet: str, header: str) -> str:
    """Return a header in lower case without blanks and brackets, and without the name of the sheet."""
    return re.sub(r"[\s()\[\]]", "", header).casefold().removeprefix(sheet.casefold())


def _is_header(sheet: str) -> IsHeader:
    return lambda cells: not {"vm", "vmname"}.isdisjoint(_normalize(sheet, cell) for cell in cells)


def _convert(info: _Sheet, cells: list[str], joined: list[_Joined], problems: list[str]) -> list[str]:
    """Return the cells of a virtual machine for the template columns."""
    added: list[dict[str, dict[str, None]]] = []
    for each in joined:
        key = info.key(cells, each.key_names)
        if key in each.machines and (count := each.counts[key]) > 1:
            problems.append(
                f"{count:,} rows of vInfo have {quote(' and '.join(key))}, so it is unknown to which of them the rows "
                f"of {each.name} belong. Export the columns VM ID and VI SDK UUID in both sheets."
            )
        elif key:
            added.append(each.machines.get(key, {}))
    converted: list[str] = []
    for column, names in _SOURCES["vInfo"].items():
        # A dict keeps one of several equal cells.
        found = dict.fromkeys(cell for cell in info.cells(cells, names) if cell.strip())
        for each_added in added:
            found |= each_added.get(column, {})
        if column not in _LISTS:
            cell = next(iter(found), "")
        else:
            suspect = next((cell for cell in found if isinstance(cell, SuspectCell)), None)
            cell = ", ".join(found) if suspect is None else suspect
        if column == "RAM.TotalSizeInMB":
            cell = re.sub(r"\D", "", cell) if _GROUPED.fullmatch(cell.strip()) else cell
            if not re.fullmatch(r"[0-9]*", cell.strip()):
                problems.append(f"Memory: {quote(cell)} is not a whole number.")
        converted.append(cell)
    return converted


class _Sheet:
    """
    A sheet of the export.

    :ivar names: the headers in the form of ``_SOURCES``.
    :ivar columns: the template columns for which it has a header.
    """

    def __init__(self, name: str, table: TextTable | WorkbookTable) -> None:
        self.name = name
        self.header = table.header
        self.names = [_normalize(name, header) for header in table.header]
        self.columns = {column for column, names in _SOURCES[name].items() if not set(names).isdisjoint(self.names)}
        self._table = table
        self._places = {header: place for place, header in reversed(list(enumerate(self.names)))}
        if self._places.keys().isdisjoint(("vm", "vmname")):
            raise ImportFileError("None of the first 20 rows has the header VM. Export the sheet again.")

    def __iter__(self) -> Iterator[Record]:
        with _naming(self.name):
            for record in self._table:
                cells, headers = len(record.cells), len(self.header)
                if cells > headers and not any(map(str.strip, record.cells[headers:])):
                    record = record._replace(cells=record.cells[:headers])
                elif cells != headers and not record.problem:
                    problem = f"The number of cells is {cells:,}, but the header has {headers:,}."
                    record = record._replace(problem=problem)
                yield record

    def has(self, names: Sequence[str]) -> bool:
        """Return True if all these headers exist."""
        return self._places.keys() >= set(names)

    def cells(self, cells: list[str], names: Sequence[str]) -> list[str]:
        """Return the cells below those of the headers that exist."""
        return [cells[self._places[name]] for name in names if name in self._places]

    def key(self, cells: list[str], names: Sequence[str]) -> _Key:
        """Return the identity of a row's virtual machine; empty if a part of it is missing."""
        key = tuple(cell.strip().casefold() for cell in self.cells(cells, names))
        return key if all(key) else ()


class _Joined:
    """
    The cells that a sheet adds to vInfo.

    :ivar columns: the template columns that it adds to.
    :ivar key_names: the headers that identify virtual machines.
    :ivar machines: the cells by virtual machine and template column.
    :ivar counts: number of rows of vInfo by virtual machine.
    """

    def __init__(self, sheet: _Sheet, info: _Sheet) -> None:
        self.name, self.columns = sheet.name, sheet.columns
        self.counts = Counter[_Key]()
        self.machines: dict[_Key, dict[str, dict[str, None]]] = {}
        key_names = next((names for names in _KEYS if sheet.has(names) and info.has(names)), None)
        if key_names is None:
            raise ImportFileError(f"vInfo and {self.name} have no column in common that identifies virtual machines.")
        self.key_names = key_names
        size = 0
        for record in sheet:
            if record.problem:
                raise ImportFileError(f"Line {record.line} of {self.name} cannot be read: {record.problem}")
            key = sheet.key(record.cells, key_names)
            if key not in self.machines:
                self.machines[key] = {}
                size += MACHINE_BYTES + sum(map(len, key))
            for column, names in _SOURCES[self.name].items():
                for cell in sheet.cells(record.cells, names):
                    added = self.machines[key].setdefault(column, {})
                    if cell.strip() and cell not in added:
                        added[cell] = None
                        size += CELL_BYTES + len(cell)
            _check_memory(self.name, size)


def _check_memory(sheet: str, size: int) -> None:
    if size > MAX_BYTES:
        raise ImportFileError(f"Sheet {sheet} has too many virtual machines. Export each vCenter separately.")


@contextmanager
def _naming(sheet: str) -> Iterator[None]:
    """Prefix the messages of errors in the block with the name of a sheet."""
    try:
        yield
    except AmbiguousFileError as error:
        questions = [Question(f"{sheet}: {text}", answers) for text, answers in error.questions]
        raise AmbiguousFileError(questions) from error
    except ImportFileError as error:
        raise ImportFileError(f"{sheet}: {error}") from error


class _MemberSource:
    """A CSV file in the export as a source."""

    def __init__(self, file: Path, member: zipfile.ZipInfo) -> None:
        self._chunks = self._read(file, member)
        self._content = b""

    @staticmethod
    def _read(file: Path, member: zipfile.ZipInfo) -> Iterator[bytes]:
        with file.open("rb") as stream:
            yield from read_member(stream, member)

    def read(self, size: int, /) -> bytes:
        self._content = self._content or next(self._chunks, b"")
        content, self._content = self._content[:size], self._content[size:]
        return content
