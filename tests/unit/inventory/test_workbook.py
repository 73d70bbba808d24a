from __future__ import annotations

import datetime
import sys
import tracemalloc
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import xlwt  # type: ignore[import-untyped]
from odf.office import Annotation  # type: ignore[import-untyped]
from odf.opendocument import OpenDocumentSpreadsheet  # type: ignore[import-untyped]
from odf.table import CoveredTableCell, TableCell, TableRow  # type: ignore[import-untyped]
from odf.table import Table as OdfTable
from odf.text import P  # type: ignore[import-untyped]

from airflow_provider_ads.inventory.table import AmbiguousFileError, SuspectCell, find_header, unique_headers
from airflow_provider_ads.inventory.template import ImportFileError
from airflow_provider_ads.inventory.workbook import WorkbookTable
from tests.support.inventories import sheets

HEADER = ["HostName", "CPU"]


def is_header(cells: Sequence[str]) -> bool:
    return "HostName" in cells


def write(path: Path, contents: Mapping[str, Sequence[Sequence[Any]]], merged: Sequence[str] = ()) -> Path:
    path.write_bytes(sheets(merged=merged, **contents))
    return path


def replace_in(path: Path, member: str, old: bytes, new: bytes) -> Path:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert old in members[member]
    members[member] = members[member].replace(old, new)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


SHEET = "xl/worksheets/sheet1.xml"


def read(path: Path, sheet_name: str | None = None) -> list[list[str]]:
    return [record.cells for record in WorkbookTable(path, is_header, sheet_name)]


