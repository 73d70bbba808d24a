from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import xlwt  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from odf.opendocument import OpenDocumentSpreadsheet  # type: ignore[import-untyped]
from odf.table import Table, TableCell, TableRow  # type: ignore[import-untyped]
from odf.text import P  # type: ignore[import-untyped]

from airflow_provider_ads.emulator.import_files import read_import_file
from airflow_provider_ads.inventory.placeholders import PLACEHOLDERS, clean_cell
from airflow_provider_ads.inventory.table import AmbiguousFileError
from airflow_provider_ads.inventory.template import NUMERIC_COLUMNS, PERCENTAGE_COLUMNS, TEMPLATE_COLUMNS
from sample_inventories.servicenow_export import make_servicenow_export
from tests.support.inventories import (
    SERVERS,
    encrypted_workbook,
    macro_workbook,
    pack,
    prepare,
    read_csv,
    read_rows,
    refuse,
    sheets,
    xlsb_workbook,
)


class TestRows:
    def test_rows_without_content_are_omitted(self, tmp_path: Path) -> None:
        prepared = prepare("HostName,OS.Name\n,\nweb1,\n , \n,,,\n", tmp_path)
        assert read_rows(prepared, tmp_path) == [["web1", ""]]
        assert prepared.rows_read == 1

    def test_the_emulator_refuses_the_same_rows_of_the_sample_inventory(self, tmp_path: Path) -> None:
        content = SERVERS.read_bytes()
        message = refuse(content, tmp_path)
        assert message.startswith("6 of 300 rows cannot be imported.")
        prepared = prepare(content, tmp_path, on_invalid_rows="quarantine")
        assert (prepared.rows_read, prepared.rows_written, prepared.rows_quarantined) == (300, 294, 6)
        import_file = read_import_file(content)
        assert import_file is not None
        failed = [str(row.line) for row in import_file.rows if row.errors]
        assert failed == [row[0] for row in read_csv(tmp_path / "quarantine.csv")[1:]]
        assert prepared.columns_unknown == ()


class TestRetries:
    SCRIPT = """
import json, sys
from pathlib import Path
from tests.support.inventories import prepare
folder = Path(sys.argv[1])
prepared = prepare(Path(sys.argv[2]).read_bytes(), folder, **json.loads(sys.argv[3]))
(folder / "report.json").write_text(json.dumps(prepared.report("s3://inventory/")))
"""

    def test_another_process_writes_the_same_parts_and_report(self, tmp_path: Path) -> None:
        source = tmp_path / "servicenow.xlsx"
        source.write_bytes(make_servicenow_export(300))
        options = {
            "column_mapping": {
                "Name": "HostName",
                "IP Address": {"column": "IPAddress", "separator": ";"},
                "RAM (GB)": {"column": "RAM.TotalSizeInMB", "unit": "GB"},
                "Used for": {"column": "Tags", "tag": "environment"},
                "Support group": {"column": "Tags", "tag": "team"},
            },
            "row_filter": {"Class": {"not": ["Service", "Storage", "Router"]}, "Operational status": ["Operational"]},
            "tags": {"source": "servicenow", "wave": "1"},
            "na_values": ["Ubuntu 24.04", "Test"],
            "max_file_bytes": 10_000,
            "on_invalid_rows": "quarantine",
        }

        def files(hash_seed: str) -> dict[str, bytes]:
            folder = tmp_path / hash_seed
            folder.mkdir()
            subprocess.run(
                [sys.executable, "-c", self.SCRIPT, str(folder), str(source), json.dumps(options)],
                cwd=Path(__file__).parents[3],
                # The order of a set of strings depends on the seed.
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                check=True,
                timeout=120,
            )
            return {path.name: path.read_bytes() for path in folder.iterdir()}

        first = files("1")
        assert first.keys() == {"part-0001.csv", "part-0002.csv", "quarantine.csv", "report.json"}
        # The list of warnings, too, would be in another order.
        assert len(json.loads(first["report.json"])["warnings"]) > 0
        assert [seed for seed in ("2", "3") if files(seed) != first] == []


