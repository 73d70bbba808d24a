from __future__ import annotations

import gzip
import importlib.util
import io
import tempfile
import tracemalloc
import zipfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ads.emulator.import_files import read_import_file
from airflow_provider_ads.inventory import rvtools
from airflow_provider_ads.inventory.rvtools import REQUIRED_SHEETS, is_rvtools_export
from airflow_provider_ads.inventory.template import ImportFileError
from tests.support.inventories import CSV_FILES, pack, prepare, read_rows, refuse
from tests.support.inventories import workbook as workbook_without_content

CONVERT = "set rvtools_as_template=True to convert the export to the import template"


def workbook(sheets: Sequence[str] = REQUIRED_SHEETS, rows: int = 1) -> bytes:
    """Return an .xlsx file with these sheets, each with a header and rows."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name in sheets:
        sheet = book.create_sheet(name)
        for row in [["VM"]] + [["web1"]] * rows:
            sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def with_workbook_xml(content: bytes) -> bytes:
    return pack({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": content})


class TestExports:
    @pytest.mark.parametrize(
        "files",
        [
            CSV_FILES,
            {f"{sheet.upper()}.CSV": b'"VM","CPUs"\n"web1","4"' for sheet in REQUIRED_SHEETS},
            {f"2026-01-02 {sheet}.csv": b"VM\nweb1\n" for sheet in (*REQUIRED_SHEETS, "vLicense")},
            CSV_FILES | {f"__MACOSX/export/._{sheet}.csv": b"metadata" for sheet in REQUIRED_SHEETS},
            CSV_FILES | {"notes.xlsx": workbook(["Notes"])},
            CSV_FILES | {"export/RVTools_tabvNic.csv": "VM\nwéb1\n".encode("utf-8-sig")},
            {"export/RVTools_export_all.xlsx": workbook()},
            {"a.XLSX": workbook([sheet.lower() for sheet in REQUIRED_SHEETS]), "__MACOSX/._a.xlsx": b"metadata"},
        ],
    )
    def test_a_zip_file_is_passed_on_unchanged(self, tmp_path: Path, files: dict[str, bytes]) -> None:
        content = pack(files)
        prepare(gzip.compress(content), tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["part-0001.zip"]
        assert (tmp_path / "part-0001.zip").read_bytes() == content

    def test_an_xlsx_file_is_packed_into_a_zip_file(self, tmp_path: Path) -> None:
        content = workbook()
        contents = []
        for _ in range(2):
            prepare(content, tmp_path)
            contents.append((tmp_path / "part-0001.zip").read_bytes())
        assert contents[0] == contents[1]
        assert [path.name for path in tmp_path.iterdir()] == ["part-0001.zip"]
        with zipfile.ZipFile(tmp_path / "part-0001.zip") as archive:
            assert archive.namelist() == ["RVTools_export.xlsx"]
            assert archive.read("RVTools_export.xlsx") == content
        # The result is an export too.
        assert prepare(contents[0], tmp_path).parts[0].size_bytes == len(contents[0])

    def test_the_emulator_recognizes_an_export(self, tmp_path: Path) -> None:
        import_file = read_import_file(pack(CSV_FILES))
        assert import_file is not None
        assert import_file.classification == prepare(pack(CSV_FILES), tmp_path).file_classification

    def test_rows_of_an_xlsx_file_are_checked_only_with_the_library_for_workbooks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = workbook(rows=0)
        assert refuse(content, tmp_path).startswith("Sheet vInfo has no rows")
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "calamine" in name else find_spec(name))
        assert prepare(content, tmp_path).file_classification == "RVTOOLS_EXPORT"


class TestRefusals:
    @pytest.mark.parametrize("sheet", REQUIRED_SHEETS)
    def test_every_required_sheet_must_exist(self, tmp_path: Path, sheet: str) -> None:
        others = [other for other in REQUIRED_SHEETS if other != sheet]
        contents = [
            pack({f"RVTools_tab{other}.csv": b"" for other in others} | {f"no{sheet}.csv": b"", f"{sheet}.txt": b""}),
            pack({"a.xlsx": workbook(others)}),
        ]
        if sheet != "vInfo":
            contents.append(workbook([*others, f"{sheet} "]))
        for content in contents:
            message = refuse(content, tmp_path)
            assert message.startswith(f"The ZIP or .xlsx file lacks {sheet}, which an RVTools export must contain.")
            # Without vInfo, there is nothing to convert.
            assert message.endswith(f"Export all sheets, or {CONVERT}." if sheet != "vInfo" else "Export all sheets.")

    def test_sheets_with_other_names(self, tmp_path: Path) -> None:
        sheets = ["tabvInfo", "TABVNETWORK", *REQUIRED_SHEETS[2:]]
        for content in (workbook(sheets), pack({"a.xlsx": workbook(sheets)})):
            assert refuse(content, tmp_path) == (
                "AWS requires sheets with the names vInfo, vNetwork, but in the .xlsx file they are tabvInfo, "
                f"TABVNETWORK. Rename them, or {CONVERT}."
            )

    @pytest.mark.parametrize("content", [b"VM\r\n", b"VM,CPUs", b"\xef\xbb\xbfVM,CPUs\r\n,\r\n", b""])
    def test_an_empty_vinfo(self, tmp_path: Path, content: bytes) -> None:
        message = refuse(pack(CSV_FILES | {"export/RVTools_tabvInfo.csv": content}), tmp_path)
        assert message.startswith("Sheet vInfo has no rows, so the export contains no servers.")
        assert refuse(pack({"a.xlsx": workbook(rows=0)}), tmp_path) == message
        # Other sheets can be empty.
        assert prepare(pack(CSV_FILES | {"export/RVTools_tabvNic.csv": content}), tmp_path).parts

    @pytest.mark.parametrize("sheet", ["vInfo", "vTools"])
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"VM;CPUs\r\nweb1;4\r\n", "The columns of {} in the ZIP file are not separated by commas."),
            (b"VM\tCPUs\nweb1\t4\n", "The columns of {} in the ZIP file are not separated by commas."),
            ("VM,CPUs\nweb1,4\n".encode("utf-16"), "{} in the ZIP file is not UTF-8."),
            ("VM,CPUs\nweb1,4\n".encode("utf-16-le"), "{} in the ZIP file is not UTF-8."),
            (b"VM,CPUs\n" + b"web1,4\n" * 20_000 + "wéb1,4\n".encode("cp1252"), "{} in the ZIP file is not UTF-8."),
            (b"VM,CPUs\nweb1,\xc3", "{} in the ZIP file is not UTF-8."),
        ],
    )
    def test_csv_files_in_another_form(self, tmp_path: Path, sheet: str, content: bytes, reason: str) -> None:
        name = f"export/RVTools_tab{sheet}.csv"
        message = refuse(pack(CSV_FILES | {name: content}), tmp_path)
        assert message.startswith(reason.format(f"'{name}'"))
        assert message.endswith(f", or {CONVERT}.")

    def test_a_csv_file_that_is_too_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rvtools, "MAX_CSV_BYTES", 9)
        for rvtools_as_template in (False, True):
            message = refuse(pack(CSV_FILES), tmp_path, rvtools_as_template=rvtools_as_template)
            assert message.endswith("RVTools_tabvInfo.csv' in the ZIP file has 10 bytes; the maximum is 9.")

    def test_a_damaged_csv_file(self, tmp_path: Path) -> None:
        content = pack(CSV_FILES, zipfile.ZIP_STORED).replace(b"web1", b"web2")
        assert refuse(content, tmp_path).startswith(
            "'export/RVTools_tabvInfo.csv' in the ZIP file is not a ZIP archive"
        )

    @pytest.mark.parametrize("rvtools_as_template", [False, True])
    @pytest.mark.parametrize(
        ("content", "listed"),
        [
            (pack({}), ""),
            (pack({"servers.csv": b"HostName\nweb1\n"}), " It contains 'servers.csv'."),
            (pack({"a.xlsx": workbook(["Sheet1"])}), " It contains 'a.xlsx'."),
            (pack({"a.xlsx": pack({"servers.csv": b"HostName\nweb1\n"})}), " It contains 'a.xlsx'."),
            (
                pack({f"Gatherer/{n}.txt": b"" for n in range(6)}),
                " It contains 'Gatherer/0.txt', 'Gatherer/1.txt', 'Gatherer/2.txt', 'Gatherer/3.txt', 'Gatherer/4.txt' "
                "and more.",
            ),
        ],
    )
    def test_other_archives(self, tmp_path: Path, content: bytes, listed: str, rvtools_as_template: bool) -> None:
        assert refuse(content, tmp_path, rvtools_as_template=rvtools_as_template) == (
            f"The file is a ZIP file, but not an RVTools export, which has a sheet vInfo.{listed} If it is an export "
            "of modelizeIT or VMware NSX, which AWS imports too, upload it unchanged to S3 and give its URL to "
            "AdsStartImportTaskOperator as import_url. Any other inventory must be a CSV file or a workbook that is "
            "not in a ZIP file."
        )

    @pytest.mark.parametrize(
        "content",
        [
            pack({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<document/>"}),
            workbook_without_content(["Sheet1"]),
        ],
    )
    def test_other_files_of_office_programs(self, tmp_path: Path, content: bytes) -> None:
        assert refuse(content, tmp_path).startswith("The workbook cannot be read: ")

    def test_a_workbook_without_vinfo_is_any_inventory(self, tmp_path: Path) -> None:
        prepared = prepare(workbook(["Sheet1"]), tmp_path, column_mapping={"VM": "HostName"})
        assert read_rows(prepared, tmp_path) == [["web1"]]

    def test_an_xlsx_file_that_is_not_an_excel_file(self, tmp_path: Path) -> None:
        message = refuse(pack({"export/a.xlsx": b"HostName\nweb1\n"}), tmp_path)
        assert message.startswith("'export/a.xlsx' in the ZIP file is not an Excel file.")

    @pytest.mark.parametrize(
        ("files", "reason"),
        [
            ({"a.xlsx": workbook(), "b.xlsx": workbook()}, "The ZIP file contains 2 .xlsx files."),
            (
                {f"{vcenter}/vInfo.csv": b"VM\nweb1\n" for vcenter in "abc"},
                "The ZIP file contains 3 CSV files of vInfo, such as 'a/vInfo.csv' and 'b/vInfo.csv'.",
            ),
            (CSV_FILES | {"b.xlsx": workbook()}, "The ZIP file contains both CSV files and 'b.xlsx'."),
        ],
    )
    def test_two_exports_in_one_zip_file(self, tmp_path: Path, files: dict[str, bytes], reason: str) -> None:
        for rvtools_as_template in (False, True):
            message = refuse(pack(files), tmp_path, rvtools_as_template=rvtools_as_template)
            assert message.startswith(reason)
            assert message.endswith(", pack each into its own ZIP file, and prepare them separately.")

    def test_an_encrypted_zip_file(self, tmp_path: Path) -> None:
        content = bytearray(pack(CSV_FILES))
        directory = content.index(b"PK\x01\x02")
        content[6] |= 1
        content[directory + 8] |= 1
        message = refuse(bytes(content), tmp_path)
        assert message.startswith("The ZIP or .xlsx file is encrypted. Export it again, without a password")

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "ExpatError"),
            (b"<workbook>", "ExpatError"),
            (b"<workbook><sheet/></workbook>", "KeyError"),
            (b'<?xml version="1.0" encoding="no-such"?><workbook/>', "LookupError"),
            (b'<!DOCTYPE a [<!ENTITY b "c">]><workbook>&b;</workbook>', "ValueError: .*document type"),
            ('<!DOCTYPE a [<!ENTITY b "c">]><workbook>&b;</workbook>'.encode("utf-16"), "ValueError"),
        ],
    )
    def test_a_damaged_list_of_sheets(self, tmp_path: Path, content: bytes, reason: str) -> None:
        with pytest.raises(ImportFileError, match=rf"contains a damaged list of sheets \({reason}"):
            prepare(pack({"a.xlsx": with_workbook_xml(content)}), tmp_path)
        assert refuse(with_workbook_xml(content), tmp_path).startswith("The workbook cannot be read: ")

    def test_columns_cannot_be_mapped(self, tmp_path: Path) -> None:
        message = refuse(workbook(), tmp_path, column_mapping={"VM": "HostName"})
        assert message.startswith(
            "The file is an RVTools export, which is imported unchanged, so column_mapping cannot"
        )
        assert message.endswith(f"or {CONVERT}.")

    def test_a_file_larger_than_the_limit(self, tmp_path: Path) -> None:
        content = pack(CSV_FILES)
        assert prepare(content, tmp_path, max_file_bytes=len(content)).parts
        (tmp_path / "part-0001.zip").unlink()
        message = refuse(content, tmp_path, max_file_bytes=len(content) - 1)
        assert message == (
            f"The RVTools export exceeds max_file_bytes={len(content) - 1:,} and cannot be divided. Raise that to "
            "10,000,000, export each vCenter separately, keep only the sheets "
            f"{', '.join(REQUIRED_SHEETS)}, or {CONVERT}."
        )
        # An .xlsx file is packed into a ZIP file, which is larger.
        assert "cannot be divided" in refuse(workbook(), tmp_path, max_file_bytes=len(workbook()))

    @settings(deadline=None, max_examples=50)
    @given(position=st.integers(0), bytes_=st.binary(min_size=1, max_size=4), data=st.data())
    def test_any_damage_is_an_import_file_error(self, position: int, bytes_: bytes, data: st.DataObject) -> None:
        content = data.draw(st.sampled_from(EXPORTS))
        position %= len(content)
        damaged = content[:position] + bytes_ + content[position + len(bytes_) :]
        with tempfile.TemporaryDirectory() as folder:
            try:
                prepare(damaged, Path(folder))
            except ImportFileError:
                assert not list(Path(folder).iterdir())


EXPORTS = [pack(CSV_FILES), workbook(), pack({"a.xlsx": workbook()})]

BOMB = with_workbook_xml(b"<workbook>" + b" " * 100_000_000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(BOMB, "list of sheets is too long", id="list of sheets"),
        pytest.param(pack({"a.xlsx": BOMB}), "list of sheets is too long", id="list of sheets in a ZIP file"),
        pytest.param(pack({"a.xlsx": bytes(100_000_001)}), "in the ZIP file has 100,000,001 bytes", id="workbook"),
        pytest.param(pack({"a.xlsx": bytes(60_000_000)}), "is not an Excel file", id="workbook of zeros"),
        pytest.param(
            pack(CSV_FILES | {"export/RVTools_tabvInfo.csv": b"x" * 60_000_000}), "header of 'export", id="header"
        ),
    ],
)
def test_a_small_file_that_unpacks_to_a_large_one_needs_little_memory(
    tmp_path: Path, content: bytes, message: str
) -> None:
    tracemalloc.start()
    try:
        assert message in refuse(content, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (workbook(), True),
        (workbook(["tabvInfo"]), True),
        (workbook(["vHost"]), False),
        (pack({"RVTools_tabvInfo.csv": b""}), True),
        (pack({"a.xlsx": workbook(["vInfo"])}), True),
        (pack({"servers.csv": b""}), False),
        (b"HostName", False),
    ],
)
def test_an_export_is_recognized_by_its_vinfo(tmp_path: Path, content: bytes, expected: bool) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert is_rvtools_export(file) is expected