class TestCells:
    def test_numbers_and_booleans_become_text_as_a_spreadsheet_shows_them(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [["HostName", "b", "c", "d"], ["x", 4.0, 0.1, True]]})
        assert read(path) == [["x", "4", "0.1", "TRUE"]]

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (datetime.date(2024, 1, 2), "2024-01-02"),
            (datetime.datetime(2024, 1, 2, 3, 4), "2024-01-02T03:04:00"),
            (datetime.time(3, 4), "03:04:00"),
            (datetime.timedelta(hours=30), "30:00:00"),
        ],
    )
    def test_dates_and_times_are_suspect(self, tmp_path: Path, value: object, text: str) -> None:
        [[_, cell]] = read(write(tmp_path / "a.xlsx", {"S": [HEADER, ["x", value]]}))
        assert cell == text
        assert isinstance(cell, SuspectCell)
        assert cell.reason == "is a date or a time, which the spreadsheet has made from what was typed"

    def test_numbers_with_16_digits_are_suspect_and_those_with_15_are_not(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, [999_999_999_999_999, 1_234_567_890_123_456]]})
        [[exact, inexact]] = read(path)
        assert (exact, type(exact)) == ("999999999999999", str)
        assert inexact == "1234567890123456"
        assert isinstance(inexact, SuspectCell)
        assert inexact.reason == "has 16 or more digits, of which the spreadsheet keeps only 15"

    @pytest.mark.parametrize(
        ("value", "number_format", "text"),
        [
            (0.85, "0%", "85%"),
            (0.1234, "0.00%", "12.34%"),
            (0.29, "[Red]0.0%;-0%", "29%"),
            (123, "00000", "00123"),
            (1_234_567, "00000", "1234567"),
            (12_345_678, "000-00-0000", "012-34-5678"),
            (7, r"\S\R\V\-000", "SRV-007"),
            (16, '0" GB"', "16 GB"),
            (16.5, 'General" GB"', "16.5 GB"),
            (1_500_000, '#,##0.0,," MB"', "1.5 MB"),
            (16_384, '0," GB"', "16.384 GB"),
            # These show the number, perhaps rounded, with a currency or as a date.
            (4096.5, "#,##0", "4096.5"),
            (4096, "_-* #,##0.00 [$€-407]_-", "4096"),
            (5, '"$"0', "5"),
            (4096, "0.00E+00", "4096"),
            (0.5, "# ?/?", "0.5"),
            # These show thousands, millions and billions, and not a unit.
            (16_384, '0.0,"K"', "16384"),
            (1_500_000, '#,##0.0,," m"', "1500000"),
            (1_500_000_000, r"0.0,,,\B", "1500000000"),
            (1_500_000_000, '0.0,,,"G"', "1500000000"),
        ],
    )
    def test_numbers_are_read_as_their_format_shows_them(
        self, tmp_path: Path, value: float, number_format: str, text: str
    ) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, ["x", (value, number_format)]]})
        assert read(path) == [["x", text]]

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'<c r="B2"', b"<c"),
            (b'<c r="B2" s="1" t="n"><v>', b"<c  s = '1' r = 'B2' >\n<v>"),
            (
                b'<c r="B3" t="inlineStr"><is><t>y2</t></is></c>',
                b'<c r="B3" t="str"><f>T(1)</f><v>y2</v></c>',
            ),
        ],
    )
    def test_other_xml_of_a_number_with_a_format(self, tmp_path: Path, old: bytes, new: bytes) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, ["x", (0.85, "0%")], ["y", "y2"]]})
        replace_in(path, SHEET, old, new)
        assert read(path) == [["x", "85%"], ["y", "y2"]]

    def test_numbers_with_16_digits_stay_suspect_with_a_format(self, tmp_path: Path) -> None:
        [[_, cell]] = read(write(tmp_path / "a.xlsx", {"S": [HEADER, ["x", (1_234_567_890_123_456, "0" * 20)]]}))
        assert isinstance(cell, SuspectCell)

    def test_errors_are_read_as_their_text(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, ["x", "#REF!"], ["#N/A"]]})
        assert read(path) == [["x", "#REF!"], ["#N/A", ""]]

    def test_formulas_without_a_value_are_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"My sheet": [HEADER, ["x", "=1+1"], ["=A2", 1]]})
        with pytest.raises(ImportFileError, match="Cell B2 of sheet 'My sheet' has a formula without a saved value"):
            read(path)

    @pytest.mark.parametrize(("others", "more"), [(1, "1 other cell has"), (2, "2 other cells have")])
    def test_other_formulas_without_a_value_are_counted(self, tmp_path: Path, others: int, more: str) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, *[["x", "=1+1"]] * (others + 1)]})
        with pytest.raises(ImportFileError, match=rf"without a saved value\. {more} none either\. Open the file"):
            read(path)

    @pytest.mark.parametrize(
        ("saved", "text"), [(b"<c r='B2'><f>1+1</f><v>2</v></c>", "2"), (b"<c r='B2' t='str'><f>T(1)</f><v/></c>", "")]
    )
    def test_formulas_with_a_saved_value_are_read_as_that_value(self, tmp_path: Path, saved: bytes, text: str) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, ["x", "=1+1"]]})
        replace_in(path, SHEET, b'<c r="B2"><f>1+1</f><v></v></c>', saved)
        assert read(path) == [["x", text]]

    def test_zeros_that_xlsxwriter_saves_for_formulas_are_not_values(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, ["x", "=1+1"]]})
        # openpyxl, too, sets fullCalcOnLoad.
        replace_in(path, SHEET, b'<c r="B2"><f>1+1</f><v></v></c>', b'<c r="B2"><f>1+1</f><v>0</v></c>')
        with pytest.raises(ImportFileError, match="Cell B2 of sheet 'S' has a formula without a saved value"):
            read(path)

    def test_empty_rows_are_omitted_and_short_rows_filled(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, ["x"], [], [" "], ["y", 1, 2]]})
        records = list(WorkbookTable(path, is_header))
        assert [(record.line, record.cells) for record in records] == [(2, ["x", ""]), (5, ["y", "1", "2"])]

    def test_more_rows_than_a_batch_are_all_read_twice(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, *([f"h{n}", n] for n in range(2_500))]})
        table = WorkbookTable(path, is_header)
        expected = [[f"h{n}", str(n)] for n in range(2_500)]
        assert [record.cells for record in table] == expected
        assert [record.cells for record in table] == expected