class TestInvalidRows:
    CONTENT = (
        "Server Name,Cores,Tags,Owner\n"
        "web1,4,env:prod,me\n"
        "web2,four,env,me\n"
        '"web3\nold",5,"",me,too\n'
        ",,,me\n"
        'web4,6,"a:b, c:d",me\n'
        "web5,7"
    )
    PARAMETERS: dict[str, Any] = {"column_mapping": {"Server Name": "HostName", "Cores": "CPU.NumberOfCores"}}

    def test_fail_lists_the_line_column_and_reason_of_each(self, tmp_path: Path) -> None:
        assert refuse(self.CONTENT, tmp_path, **self.PARAMETERS).splitlines() == [
            "3 of 6 rows cannot be imported. Correct the rows or column_mapping, list words for missing values in "
            "na_values, or set on_invalid_rows='quarantine' to import the other rows.",
            "line 3: 'Cores' (CPU.NumberOfCores): 'four' is not a number of 0 or more. "
            "Tags: 'env' does not have the form name:value. Commas separate tags.",
            "line 4: The row has 5 cells, but the header has 4. Put quotes around a cell that contains the delimiter.",
            "line 6: The row needs one of ExternalId, IPAddress, MACAddress, HostName, or VMware.MoRefId with "
            "VMware.VCenterId.",
        ]

    def test_fail_lists_the_first_20_and_counts_the_others(self, tmp_path: Path) -> None:
        lines = refuse("HostName,SMBiosId\n" + ",x\n" * 1_234 + "web1,x\n", tmp_path).splitlines()
        assert lines[0].startswith("1,234 of 1,235 rows cannot be imported.")
        assert [line.partition(":")[0] for line in lines[1:-1]] == [f"line {number}" for number in range(2, 22)]
        assert lines[-1] == "and 1,214 more"

    def test_quarantine_keeps_them_unchanged(self, tmp_path: Path) -> None:
        prepared = prepare(self.CONTENT, tmp_path, on_invalid_rows="quarantine", **self.PARAMETERS)
        rows = [["web1", "4", "env:prod"], ["web4", "6", "a:b, c:d"], ["web5", "7", ""]]
        assert read_rows(prepared, tmp_path) == rows
        assert (prepared.rows_read, prepared.rows_quarantined, prepared.quarantine) == (6, 3, "quarantine.csv")
        assert prepared.rows_short == 1
        header, *rows = read_csv(tmp_path / "quarantine.csv")
        assert header == ["Line", "Reason", "Server Name", "Cores", "Tags", "Owner"]
        assert [(row[0], *row[2:]) for row in rows] == [
            ("3", "web2", "four", "env", "me"),
            ("4", "web3\nold", "5", "", "me", "too"),
            ("6", "", "", "", "me"),
        ]
        assert rows[0][1].startswith("'Cores' (CPU.NumberOfCores): 'four' is not")

    def test_a_corrected_quarantine_can_be_prepared_with_the_same_mapping(self, tmp_path: Path) -> None:
        prepare(self.CONTENT, tmp_path, on_invalid_rows="quarantine", **self.PARAMETERS)
        corrected = (tmp_path / "quarantine.csv").read_text().replace(",four,env,", ",4,env:test,")
        prepared = prepare(corrected, tmp_path, on_invalid_rows="quarantine", **self.PARAMETERS)
        assert read_rows(prepared, tmp_path) == [["web2", "4", "env:test"]]
        assert prepared.columns_unknown == ("Line", "Reason", "Owner")

    def test_no_quarantine_is_written_without_invalid_rows(self, tmp_path: Path) -> None:
        prepared = prepare("HostName\nweb1\n", tmp_path, on_invalid_rows="quarantine")
        assert (prepared.quarantine, prepared.rows_quarantined) == (None, 0)
        assert [path.name for path in tmp_path.iterdir()] == ["part-0001.csv"]

    @pytest.mark.parametrize("on_invalid_rows", ["fail", "quarantine"])
    def test_a_file_without_valid_rows_is_refused(self, tmp_path: Path, on_invalid_rows: str) -> None:
        assert "no rows" in refuse("HostName\n\n", tmp_path, on_invalid_rows=on_invalid_rows)
        message = refuse("HostName,SMBiosId\n,x\n,y\n", tmp_path, on_invalid_rows=on_invalid_rows)
        assert message.startswith("2 of 2 rows cannot be imported.")
        assert "line 3: The row needs one of" in message

    def test_a_row_with_too_long_a_cell_is_quarantined(self, tmp_path: Path) -> None:
        long = "x" * 131_073
        content = f'HostName,OS.Name\nweb1,{long}\n"web2\n","{long}"\n"{long}",a\nweb3,"b,c"\n'
        prepared = prepare(content, tmp_path, on_invalid_rows="quarantine")
        assert read_rows(prepared, tmp_path) == [["web3", "b,c"]]
        quarantine = (tmp_path / "quarantine.csv").read_text()
        assert quarantine == (
            "Line,Reason,HostName,OS.Name\n"
            f'2,"A cell exceeds 131,072 characters.",web1,{long}\n'
            f'3,"A cell exceeds 131,072 characters.","web2\n","{long}"\n'
            f'5,"A cell exceeds 131,072 characters.","{long}",a\n'
        )


