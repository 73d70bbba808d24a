from __future__ import annotations

import gzip
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ads.emulator.import_files import read_import_file
from airflow_provider_ads.inventory.rvtools import REQUIRED_SHEETS
from airflow_provider_ads.inventory.template import ImportFileError
from tests.support.inventories import CSV_FILES, pack, prepare, refuse, workbook


def with_workbook_xml(content: bytes) -> bytes:
    return pack({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": content})


class TestExports:
    @pytest.mark.parametrize(
        "files",
        [
            CSV_FILES,
            {f"{sheet.upper()}.CSV": b"" for sheet in REQUIRED_SHEETS},
            {f"2026-01-02 {sheet}.csv": b"" for sheet in (*REQUIRED_SHEETS, "vLicense")},
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

    def test_sheets_are_not_unpacked(self, tmp_path: Path) -> None:
        # Unpacking would fail, because the content does not match its checksum.
        content = pack(CSV_FILES, zipfile.ZIP_STORED).replace(b"web1", b"web2")
        assert prepare(content, tmp_path).parts


class TestRefusals:
    @pytest.mark.parametrize("sheet", REQUIRED_SHEETS)
    def test_every_required_sheet_must_exist(self, tmp_path: Path, sheet: str) -> None:
        others = [other for other in REQUIRED_SHEETS if other != sheet]
        for content in (
            pack({f"RVTools_tab{other}.csv": b"" for other in others} | {f"no{sheet}.csv": b"", f"{sheet}.txt": b""}),
            pack({"a.xlsx": workbook(others)}),
            workbook([*others, f"{sheet} "]),
        ):
            assert refuse(content, tmp_path).startswith(f"The ZIP or .xlsx file lacks {sheet}, which an RVTools export")

    @pytest.mark.parametrize(
        "content",
        [
            pack({}),
            pack({"servers.csv": b"HostName\nweb1\n"}),
            pack({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<document/>"}),
            pack({"a.xlsx": pack({"servers.csv": b"HostName\nweb1\n"})}),
            workbook(["Sheet1"]),
        ],
    )
    def test_other_archives(self, tmp_path: Path, content: bytes) -> None:
        message = refuse(content, tmp_path)
        assert message.startswith(f"The ZIP or .xlsx file lacks {', '.join(REQUIRED_SHEETS)}, which")
        assert message.endswith("Any other inventory must be a CSV file that is not in a ZIP file.")

    def test_an_xlsx_file_that_is_not_an_excel_file(self, tmp_path: Path) -> None:
        message = refuse(pack({"export/a.xlsx": b"HostName\nweb1\n"}), tmp_path)
        assert message.startswith("'export/a.xlsx' in the ZIP file is not an Excel file.")

    def test_two_exports_in_one_zip_file(self, tmp_path: Path) -> None:
        message = refuse(pack({"a.xlsx": workbook(), "b.xlsx": workbook()}), tmp_path)
        assert message.startswith("The ZIP file contains 2 .xlsx files. Pack each")

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
        for source in (with_workbook_xml(content), pack({"a.xlsx": with_workbook_xml(content)})):
            with pytest.raises(ImportFileError, match=rf"contains a damaged list of sheets \({reason}"):
                prepare(source, tmp_path)

    def test_columns_cannot_be_mapped(self, tmp_path: Path) -> None:
        message = refuse(workbook(), tmp_path, column_mapping={"VM": "HostName"})
        assert message.startswith("The columns of a ZIP or .xlsx file cannot be mapped.")

    def test_a_file_larger_than_the_limit(self, tmp_path: Path) -> None:
        content = pack(CSV_FILES)
        assert prepare(content, tmp_path, max_file_bytes=len(content)).parts
        (tmp_path / "part-0001.zip").unlink()
        message = refuse(content, tmp_path, max_file_bytes=len(content) - 1)
        assert message == (
            f"The RVTools export exceeds max_file_bytes={len(content) - 1:,} and cannot be divided. Raise that to "
            "10,000,000, export each vCenter separately, or keep only the sheets " + ", ".join(REQUIRED_SHEETS) + "."
        )
        # An .xlsx file is packed into a ZIP file, which is larger.
        assert "cannot be divided" in refuse(workbook(), tmp_path, max_file_bytes=len(workbook()))

    @settings(deadline=None)
    @given(position=st.integers(0), bytes_=st.binary(min_size=1, max_size=4), data=st.data())
    def test_any_damage_is_an_import_file_error(self, position: int, bytes_: bytes, data: st.DataObject) -> None:
        content = data.draw(st.sampled_from([pack(CSV_FILES), workbook(), pack({"a.xlsx": workbook()})]))
        position %= len(content)
        damaged = content[:position] + bytes_ + content[position + len(bytes_) :]
        with tempfile.TemporaryDirectory() as folder:
            try:
                prepare(damaged, Path(folder))
            except ImportFileError:
                assert not list(Path(folder).iterdir())


BOMB = with_workbook_xml(b"<workbook>" + b" " * 100_000_000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(BOMB, "list of sheets is too long", id="list of sheets"),
        pytest.param(pack({"a.xlsx": BOMB}), "list of sheets is too long", id="list of sheets in a ZIP file"),
        pytest.param(pack({"a.xlsx": bytes(100_000_001)}), "in the ZIP file has 100,000,001 bytes", id="workbook"),
        pytest.param(pack({"a.xlsx": bytes(60_000_000)}), "is not an Excel file", id="workbook of zeros"),
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