class TestMergedCells:
    # With an error, the whole XML is parsed.
    @pytest.mark.parametrize("last", ["5", "#N/A"])
    def test_cells_below_have_the_value_that_the_sheet_shows(self, tmp_path: Path, last: str) -> None:
        rows = [HEADER, ["a", "1"], ["", "2"], ["", ""], ["", "3"], ["b", "4"], ["", last]]
        path = write(tmp_path / "a.xlsx", {"S": rows}, merged=["A2:A5"])
        table = WorkbookTable(path, is_header)
        for _ in range(2):
            assert [record.cells for record in table] == [
                ["a", "1"],
                ["a", "2"],
                ["a", "3"],
                ["b", "4"],
                ["", last],
            ]
            assert table.warnings == ["Cells that are merged with the one above them, whose value they received: 2."]

    def test_a_note_beside_the_table_stays_in_its_row(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, ["a", "1", "note"], ["b", "2"]]}, merged=["C2:C3"])
        assert read(path) == [["a", "1", "note"], ["b", "2"]]

    def test_cells_on_the_right_and_below_the_header_stay_empty(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, ["", "Sockets"], ["a"]]}, merged=["A1:A2", "A3:B3"])
        table = WorkbookTable(path, is_header)
        assert [record.cells for record in table] == [["", "Sockets"], ["a", ""]]
        assert table.warnings == []

    def test_dates_stay_suspect(self, tmp_path: Path) -> None:
        date = datetime.date(2024, 1, 2)
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, [date, "1"], ["", "2"]]}, merged=["A2:A3"])
        assert [type(cells[0]) for cells in read(path)] == [SuspectCell, SuspectCell]


class TestHiddenRows:
    HIDDEN = "Rows that the sheet hides, perhaps with a filter, and that are read like the others: "

    # With an error, or without the number of a row, the whole XML is parsed.
    @pytest.mark.parametrize(
        ("last", "old", "new"),
        [
            ("1", b"", b""),
            ("#N/A", b"", b""),
            ("1", b'<row r="3" hidden="1"', b"<row hidden='true'"),
        ],
    )
    def test_those_below_the_header_that_are_not_empty_are_counted(
        self, tmp_path: Path, last: str, old: bytes, new: bytes
    ) -> None:
        path = tmp_path / "a.xlsx"
        path.write_bytes(sheets(S=[["Title"], HEADER, ["a"], ["b", last]], hidden_rows=[1, 3, 9]))
        table = WorkbookTable(replace_in(path, SHEET, old, new), is_header)
        assert [record.cells for record in table] == [["a", ""], ["b", last]]
        assert table.warnings == [f"{self.HIDDEN}1."]

    def test_hidden_columns_are_not_counted(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, ["a"]]})
        replace_in(path, SHEET, b"<sheetData>", b'<cols><col min="2" max="2" hidden="1"/></cols><sheetData>')
        table = WorkbookTable(path, is_header)
        assert [record.cells for record in table] == [["a", ""]]
        assert table.warnings == []

    @pytest.mark.parametrize("visibility", ["filter", "collapse"])
    def test_an_open_document_spreadsheet(self, tmp_path: Path, visibility: str) -> None:
        document = OpenDocumentSpreadsheet()
        table = OdfTable(name="S")
        for text, attributes in (
            ("HostName", {}),
            ("a", {"visibility": visibility, "numberrowsrepeated": 2}),
            ("b", {}),
        ):
            row = TableRow(**attributes)
            cell = TableCell(valuetype="string")
            cell.addElement(P(text=text))
            row.addElement(cell)
            table.addElement(row)
        document.spreadsheet.addElement(table)
        document.save(str(tmp_path / "a.ods"))
        read_table = WorkbookTable(tmp_path / "a.ods", is_header)
        assert [record.cells for record in read_table] == [["a"], ["a"], ["b"]]
        assert read_table.warnings == [f"{self.HIDDEN}2."]


