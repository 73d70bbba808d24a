from __future__ import annotations

import gzip
import io
import tempfile
import tracemalloc
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ads.discovery.import_file import ImportFileError, PreparedImportFile, prepare_import_file
from airflow_provider_ads.discovery.rvtools import REQUIRED_SHEETS
from airflow_provider_ads.emulator.import_rows import read_import_file

CSV_FILES = {f"export/RVTools_tab{sheet}.csv": b"VM\r\nweb1\r\n" for sheet in REQUIRED_SHEETS}


def pack(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, member in files.items():
            archive.writestr(name, member)
    return content.getvalue()


def workbook(sheets: Sequence[str] = REQUIRED_SHEETS) -> bytes:
    names = "".join(f'<sheet name="{sheet}" sheetId="{n}" r:id="rId{n}"/>' for n, sheet in enumerate(sheets, 1))
    content = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
        '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
        f"<sheets>{names}</sheets></workbook>"
    )
    return pack({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": content.encode(), "xl/a.xml": b"<a/>"})


def with_workbook_xml(content: bytes) -> bytes:
    return pack({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": content})


def prepare(content: bytes, folder: Path, **parameters: Any) -> PreparedImportFile:
    return prepare_import_file(io.BytesIO(content), folder, **parameters)


def refuse(content: bytes, folder: Path, **parameters: Any) -> str:
    with pytest.raises(ImportFileError) as caught:
        prepare(content, folder, **parameters)
    assert list(folder.iterdir()) == []
    return str(caught.value)


class TestExports:
    @pytest.mark.parametrize(
        "files",
        [
            CSV_FILES,
            {f"{sheet.upper()}.CSV": b"" for sheet in REQUIRED_SHEETS},
            {f"2026-01-02 {sheet}.csv": b"" for sheet in (*REQUIRED_SHEETS, "vLicense")},
            {"export/RVTools_export_all.xlsx": workbook()},
            {"a.XLSX": workbook([sheet.lower() for sheet in REQUIRED_SHEETS]), "__MACOSX/._a.xlsx": b"about it"},
        ],
    )
    def test_zip_is_passed_on_byte_for_byte(self, tmp_path: Path, files: dict[str, bytes]) -> None:
        content = pack(files)
        prepared = prepare(content, tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["part-0001.zip"]
        assert (tmp_path / "part-0001.zip").read_bytes() == content
        assert prepared.report("s3://inventory/") == {
            "file_classification": "RVTOOLS_EXPORT",
            "rows_read": None,
            "rows_written": None,
            "rows_quarantined": 0,
            "parts": [{"url": "s3://inventory/part-0001.zip", "rows": None, "size_bytes": len(content)}],
            "quarantine_url": None,
            "columns_mapped": {},
            "columns_ignored": [],
            "columns_unknown": [],
        }
        assert [line.split() for line in str(prepared).splitlines()] == [
            ["rows", "bytes"],
            ["part-0001.zip", f"{len(content):,}"],
        ]

    def test_xlsx_is_put_into_a_zip(self, tmp_path: Path) -> None:
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
        # What came of it is an export, too.
        assert prepare(contents[0], tmp_path).parts[0].size_bytes == len(contents[0])

    def test_gzip_around_it_is_taken_off(self, tmp_path: Path) -> None:
        content = pack(CSV_FILES)
        prepare(gzip.compress(content), tmp_path)
        assert (tmp_path / "part-0001.zip").read_bytes() == content

    def test_the_emulator_takes_it_for_one(self, tmp_path: Path) -> None:
        prepared = prepare(pack(CSV_FILES), tmp_path)
        import_file = read_import_file((tmp_path / "part-0001.zip").read_bytes())
        assert import_file is not None
        assert import_file.classification == prepared.file_classification


class TestWhatIsNone:
    @pytest.mark.parametrize("sheet", REQUIRED_SHEETS)
    def test_every_sheet_must_be_there(self, tmp_path: Path, sheet: str) -> None:
        others = [other for other in REQUIRED_SHEETS if other != sheet]
        for content in (
            pack({f"RVTools_tab{other}.csv": b"" for other in others} | {f"no{sheet}.csv": b"", f"{sheet}.txt": b""}),
            pack({"a.xlsx": workbook(others)}),
            workbook([*others, f"{sheet} "]),
        ):
            assert refuse(content, tmp_path).startswith(f"The ZIP or .xlsx file lacks {sheet}, which an export")

    @pytest.mark.parametrize(
        "content",
        [
            pack({}),
            pack({"servers.csv": b"HostName\nweb1\n"}),
            pack({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<document/>"}),
            workbook(["Sheet1"]),
        ],
    )
    def test_other_files(self, tmp_path: Path, content: bytes) -> None:
        message = refuse(content, tmp_path)
        assert message.startswith(f"The ZIP or .xlsx file lacks {', '.join(REQUIRED_SHEETS)}, which")
        assert message.endswith("any other inventory must be a CSV file that is not in a ZIP file.")

    def test_zip_with_an_xlsx_that_is_none(self, tmp_path: Path) -> None:
        message = refuse(pack({"export/a.xlsx": b"HostName\nweb1\n"}), tmp_path)
        assert message.startswith("'export/a.xlsx' in the ZIP file is no Excel file.")

    def test_zip_with_two_exports(self, tmp_path: Path) -> None:
        message = refuse(pack({"a.xlsx": workbook(), "b.xlsx": workbook()}), tmp_path)
        assert message.startswith("The ZIP file has 2 .xlsx files. Pack each")

    def test_password(self, tmp_path: Path) -> None:
        content = bytearray(pack(CSV_FILES))
        directory = content.index(b"PK\x01\x02")
        content[6] |= 1
        content[directory + 8] |= 1
        assert refuse(bytes(content), tmp_path).startswith("The ZIP file has a password.")

    @pytest.mark.parametrize("content", [pack(CSV_FILES), workbook(), pack({"a.xlsx": workbook()})])
    def test_truncated(self, tmp_path: Path, content: bytes) -> None:
        for size in (4, 30, len(content) // 2, len(content) - 1):
            assert refuse(content[:size], tmp_path).startswith("The ZIP or .xlsx file is damaged: BadZipFile")

    @pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_other_compressions(self, tmp_path: Path, compression: int) -> None:
        assert "another method" in refuse(pack({"a.xlsx": workbook()}, compression), tmp_path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is damaged: ExpatError"),
            (b"<workbook>", "is damaged: ExpatError"),
            (b"<workbook><sheet/></workbook>", "is damaged: KeyError"),
            (b'<!DOCTYPE a [<!ENTITY b "c">]><workbook>&b;</workbook>', "is damaged: ValueError, .*document type"),
            ('<!DOCTYPE a [<!ENTITY b "c">]><workbook>&b;</workbook>'.encode("utf-16"), "is damaged: ValueError"),
        ],
    )
    def test_odd_workbooks(self, tmp_path: Path, content: bytes, message: str) -> None:
        for source in (with_workbook_xml(content), pack({"a.xlsx": with_workbook_xml(content)})):
            with pytest.raises(ImportFileError, match=message):
                prepare(source, tmp_path)

    def test_columns_cannot_be_mapped(self, tmp_path: Path) -> None:
        message = refuse(workbook(), tmp_path, column_mapping={"VM": "HostName"})
        assert message.startswith("The file is a ZIP or .xlsx file, whose columns cannot be mapped.")

    def test_larger_than_the_limit(self, tmp_path: Path) -> None:
        content = pack(CSV_FILES)
        assert prepare(content, tmp_path, max_file_bytes=len(content)).parts
        (tmp_path / "part-0001.zip").unlink()
        message = refuse(content, tmp_path, max_file_bytes=len(content) - 1)
        assert message.startswith(f"The export of RVTools is larger than the {len(content) - 1:,} bytes")
        assert message.endswith(
            "Raise that to 10,000,000, export each vCenter by itself, or keep no sheets but "
            + ", ".join(REQUIRED_SHEETS)
            + "."
        )

    def test_larger_than_the_limit_in_its_zip(self, tmp_path: Path) -> None:
        assert "cannot be divided" in refuse(workbook(), tmp_path, max_file_bytes=len(workbook()))

    @settings(deadline=None)
    @given(position=st.integers(0), bytes_=st.binary(min_size=1, max_size=4), data=st.data())
    def test_no_damage_makes_it_fail_otherwise(self, position: int, bytes_: bytes, data: st.DataObject) -> None:
        content = data.draw(st.sampled_from([pack(CSV_FILES), workbook(), pack({"a.xlsx": workbook()})]))
        position %= len(content)
        damaged = content[:position] + bytes_ + content[position + len(bytes_) :]
        with tempfile.TemporaryDirectory() as folder:
            try:
                prepare(damaged, Path(folder))
            except ImportFileError:
                assert not list(Path(folder).iterdir())


class TestBombs:
    """What is small, and would be large."""

    @contextmanager
    def little_memory(self) -> Iterator[None]:
        tracemalloc.start()
        try:
            yield
            assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
        finally:
            tracemalloc.stop()

    def test_sheets_are_not_unpacked(self, tmp_path: Path) -> None:
        content = pack({**CSV_FILES, "RVTools_tabvInfo.csv": bytes(200_000_000)})
        with self.little_memory():
            prepare(content, tmp_path)

    def test_names_of_sheets(self, tmp_path: Path) -> None:
        bomb = with_workbook_xml(b"<workbook>" + b" " * 200_000_000)
        for content in (bomb, pack({"a.xlsx": bomb})):
            with self.little_memory():
                assert "too long" in refuse(content, tmp_path)

    def test_workbook(self, tmp_path: Path) -> None:
        content = pack({"a.xlsx": bytes(100_000_001)})
        with self.little_memory():
            assert "'a.xlsx' in the ZIP file has 100,000,001 bytes" in refuse(content, tmp_path)

    def test_workbook_of_nothing(self, tmp_path: Path) -> None:
        content = pack({"a.xlsx": bytes(100_000_000)})
        with self.little_memory():
            assert "is no Excel file" in refuse(content, tmp_path)

    def test_many_files(self, tmp_path: Path) -> None:
        many = pack({f"{number}": b"" for number in range(25_000)}, zipfile.ZIP_STORED)
        for content in (many, pack({"a.xlsx": many})):
            with self.little_memory():
                assert "too many files" in refuse(content, tmp_path)
