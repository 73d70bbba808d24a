"""The upgrade notes list the differences between preparing a file with 0.1.0 and now, and the lines in them work."""

from __future__ import annotations

import csv
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ads.inventory.options import PrepareOptions
from airflow_provider_ads.inventory.prepare import prepare_import_file
from airflow_provider_ads.inventory.table import AmbiguousFileError
from airflow_provider_ads.inventory.template import ImportFileError

PAGE = (Path(__file__).parents[2] / "docs" / "upgrade.md").read_text()
SECTION = PAGE.partition("\n### Prepared files\n")[2].partition("\n### ")[0]
#: Columns: the content of a file, the result of 0.1.0, the result of this version, and the line to keep the old one.
ROWS = {
    line[2:-2].split(" | ")[0]: line[2:-2].split(" | ")[2:] for line in re.findall(r"^\| .+ \|$", SECTION, re.M)[2:]
}
SHORT_ROW = "a row without its last cells"

#: A header, its template column and cells of it, for each row of the table. 0.1.0 wrote the cells as they are.
FILES = {
    "memory with a median below 256 MB": ("RAM.TotalSizeInMB", "RAM.TotalSizeInMB", ["16", "32"]),
    "memory with a median above 16,000,000 MB": ("RAM.TotalSizeInMB", "RAM.TotalSizeInMB", ["17179869184"]),
    "memory with a median from 1 TB, and a header without a unit: `RAM`": ("RAM", "RAM.TotalSizeInMB", ["1048576"]),
    "another unit in the header: `Memory (GB)`": ("Memory (GB)", "RAM.TotalSizeInMB", ["16", "32"]),
    "20 or more percentages, none above 1": ("CPU.UsagePct.Avg", "CPU.UsagePct.Avg", ["0.1", "0.5"] * 10),
    "only numbers such as `16.384`": ("DiskReadsPerSecondInKB.Avg", "DiskReadsPerSecondInKB.Avg", ["16.384"]),
    "`CRM;ERP` as an application": ("Applications", "Applications", ["CRM;ERP"]),
    "`N/A`, `-` or `unknown`": ("OS.Name", "OS.Name", ["N/A", "-", "unknown"]),
    "`DHCP` as an address": ("IPAddress", "IPAddress", ["DHCP"]),
    "`10.0.0.1; 10.0.0.2` as an address": ("IPAddress", "IPAddress", ["10.0.0.1; 10.0.0.2"]),
    "`10.0.0.1/24` as an address": ("IPAddress", "IPAddress", ["10.0.0.1/24"]),
    "`127.0.0.1` or a link-local address": ("IPAddress", "IPAddress", ["127.0.0.1", "169.254.1.1"]),
    "`0050.56ab.cdef` as a MAC address": ("MACAddress", "MACAddress", ["0050.56ab.cdef"]),
    "`localhost` or `a/b` as a host name": ("HostName", "HostName", ["localhost", "a/b"]),
    "`01-Mar` or `01. Mrz` as a host name, ExternalId, VM name or OS version": (
        "OS.Version",
        "OS.Version",
        ["01-Mar", "01. Mrz"],
    ),
    "`1.23E+11` as a host name, ExternalId, VM name or OS version": ("VMware.VMName", "VMware.VMName", ["1.23E+11"]),
    "a character that a wrong encoding has lost: `m\ufffdnchen1`": ("HostName", "HostName", ["m\ufffdnchen1"]),
    "a no-break space in a text": ("OS.Name", "OS.Name", ["Windows\u00a0Server"]),
    "a zero-width space in a text": ("HostName", "HostName", ["web\u200b1"]),
    "`VirtualMachine-vm-101` as a MoRefId": ("VMware.MoRefId", "VMware.MoRefId", ["VirtualMachine-vm-101"]),
    "`Total: 2` as the only identity": ("ExternalId", "ExternalId", ["Total: 2"]),
    '`="00123"`': ("ExternalId", "ExternalId", ['="00123"']),
}


def prepare(source: str, folder: Path, **options: Any) -> list[dict[str, str]]:
    """Return the rows that prepare writes for a CSV file."""
    prepare_import_file(BytesIO(source.encode()), folder, PrepareOptions(**options))
    with (folder / "part-0001.csv").open(newline="") as part:
        return list(csv.DictReader(part))


def cells(case: str, folder: Path, line: str = "") -> list[str]:
    """Return the cells that prepare writes for those of a row of the table, with a line of that row."""
    header, column, values = FILES[case]
    mapped: dict[str, Any] = {"column": column}
    options: dict[str, Any] = {}
    if line.startswith('"'):
        mapped |= eval(f"{{{line}}}")
    elif line:
        options = eval(f"dict({line})")
    # Another identity lets rows with an empty cell pass; "Total: 2" is to be the only one.
    identities = (
        [""] * len(values) if "only identity" in case else [f"serial-{number}" for number in range(len(values))]
    )
    quoted = ['"' + value.replace('"', '""') + '"' for value in values]
    rows = [f"{value},{identity}" for value, identity in zip(quoted, identities, strict=True)]
    other = "HostName" if column == "ExternalId" else "ExternalId"
    source = "\n".join([f"{header},{other}", *rows]) + "\n"
    return [row[column] for row in prepare(source, folder, column_mapping={header: mapped}, **options)]


def test_every_row_of_the_table_is_tested() -> None:
    assert {*FILES, SHORT_ROW} == ROWS.keys()


@pytest.mark.parametrize("case", FILES)
def test_this_version_behaves_as_the_table_describes(case: str, tmp_path: Path) -> None:
    (now, _) = ROWS[case]
    if now == "asks":
        with pytest.raises(AmbiguousFileError):
            cells(case, tmp_path)
    elif now == "invalid row":
        with pytest.raises(ImportFileError, match="rows cannot be imported"):
            cells(case, tmp_path)
    elif now == "imports two":
        assert cells(case, tmp_path) == ["10.0.0.1, 10.0.0.2"]
    elif now.startswith("imports an empty cell"):
        assert set(cells(case, tmp_path)) == {""}
    elif now == "imports a blank":
        assert cells(case, tmp_path) == ["Windows Server"]
    elif now == "removes it":
        assert cells(case, tmp_path) == ["web1"]
    else:
        assert [f"imports `{cell}`" for cell in cells(case, tmp_path)] == [now]


@pytest.mark.parametrize("case", [case for case in FILES if ROWS[case][1] != "none"])
def test_the_line_restores_the_result_in_the_table(case: str, tmp_path: Path) -> None:
    keeps, _, empties = ROWS[case][1].partition("; ")
    if empties:
        (line,) = re.findall(r"`(.+)` empties the cell", empties)
        assert set(cells(case, tmp_path, line)) == {""}
    else:
        assert cells(case, tmp_path, keeps.strip("`")) == FILES[case][2]


def test_a_row_without_its_last_cells_is_imported(tmp_path: Path) -> None:
    assert ROWS[SHORT_ROW] == ["imports it", "none"]
    assert prepare("ExternalId,HostName,OS.Name\n1,a.example\n", tmp_path)[0]["HostName"] == "a.example"