class TestFormats:
    def test_an_old_excel_file(self, tmp_path: Path) -> None:
        workbook = xlwt.Workbook()
        sheet = workbook.add_sheet("S")
        rows: list[list[Any]] = [HEADER, ["x", 4]]
        for row, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                sheet.write(row, column, cell)
        workbook.save(str(tmp_path / "a.xls"))
        table = WorkbookTable(tmp_path / "a.xls", is_header)
        assert [record.cells for record in table] == [["x", "4"]]
        assert table.description == "sheet 'S' of a workbook"
        assert [warning[:12] for warning in table.warnings] == ["Merged cells"]

    @pytest.mark.parametrize("repeated", [1, 3])
    def test_an_open_document_spreadsheet_and_its_formulas(self, tmp_path: Path, repeated: int) -> None:
        def save(formula: dict[str, str]) -> Path:
            document = OpenDocumentSpreadsheet()
            table = OdfTable(name="S")
            row = TableRow()
            for text in HEADER:
                cell = TableCell(valuetype="string")
                cell.addElement(P(text=text))
                row.addElement(cell)
            table.addElement(row)
            row = TableRow(numberrowsrepeated=repeated)
            cell = TableCell(valuetype="string")
            cell.addElement(P(text="x"))
            row.addElement(cell)
            table.addElement(row)
            row = TableRow()
            row.addElement(TableCell(valuetype="float", value="1"))
            row.addElement(TableCell(formula="of:=1+1", **formula))
            table.addElement(row)
            document.spreadsheet.addElement(table)
            document.save(str(tmp_path / "a.ods"))
            return tmp_path / "a.ods"

        path = save({"valuetype": "float", "value": "2"})
        assert read(path) == [["x", ""]] * repeated + [["1", "2"]]
        assert WorkbookTable(path, is_header).description == "sheet 'S' of a workbook"
        with pytest.raises(ImportFileError, match=f"Cell B{repeated + 2} of sheet 'S' has a formula"):
            read(save({}))

    def test_what_an_open_document_spreadsheet_shows(self, tmp_path: Path) -> None:
        def cell(text: str, **attributes: Any) -> Any:
            cell = TableCell(**attributes)
            cell.addElement(P(text=text))
            return cell

        document = OpenDocumentSpreadsheet()
        for name in ("Other", "S"):
            table = OdfTable(name=name)
            percentage = cell("85,00 %", valuetype="percentage", value="0.85", numbercolumnsrepeated=2)
            error = cell("#DIV/0!", valuetype="string", stringvalue="")
            error.setAttrNS(
                "urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0", "value-type", "error"
            )
            merged = cell("a", valuetype="string", numberrowsspanned=2)
            for cells in (
                [cell(text, valuetype="string") for text in ("HostName", "B", "C", "D", "E")],
                [merged, percentage, cell("00123", valuetype="float", value="123"), error],
                [CoveredTableCell(), cell("4", valuetype="float", value="4")],
            ):
                row = TableRow()
                for each in cells:
                    row.addElement(each)
                table.addElement(row)
            table.addElement(TableRow(numberrowsrepeated=1_000_000))
            document.spreadsheet.addElement(table)
        document.save(str(tmp_path / "a.ods"))
        table = WorkbookTable(tmp_path / "a.ods", is_header, "S")
        assert [record.cells for record in table] == [["a", "85%", "85%", "00123", "#DIV/0!"], ["a", "4", "", "", ""]]
        assert table.warnings == ["Cells that are merged with the one above them, whose value they received: 1."]

    def test_a_comment_in_an_open_document_spreadsheet_is_not_part_of_its_cell(self, tmp_path: Path) -> None:
        document = OpenDocumentSpreadsheet()
        table = OdfTable(name="S")
        for text, attributes in (
            ("HostName", {"valuetype": "string"}),
            ("00124", {"valuetype": "float", "value": "124"}),
            ("web1", {"valuetype": "string"}),
        ):
            cell = TableCell(**attributes)
            comment = Annotation()
            comment.addElement(P(text="7" if text == "00124" else "comment"))
            cell.addElement(comment)
            cell.addElement(P(text=text))
            row = TableRow()
            row.addElement(cell)
            table.addElement(row)
        document.spreadsheet.addElement(table)
        document.save(str(tmp_path / "a.ods"))
        assert read(tmp_path / "a.ods") == [["00124"], ["web1"]]


class TestSheets:
    def test_the_visible_sheet_with_a_header_is_read(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"Notes": [["text"]], "hidden": [HEADER], "New": [HEADER, ["x", 1]]})
        assert read(path) == [["x", "1"]]
        assert WorkbookTable(path, is_header).description == "sheet 'New' of a workbook"

    def test_a_hidden_sheet_is_read_if_it_is_named(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"A": [HEADER, ["a"]], "hidden": [HEADER, ["b"]]})
        assert read(path, "hidden") == [["b", ""]]

    def test_two_sheets_with_a_header_cause_a_question(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"A": [HEADER], "Ü 2": [HEADER]})
        with pytest.raises(AmbiguousFileError) as caught:
            WorkbookTable(path, is_header)
        assert caught.value.questions[0].answers == ('sheet_name="A",', 'sheet_name="Ü 2",')

    def test_the_only_sheet_needs_no_known_header(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"Empty": [], "S": [[], ["Name"], ["x"]]})
        table = WorkbookTable(path, is_header)
        assert (table.header, [record.cells for record in table]) == (["Name"], [["x"]])

    def test_a_workbook_in_which_no_sheet_fits_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"A": [["x"]], "B": [["y"]], "hidden": [HEADER]})
        with pytest.raises(ImportFileError, match=r"Set sheet_name.*Its sheets are 'A', 'B', 'hidden' \(hidden\)"):
            WorkbookTable(path, is_header)

    def test_an_unknown_sheet_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"A": [HEADER]})
        with pytest.raises(ImportFileError, match=r"no sheet 'B'\. Its sheets are 'A'"):
            WorkbookTable(path, is_header, "B")

    def test_an_empty_workbook_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ImportFileError, match="empty in the first 20 rows"):
            WorkbookTable(write(tmp_path / "a.xlsx", {"A": []}), is_header)