#: Text with all characters that affect quoting, and characters of one to four bytes, which stays as it is.
TEXTS = st.text(
    st.one_of(
        st.sampled_from('",\r\n; \té€😀\u2028\x85\x1c\ufeff'),
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
    ),
    max_size=12,
).map(lambda text: clean_cell(text, PLACEHOLDERS))
NAMES = st.text(
    st.characters(exclude_characters='\0\n\r:,;|=/()[]{}"\uff1b\u3001\uff0c', exclude_categories=["Cs"]), min_size=1
).map(str.strip)
NAMES = NAMES.filter(lambda text: text and clean_cell(text, PLACEHOLDERS) == text)
IP_ADDRESSES = st.ip_addresses(network="10.0.0.0/8").map(str)
CELLS = {
    "IPAddress": st.lists(IP_ADDRESSES, unique=True, max_size=3).map(", ".join),
    "MACAddress": st.integers(1, 2**40).map(lambda number: ":".join(re.findall("..", f"{number:012X}"))),
    "Applications": st.lists(NAMES, unique=True, max_size=3).map(", ".join),
    "Tags": st.lists(st.tuples(NAMES, NAMES).map(":".join), unique=True, max_size=30).map(", ".join),
    **dict.fromkeys(NUMERIC_COLUMNS, st.one_of(st.just(""), st.decimals(1_000, 10**6, places=2).map(str))),
    **dict.fromkeys(PERCENTAGE_COLUMNS, st.integers(2, 100).map(str)),
    # Other texts can be footers, dates, formulas or several names.
    "ExternalId": TEXTS.map(lambda text: text and "id" + re.sub(r"[\s:]", "x", text)),
    "HostName": TEXTS.map(lambda text: "web" + re.sub(r"[\s,;|/:]", "x", text)),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    """Generate a header of template columns, and valid rows."""
    header = draw(st.lists(st.sampled_from(TEMPLATE_COLUMNS), unique=True, max_size=9))
    if "HostName" not in header:
        header.append("HostName")
    cells = [CELLS.get(column, TEXTS) for column in header]
    return header, draw(st.lists(st.tuples(*cells).map(list), min_size=1, max_size=8))


def as_csv(rows: Sequence[Sequence[str]], **dialect: Any) -> bytes:
    content = io.StringIO(newline="")
    csv.writer(content, **dialect).writerows(rows)
    return content.getvalue().encode()


DIALECTS = st.fixed_dictionaries(
    {
        "lineterminator": st.sampled_from(["\r\n", "\r\n\r\n"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    }
)
PREFIXES = st.sampled_from([b"", b"\xef\xbb\xbf"])


@settings(deadline=None)
@given(table=tables(), dialect=DIALECTS, prefix=PREFIXES, is_compressed=st.booleans(), data=st.data())
def test_the_parts_contain_every_row_of_the_source(
    table: tuple[list[str], list[list[str]]],
    dialect: dict[str, Any],
    prefix: bytes,
    is_compressed: bool,
    data: st.DataObject,
) -> None:
    header, rows = table
    content = prefix + as_csv([header, *rows], **dialect)
    sizes = [len(as_csv([row])) for row in rows]
    header_size = len(as_csv([header]))
    limit = header_size + data.draw(st.integers(max(sizes), sum(sizes)), "room")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packed = gzip.compress(content) if is_compressed else content
        prepared = prepare(packed, folder, max_file_bytes=limit, delimiter=",")
        assert read_rows(prepared, folder) == rows
        assert prepared.rows_read == prepared.rows_written == len(rows)
        first = 0
        for part in prepared.parts:
            part_content = (folder / part.name).read_bytes()
            assert len(part_content) == part.size_bytes <= limit
            assert part.rows is not None
            first += part.rows
            assert first == len(rows) or part.size_bytes + sizes[first] > limit
            import_file = read_import_file(part_content)
            assert import_file is not None
            assert import_file.classification == prepared.file_classification
            assert len(import_file.rows) == part.rows
            # The emulator assumes a maximum for numbers, which AWS does not document.
            assert [e for row in import_file.rows for e in row.errors if not e.message.endswith("out of range.")] == []


@settings(deadline=None)
@given(table=tables(), dialect=DIALECTS, data=st.data())
def test_invalid_rows_are_quarantined_and_all_others_are_written(
    table: tuple[list[str], list[list[str]]], dialect: dict[str, Any], data: st.DataObject
) -> None:
    header, rows = table
    sizes = [len(as_csv([row])) for row in rows]
    room = data.draw(st.integers(min(sizes), max(sizes)), "room")
    width = len(header) + 1
    filled = TEXTS.filter(bool)
    wrong = st.one_of(
        st.tuples(filled).map(list),
        st.tuples(st.lists(TEXTS, min_size=width, max_size=50), filled).map(lambda cells: [*cells[0], cells[1]]),
    )
    sources = []
    for row, size in zip(rows, sizes, strict=True):
        sources += [(cells, False) for cells in data.draw(st.lists(wrong, max_size=2))]
        sources.append(([*row, "unknown"], size <= room))
    content = as_csv([[*header, "Owner"], *(cells for cells, _ in sources)], **dialect)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        limit = len(as_csv([header])) + room
        prepared = prepare(content, folder, max_file_bytes=limit, on_invalid_rows="quarantine", delimiter=",")
        assert read_rows(prepared, folder) == [cells[:-1] for cells, valid in sources if valid]
        invalid = [cells for cells, valid in sources if not valid]
        quarantined = read_csv(folder / "quarantine.csv")[1:] if invalid else []
        assert [cells[2:] for cells in quarantined] == invalid
        assert prepared.rows_read == len(sources)
        assert prepared.rows_quarantined == len(invalid)
        assert all(part.size_bytes <= limit for part in prepared.parts)


def old_sheet(rows: Sequence[Sequence[object]]) -> bytes:
    """Return an .xls file with these rows."""
    workbook = xlwt.Workbook()
    sheet = workbook.add_sheet("Servers")
    for number, row in enumerate(rows):
        for place, cell in enumerate(row):
            sheet.write(number, place, cell)
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


def open_document(rows: Sequence[Sequence[str]]) -> bytes:
    """Return an .ods file with these rows."""
    document = OpenDocumentSpreadsheet()
    table = Table(name="Servers")
    for row in rows:
        cells = TableRow()
        for text in row:
            cell = TableCell(valuetype="string")
            cell.addElement(P(text=text))
            cells.addElement(cell)
        table.addElement(cells)
    document.spreadsheet.addElement(table)
    content = io.BytesIO()
    document.write(content)
    return content.getvalue()


NAME = {"Name": "HostName"}
RAM = {**NAME, "RAM": "RAM.TotalSizeInMB"}
IP = {**NAME, "IP": "IPAddress"}
ALL = {**IP, **RAM}
APP = {**NAME, "App": "Applications"}
CPU = {**NAME, "CPU": "CPU.UsagePct.Avg"}
ID = {**NAME, "Id": "ExternalId"}
TAG = {**NAME, "Labels": "Tags"}
CMDB = [["Name", "IP"], ["web1", "10.0.0.1"]]


class Input(NamedTuple):
    """
    A user's file, and the expected result.

    :param name: the id of the test case.
    :param content: the file.
    :param options: the parameters.
    :param rows: the rows that are sent; for a question, after its first answer was pasted.
    :param answers: the lines to choose from, if the user is asked.
    :param reason: a part of the reason in the message or the quarantine, if a row or the file is refused.
    :param warning: a part of a warning in the report.
    """

    name: str
    content: str | bytes
    options: dict[str, Any]
    rows: list[list[str]] = []
    answers: tuple[str, ...] = ()
    reason: str = ""
    warning: str = ""


def ram(unit: str, header: str = "RAM") -> str:
    return f'"{header}": {{"column": "RAM.TotalSizeInMB", "unit": "{unit}"}},'


def split(separator: str, header: str = "App", column: str = "Applications") -> str:
    return f'"{header}": {{"column": "{column}", "separator": {separator}}},'


def numbers(cell: str) -> str:
    return f'Name,RAM\nweb1,"{cell}"\n'


TWO = [["web1", "10.0.0.1, 10.0.0.2"]]
INPUTS = [
    Input("RAM of 4.0", numbers("4.0"), RAM, [["web1", "4096"]], (ram("GB"), ram("MB"))),
    Input(
        "Memory (GB)",
        "Name,Memory (GB)\nweb1,16\n",
        {**NAME, "Memory (GB)": "RAM.TotalSizeInMB"},
        [["web1", "16384"]],
        (ram("GB", "Memory (GB)"), ram("MB", "Memory (GB)")),
    ),
    Input(
        "CPU load of 0.12",
        "Name,CPU load\nweb1,0.12\n",
        {**NAME, "CPU load": "CPU.UsagePct.Avg"},
        [["web1", "12"]],
        tuple(f'"CPU load": {{"column": "CPU.UsagePct.Avg", "unit": "{unit}"}},' for unit in ("fraction", "%")),
    ),
    Input("16 GiB", numbers("16 GiB"), RAM, [["web1", "16384"]]),
    Input(
        "RAM of 8 between numbers of MB",
        "Name,RAM\nweb1,4096\nweb2,8\nweb3,8192\n",
        RAM,
        [["web1", "4096"], ["web2", "8"], ["web3", "8192"]],
        warning="numbers that are unlikely in MB, such as 8: 1",
    ),
    Input("16,384", numbers("16,384"), RAM, [], ('decimal=",",', 'thousands=",",')),
    Input("16 384", numbers("16 384"), RAM, [["web1", "16384"]], ('thousands=" ",',)),
    Input("16\u2019384", numbers("16\u2019384"), RAM, [["web1", "16384"]], ('thousands="\'",',)),
    Input("1,31,072", numbers("1,31,072"), RAM, [["web1", "131072"]], ('thousands=",",',)),
    Input("1.024.000", numbers("1.024.000"), RAM, [["web1", "1024000"]], ('thousands=".",',)),
    Input('="00123"', 'Name,Id\nweb1,"=""00123"""\n', ID, [["web1", "00123"]]),
    Input("'00123", "Name,Id\nweb1,'00123\n", ID, [["web1", "00123"]]),
    Input("=A1&B1", "Name,Id\nweb1,=A1&B1\n", ID, [], (), "'=A1&B1' is a formula"),
    Input("1.23E+11", "Name,Id\nweb1,1.23E+11\nweb2,1.23E+11\n", ID, [], (), "rounded"),
    *(
        Input(f"addresses divided by {separator!r}", f'Name,IP\nweb1,"10.0.0.1{separator}10.0.0.2"\n', IP, TWO)
        for separator in (";", "|", "/", " ", "\n")
    ),
    Input("IPv6", "Name,IP\nweb1,2001:DB8::1\n", IP, [["web1", "2001:db8::1"]]),
    Input("10.0.0.1/24", "Name,IP\nweb1,10.0.0.1/24\n", IP, [["web1", "10.0.0.1"]]),
    *(
        Input(
            address,
            f"Name,IP\nweb1,{address}\n",
            IP,
            [["web1", ""]],
            warning=f"addresses that identify no server were ignored, such as {address}",
        )
        for address in ("10.0.0.0/24", "224.0.0.251")
    ),
    Input("10.0.0.999", "Name,IP\nweb1,10.0.0.999\n", IP, [], (), "'10.0.0.999' is not an IP address"),
    Input("DHCP", "Name,IP\nweb1,DHCP\n", IP, [], (), "'DHCP' is not an IP address"),
    Input(
        "0050.56ab.cdef",
        "Name,MAC\nweb1,0050.56ab.cdef\n",
        {**NAME, "MAC": "MACAddress"},
        [["web1", "00:50:56:AB:CD:EF"]],
    ),
    Input("CRM||ERP", "Name,App\nweb1,CRM||ERP\n", APP, [["web1", "CRM, ERP"]], (split('"||"'), split("None"))),
    Input("CRM;ERP", "Name,App\nweb1,CRM;ERP\n", APP, [["web1", "CRM, ERP"]], (split('";"'), split("None"))),
    *(
        Input(
            f"CRM;ERP|HR divided by {separator!r}",
            "Name,App\nweb1,CRM;ERP|HR\n",
            {**NAME, "App": {"column": "Applications", "separator": separator}},
            [],
            (),
            "which might be a separator too",
        )
        for separator in (";", "|")
    ),
    Input(
        "a comma in an application",
        'Name,App\nweb1,"TSSS (Spotfire, R and TERR)"\n',
        {**APP, "App": {"column": "Applications", "separator": None}},
        [],
        (),
        "contains a comma",
    ),
    Input(
        "env=prod;tier=web",
        "Name,Labels\nweb1,env=prod;tier=web\n",
        TAG,
        [["web1", "env:prod, tier:web"]],
        tuple(
            f'"Labels": {{"column": "Tags", "pair_separator": "=", "separator": {separator}}},'
            for separator in ('";"', "None")
        ),
    ),
    Input("bare words as tags", "Name,Labels\nweb1,prod web\n", TAG, [], (), "does not have the form name:value"),
    *(
        Input(f"{cell} as the only identity", f"Name,OS.Name\n{cell},Linux\n", NAME, [], (), "The row needs one of")
        for cell in ("N/A", "-", "unknown", "#REF!")
    ),
    Input("System.String[] as an address", "Name,IP\nweb1,System.String[]\n", IP, [["web1", ""]]),
    Input("a missing last cell", "Name,IP,Notes\nweb2,10.0.0.2\n", IP, [["web2", "10.0.0.2"]]),
    Input(
        "Name,IP,IP",
        "Name,IP,IP\nweb1,10.0.0.1,10.0.0.2\n",
        IP,
        TWO,
        ('"IP.1": "IPAddress",', '"IP.1": None,'),
    ),
    Input("#TYPE", '#TYPE Selected.VM\n"Name","IP"\n"web1","10.0.0.1"\n', IP, CMDB[1:]),
    Input("sep=;", "sep=;\nName;IP\nweb1;10.0.0.1\n", IP, CMDB[1:]),
    Input(
        "8388608 under TotalPhysicalMemory0",
        "Name,TotalPhysicalMemory0\nweb1,8388608\n",
        {**NAME, "TotalPhysicalMemory0": "RAM.TotalSizeInMB"},
        [["web1", "8192"]],
        tuple(ram(unit, "TotalPhysicalMemory0") for unit in ("KB", "B", "MB")),
    ),
    Input("joined files", '\ufeff"Name","IP"\n\ufeff"web1","10.0.0.1"\n', IP, CMDB[1:]),
    Input("a header of a joined file", "\ufeffName,OS.Name\nweb1,x\n\ufeffName,OS.Name\n", NAME, [], (), "repeats the"),
    Input("invisible characters", "Name,IP\n\u200eweb\u200b1\u00ad,10.0.0.1\u200e\n", IP, CMDB[1:]),
    Input("a no-break space", "Name,App\nweb1,SAP\u00a0ERP\n", APP, [["web1", "SAP ERP"]]),
    Input("22.04 in German Excel", "Name,OS.Version\nweb1,22. Apr\n", NAME, [], (), "is a date"),
    Input(
        "VirtualMachine-vm-101",
        "Name,Id\nweb1,VirtualMachine-vm-101\n",
        {**NAME, "Id": "VMware.MoRefId"},
        [["web1", "vm-101"]],
    ),
    Input(
        "a report of Configuration Manager",
        "Textbox1,Textbox5\nHardware 01A,All Systems\n\nDetails_Table0_ComputerName,b,c\nweb1,x,y\n",
        {"Details_Table0_ComputerName": "HostName"},
        [["web1"]],
    ),
    Input("two title rows", "Servers\n2026-11-26,\nName,IP\nweb1,10.0.0.1\n", IP, CMDB[1:]),
    Input("UTF-16 with a byte order mark", "Name\tIP\r\nweb1\t10.0.0.1\r\n".encode("utf-16"), IP, CMDB[1:]),
    Input("UTF-16 without one", "Name\tIP\r\nweb1\t10.0.0.1\r\n".encode("utf-16-le"), IP, CMDB[1:]),
    Input(
        "cp1252",
        "Name,OS.Name\nmünchen1,Linux für Büros\n".encode("cp1252"),
        NAME,
        [["münchen1", "Linux für Büros"]],
        ('encoding="cp1252",', 'encoding="cp1251",', 'encoding="cp850",'),
    ),
    Input("semicolons and decimal commas", "Name;RAM\nweb1;4096,5\n", RAM, [["web1", "4096.5"]], ('decimal=",",',)),
    *(
        Input(f"footer {footer!r}", f"Name,IP,RAM\nweb1,10.0.0.1,4096\n{footer}\n", ALL, [], (), "Delete the row")
        for footer in ("Total,,4096", "Grand total:,,", "2 rows,,", "Exported on 2026-11-26,,", "For internal use,,")
    ),
    *(
        Input(f"the row {row!r}", f"Name,OS.Name\nweb1,Linux\n{row}\n", NAME, [], (), reason)
        for row, reason in (
            ("Name,OS.Name", "The row repeats the header"),
            ("--------,-------", "does not identify a server"),
            ("#######,Linux", "does not identify a server"),
            ("localhost,Linux", "identifies no server"),
            ("01-Mar,Linux", "is a date"),
            ("01. Mrz,Linux", "is a date"),
            ("m\ufffdnchen1,Linux", "has lost characters"),
            ("web5/web6,Linux", "is more than one name"),
            ("Err:502,Linux", "The row needs one of"),
            ("#NV,Linux", "The row needs one of"),
            ("\\N,Linux", "The row needs one of"),
            (' "web2",Linux', "has a blank before its quote"),
            ('web2, "Windows', "has a blank before its quote"),
        )
    ),
    *(
        Input(f"footer {footer!r}", f"Name,IP,RAM\nweb1,10.0.0.1,4096\n{footer},,4096\n", ALL, [], (), "Delete the row")
        for footer in (
            "Summe",
            "Total RAM",
            "Summe RAM",
            "Gesamt Arbeitsspeicher",
            "Total (3)",
            "Total = 3",
            "Total\u00a0servers",
            "Total number of servers: 3",
            "\u5408\u8a08",
        )
    ),
    Input(
        "a sheet that begins in column B",
        sheets(S=[[None, "Name", "CPU"], [None, "web1", (0.85, "0%")]]),
        CPU,
        [["web1", "85"]],
    ),
    Input(
        "merged cells in column B",
        sheets(S=[[None, "Name", "IP"], [None, "web1", "10.0.0.1"], [None, None, "10.0.0.2"]], merged=["B2:B3"]),
        IP,
        [["web1", "10.0.0.1"], ["web1", "10.0.0.2"]],
    ),
    *(
        Input(
            f"CRM{separator!a}ERP",
            f'Name,App\nweb1,"CRM{separator}ERP"\n',
            APP,
            [["web1", "CRM, ERP"]],
            (split(json.dumps(separator, ensure_ascii=not separator.isprintable())), split("None")),
        )
        for separator in ("\uff1b", "\u3001", "\uff0c", "\r")
    ),
    Input("footer in Excel", sheets(S=[*CMDB, ["1 server"]]), IP, [], (), "Delete the row"),
    Input("a server with only a name", "Name,IP\nweb1,10.0.0.1\nweb2,\n", IP, [["web1", "10.0.0.1"], ["web2", ""]]),
    Input("JSON", '[{"Name": "web1"}]', {}, [], (), "The file is JSON"),
    Input("HTML named .xls", "<html><table><tr><td>Name</td></tr></table></html>", {}, [], (), "The file is HTML"),
    Input("7z", b"7z\xbc\xaf\x27\x1c\0\x04", {}, [], (), "The file is a 7z archive"),
    Input(".xlsx with a hidden sheet first", sheets(hidden=[["x"]], Servers=CMDB), IP, CMDB[1:]),
    Input(
        "two sheets that fit",
        sheets(North=CMDB, South=CMDB),
        IP,
        CMDB[1:],
        ('sheet_name="North",', 'sheet_name="South",'),
    ),
    Input("85 % in Excel", sheets(S=[["Name", "CPU"], ["web1", (0.85, "0%")]]), CPU, [["web1", "85"]]),
    Input("00123 in Excel", sheets(S=[["Name", "Id"], ["web1", (123, "00000")]]), ID, [["web1", "00123"]]),
    Input("16 GB in Excel", sheets(S=[["Name", "RAM"], ["web1", (16, '0" GB"')]]), RAM, [["web1", "16384"]]),
    Input(
        "merged cells",
        sheets(S=[["Name", "IP"], ["web1", "10.0.0.1"], ["", "10.0.0.2"]], merged=["A2:A3"]),
        IP,
        [["web1", "10.0.0.1"], ["web1", "10.0.0.2"]],
        warning="Cells that are merged with the one above them, whose value they received: 1.",
    ),
    Input(
        "a hidden row in Excel",
        sheets(S=[*CMDB, ["web2", "10.0.0.2"]], hidden_rows=[3]),
        IP,
        [["web1", "10.0.0.1"], ["web2", "10.0.0.2"]],
        warning="Rows that the sheet hides, perhaps with a filter, and that are read like the others: 1.",
    ),
    Input(
        "two values for a tag",
        'Name,Labels\nweb1,"env:prod, env:test"\n',
        TAG,
        [["web1", "env:prod, env:test"]],
        warning="several values for one tag",
    ),
    Input(
        "16 under Mémoire (Go)",
        "Name,Mémoire (Go)\nweb1,16\n",
        {**NAME, "Mémoire (Go)": "RAM.TotalSizeInMB"},
        [["web1", "16384"]],
        (ram("GB", "Mémoire (Go)"), ram("MB", "Mémoire (Go)")),
    ),
    Input("16 Go", "Name,RAM\nweb1,16 Go\n", RAM, [["web1", "16384"]]),
    Input(
        "a heading",
        "Name,IP\nZürich,\n" + "".join(f"web{n},10.0.0.{n}\n" for n in range(1, 10)),
        IP,
        [["Zürich", ""], *([f"web{n}", f"10.0.0.{n}"] for n in range(1, 10))],
        warning="might be headings instead of servers: 1, such as 'Zürich'.",
    ),
    Input(".xls", old_sheet(CMDB), IP, CMDB[1:], warning="Merged cells, errors and formulas"),
    Input("the beginning of a ZIP file", pack({"a.csv": b"a,b"})[:40], {}, [], (), "truncated or damaged ZIP file"),
    Input(".xlsm", macro_workbook(CMDB), IP, CMDB[1:]),
    Input(".xlsb", xlsb_workbook([["Name", "RAM"], ["web1", 4096.0]]), RAM, [["web1", "4096"]], warning="Merged cells"),
    Input("a workbook with a password", encrypted_workbook(), {}, [], (), "It has a password."),
    Input(".ods", open_document(CMDB), IP, CMDB[1:]),
    Input("a ZIP file of another tool", pack({"dependencies/servers.csv": b"a,b"}), {}, [], (), "RVTools"),
]


@pytest.mark.parametrize("given_file", INPUTS, ids=lambda given_file: given_file.name)
def test_files_of_users(given_file: Input, tmp_path: Path) -> None:
    options: dict[str, Any] = {"column_mapping": given_file.options or None, "on_invalid_rows": "quarantine"}
    if given_file.reason:
        assert given_file.reason in refuse(given_file.content, tmp_path, **{**options, "on_invalid_rows": "fail"})
        outcome = f"refused or quarantined: {given_file.reason}"
    else:
        if given_file.answers:
            message = refuse(given_file.content, tmp_path, **options)
            lines = [line.strip() for line in message.splitlines() if line.startswith("    ")]
            assert set(given_file.answers) <= set(lines)
            paste(given_file.answers[0], options)
        # Numbers that are 16.384 need another answer, about the unit.
        prepared = prepare(given_file.content, tmp_path, **options) if given_file.rows else None
        assert (read_rows(prepared, tmp_path) if prepared else []) == given_file.rows
        warnings = " ".join(prepared.warnings) if prepared else ""
        assert given_file.warning in warnings
        outcome = (
            f"sent as {given_file.rows}" if not given_file.answers else f"asked: {' or '.join(given_file.answers)}"
        )
    print(f"{given_file.name:38} {outcome}")


def paste(line: str, options: dict[str, Any]) -> None:
    """Add a line of a message to the parameters of a task."""
    if line.startswith('"'):
        options["column_mapping"] = {**(options["column_mapping"] or {}), **eval(f"{{{line}}}")}
    else:
        options.update(eval(f"dict({line})"))


class Dialect(NamedTuple):
    """The dialect of a table; ``delimiter`` is None for .xlsx, and ``is_given`` is True if parameters describe it."""

    delimiter: str | None
    encoding: str
    titles: int
    decimal: str
    memory: str
    items: str
    is_given: bool


DIALECT = st.builds(
    Dialect,
    st.sampled_from([",", ";", "\t", "|", None]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]),
    st.integers(0, 2),
    st.sampled_from([".", ","]),
    st.sampled_from(["MB", "GB", "in cells"]),
    st.sampled_from([", ", ";", "|", "\n"]),
    st.booleans(),
)
SERVERS_OF_ANY_KIND = st.lists(
    st.tuples(
        st.from_regex(r"[a-zäöü]{3}[0-9]{1,3}", fullmatch=True),
        st.lists(IP_ADDRESSES, unique=True, min_size=1, max_size=3),
        st.integers(4, 512).map(lambda number: number * 512),
        st.lists(st.sampled_from(["CRM", "ERP", "Büro", "SAP (prod)"]), unique=True, max_size=2),
        st.integers(0, 10_000).map(lambda number: number / 100),
    ),
    min_size=2,
    max_size=8,
)


def write(servers: Sequence[tuple[Any, ...]], dialect: Dialect) -> bytes:
    rows: list[list[str]] = [["Servers"]] * dialect.titles
    rows.append(["Name", "IP", "RAM", "App", "CPU %"])
    for name, addresses, megabytes, applications, load in servers:
        size = str(megabytes) if dialect.memory == "MB" else f"{megabytes / 1024:.2f}"
        size += " GiB" if dialect.memory == "in cells" else ""
        lists = [dialect.items.join(items) for items in (addresses, applications)]
        numbers = [text.replace(".", dialect.decimal) for text in (size, f"{load:.2f}")]
        rows.append([name, lists[0], numbers[0], lists[1], numbers[1]])
    if dialect.delimiter is None:
        return sheets(Servers=rows)
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=dialect.delimiter).writerows(rows)
    return text.getvalue().encode(dialect.encoding)


def options_for(dialect: Dialect) -> dict[str, Any]:
    mapping: dict[str, Any] = {**RAM, **IP, **APP, "CPU %": "CPU.UsagePct.Avg"}
    options: dict[str, Any] = {"column_mapping": mapping}
    if dialect.is_given:
        if dialect.encoding == "cp1252":
            options["encoding"] = "cp1252"
        if dialect.decimal == ",":
            options["decimal"] = ","
        mapping["RAM"] = {"column": "RAM.TotalSizeInMB", "unit": "MB" if dialect.memory == "MB" else "GB"}
        mapping["App"] = {"column": "Applications", "separator": dialect.items.strip() or dialect.items}
        mapping["CPU %"] = {"column": "CPU.UsagePct.Avg", "unit": "%"}
    return options


def test_servers_in_any_dialect_are_read_the_same_or_cause_a_question() -> None:
    was_read: list[bool] = []

    @settings(deadline=None, max_examples=150, database=None)
    @given(SERVERS_OF_ANY_KIND, DIALECT)
    def round_trip(servers: list[tuple[Any, ...]], dialect: Dialect) -> None:
        with tempfile.TemporaryDirectory() as name:
            try:
                prepared = prepare(write(servers, dialect), Path(name), **options_for(dialect))
            except AmbiguousFileError:
                was_read.extend([False] * dialect.is_given)
                return
            was_read.extend([True] * dialect.is_given)
            found = [
                (
                    name,
                    addresses.split(", "),
                    float(memory),
                    applications.split(", ") if applications else [],
                    float(cpu),
                )
                for name, addresses, memory, applications, cpu in read_rows(prepared, Path(name))
            ]
        assert found == [tuple(server) for server in servers]

    round_trip()
    assert sum(was_read) >= 0.95 * len(was_read) > 20


@pytest.mark.parametrize("options", [{}, {"decimal": ","}, {"thousands": "."}])
def test_numbers_of_a_workbook_have_a_point_even_if_its_texts_have_a_comma(
    options: dict[str, str], tmp_path: Path
) -> None:
    text = "12,5" if options else "12.5"
    rows: list[list[object]] = [
        ["HostName", "CPU.UsagePct.Avg", "CPU.UsagePct.Max"],
        ["web1", 16.384, text],
        ["web2", text, 99.125],
    ]
    prepared = prepare(sheets(Servers=rows), tmp_path, **options)
    assert read_rows(prepared, tmp_path) == [["web1", "16.384", "12.5"], ["web2", "12.5", "99.125"]]


def test_a_whole_number_that_is_shown_in_thousands_has_a_point(tmp_path: Path) -> None:
    rows: list[list[object]] = [["HostName", "RAM"], ["web1", (16384, '0.000,"M"')], ["web2", "1.024"]]
    mapping = {"RAM": {"column": "RAM.TotalSizeInMB", "unit": "MB"}}
    prepared = prepare(sheets(Servers=rows), tmp_path, thousands=".", column_mapping=mapping)
    assert read_rows(prepared, tmp_path) == [["web1", "16.384"], ["web2", "1024"]]