class TestHeader:
    def test_rows_above_it_are_skipped(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [["Inventory"], [], [None, *HEADER, None, "CPU"], ["x"]]})
        table = WorkbookTable(path, is_header)
        assert table.header == ["Unnamed: 0", "HostName", "CPU", "Unnamed: 3", "CPU.1"]
        assert table.skipped == ["Inventory"]
        assert [record.line for record in table] == [4]

    @pytest.mark.parametrize(
        ("rows", "index"),
        [
            ([["HostName"]], 0),
            ([["a"], ["HostName", "b"]], 1),
            ([["a", "b"], ["HostName", "c"]], None),
            ([["a"]] * 20 + [HEADER], None),
            ([["a"]] * 19 + [HEADER], 19),
        ],
    )
    def test_it_has_more_filled_cells_than_the_rows_above(self, rows: list[list[str]], index: int | None) -> None:
        assert find_header(rows, is_header) == index

    def test_repeated_headers_are_numbered_around_existing_names(self) -> None:
        assert unique_headers(["IP", "IP", "IP.1", "IP", ""]) == ["IP", "IP.2", "IP.1", "IP.3", "Unnamed: 4"]


class TestHostileWorkbooks:
    def refuse(self, path: Path, message: str) -> None:
        tracemalloc.start()
        try:
            with pytest.raises(ImportFileError, match=message):
                read(path)
            assert tracemalloc.get_traced_memory()[1] < 30_000_000
        finally:
            tracemalloc.stop()

    def test_a_small_file_that_claims_a_huge_sheet(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, ["x", 1]]})
        replace_in(path, SHEET, b'<c r="B2"', b'<c r="XFD1048576"')
        assert path.stat().st_size < 10_000
        self.refuse(path, "needs too much memory")

    def test_a_workbook_that_unpacks_to_600_mb_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, ["x", "BOMB"]]})
        replace_in(path, SHEET, b"BOMB", b"x" * 600_000_000)
        assert path.stat().st_size < 1_000_000
        self.refuse(path, "memory|characters")

    def test_too_many_columns(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [["HostName"] + ["x"] * 1_000]})
        self.refuse(path, "has 1,001 columns; the maximum is 1,000")

    def test_entities(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, ["SECRET", 1]]})
        (tmp_path / "secret").write_text("secret")
        replace_in(path, SHEET, b"SECRET", b"&e;")
        declaration = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]><worksheet '.encode()
        replace_in(path, SHEET, b"<worksheet ", declaration)
        self.refuse(path, "document type declaration|XmlError|Xml|entity")

    def test_a_workbook_with_a_password(self, tmp_path: Path) -> None:
        (tmp_path / "a.xlsx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2_000))
        self.refuse(tmp_path / "a.xlsx", "damaged, has a password, or is not a workbook")

    @pytest.mark.parametrize("size", [0, 100, 3_000])
    def test_a_truncated_file(self, tmp_path: Path, size: int) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER]})
        path.write_bytes(path.read_bytes()[:size])
        self.refuse(path, "cannot be read: It is damaged")

    def test_damaged_content(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.xlsx", {"S": [HEADER, ["x", 1]]})
        self.refuse(replace_in(path, SHEET, b'<row r="2"', b'<row r="2'), "cannot be read")


def test_without_calamine_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(ImportFileError, match=r"Install airflow-provider-ads\[workbook\]"):
        WorkbookTable(write(tmp_path / "a.xlsx", {"S": [HEADER]}), is_header)
