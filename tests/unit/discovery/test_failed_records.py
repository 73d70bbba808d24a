from __future__ import annotations

import csv
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ads.discovery import download
from airflow_provider_ads.discovery.download import ArchiveDownloadError
from airflow_provider_ads.discovery.failed_records import (
    ERRORS_SHOWN,
    FailedRecordsError,
    FieldError,
    FieldErrors,
    count_failed_entries,
    format_errors_table,
    open_failed_records,
    read_errors,
)
from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES, IMPORT_RECORDS_PER_ACCOUNT
from tests.support.presigned_urls import refusal_of, serving, zip_of

ERRORS = b"line,column name,ExternalId,message\n2,CPU.NumberOfCores,srv-1,'x' is not a number.\n"
FAILED_ENTRIES = b"ExternalId,CPU.NumberOfCores\r\nsrv-1,x\r\n"

GOOD_ZIP = zip_of(("errors-file.csv", ERRORS), ("failed-entries-file.csv", FAILED_ENTRIES))


def contents(answer: bytes) -> tuple[bytes, bytes]:
    with serving(answer) as url, open_failed_records(url) as records:
        return records.errors_file.read_bytes(), records.failed_entries_file.read_bytes()


def refusal(archive: bytes) -> ArchiveDownloadError:
    with serving(archive) as url:
        return refusal_of(open_failed_records(url))


@pytest.mark.usefixtures("temporary_folder", "no_part_of_the_url_is_logged")
class TestUnpacking:
    @pytest.mark.parametrize(
        ("errors_name", "failed_entries_name"),
        [
            ("errors-file.csv", "failed-entries-file.csv"),
            ("Errors.CSV", "FAILED-ENTRIES"),
            ("../../errors-file.csv", "/etc/failed-entries-file.csv"),
            ("C:\\errors-file.csv", "..\\..\\failed-entries-file.csv"),
        ],
    )
    def test_files_are_found_by_the_beginnings_of_their_names(
        self, tmp_path: Path, temporary_folder: Path, errors_name: str, failed_entries_name: str
    ) -> None:
        archive = zip_of((failed_entries_name, FAILED_ENTRIES), ("read me.txt", b""), (errors_name, ERRORS))
        with serving(archive) as url, open_failed_records(url) as records:
            files = {records.errors_file: ERRORS, records.failed_entries_file: FAILED_ENTRIES}
            assert {file: file.read_bytes() for file in files} == files
            (folder,) = temporary_folder.iterdir()
            assert set(tmp_path.rglob("*")) == {temporary_folder, folder, *files}
            assert folder.stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize(
        ("archive", "reason"),
        [
            pytest.param(zip_of(), "start with 'errors' instead of one; it contains nothing", id="empty archive"),
            pytest.param(
                zip_of(("errors-file.csv", ERRORS)), "0 files whose names start with 'failed-entries'", id="one file"
            ),
            pytest.param(
                zip_of(("errors-file.csv", ERRORS), ("a/Errors.csv", ERRORS), ("failed-entries.csv", FAILED_ENTRIES)),
                "2 files whose names start with 'errors' instead of one; it contains 'errors-file.csv', 'a/Errors.csv'",
                id="two errors files",
            ),
            pytest.param(
                zip_of(*((f"{i}.csv", b"") for i in range(7))),
                "it contains '0.csv', '1.csv', '2.csv', '3.csv', '4.csv' and 2 more",
                id="other files",
            ),
            pytest.param(
                zip_of(("\x1b[2J\r\n\u202e" + "x" * 1000, b"")), f"it contains '?[2J  ?{'x' * 32}…'", id="hostile name"
            ),
        ],
    )
    def test_an_archive_without_the_two_files_is_refused(self, archive: bytes, reason: str) -> None:
        error = refusal(archive)
        assert (error.code, error.transient) == ("ArchiveNotReadable", False)
        assert str(error).startswith("Try again, in case the error archive was damaged in transit")
        assert reason in str(error)
        assert "Imports page of the Migration Hub console" in str(error)
        assert str(error).isprintable()

    def test_an_import_of_equal_rows_is_accepted(self) -> None:
        failed_entries = b"HostName\n" + b",\n" * ((IMPORT_FILE_MAX_BYTES - 9) // 2)
        archive = zip_of(("errors-file.csv", ERRORS), ("failed-entries-file.csv", failed_entries))
        assert len(archive) * 500 < len(failed_entries)
        assert contents(archive) == (ERRORS, failed_entries)

    def test_equal_errors_of_a_large_import_are_accepted(self) -> None:
        errors = "".join(
            f"{line},Column{number},{'x' * 200}-{line},'x' is not a number.\n"
            for line in range(2, IMPORT_RECORDS_PER_ACCOUNT // 4)
            for number in range(20)
        ).encode()
        assert len(errors) > download.RATIO_FREE_BYTES
        archive = zip_of(("errors-file.csv", errors), ("failed-entries-file.csv", FAILED_ENTRIES))
        assert contents(archive) == (errors, FAILED_ENTRIES)


class TestErrors:
    @staticmethod
    def read(tmp_path: Path, content: bytes) -> FieldErrors:
        path = tmp_path / "errors-file.csv"
        path.write_bytes(content)
        return read_errors(path)

    @pytest.mark.parametrize(
        ("content", "header"),
        [
            (b"Line,Column,Key,Problem\n2,a,b,c\n", FieldError("Line", "Column", "Key", "Problem")),
            (b"\xef\xbb\xbfLine,Column,Key,Problem\r\n2,a,b,c\r\n", FieldError("Line", "Column", "Key", "Problem")),
            (b"2,a,b,c\n", FieldError("line", "column name", "ExternalId", "message")),
        ],
        ids=["header", "byte order mark", "no header"],
    )
    def test_the_header_is_optional(self, tmp_path: Path, content: bytes, header: FieldError) -> None:
        errors = self.read(tmp_path, content)
        assert errors == FieldErrors(header, (FieldError("2", "a", "b", "c"),), 1)

    def test_the_first_are_kept_and_all_are_counted(self, tmp_path: Path) -> None:
        errors = self.read(tmp_path, b"".join(b"%d,a,b,c\n" % line for line in range(2, 1002)))
        assert [error.line for error in errors.first] == [str(line) for line in range(2, 2 + ERRORS_SHOWN)]
        assert errors.total == 1000

    @pytest.mark.parametrize(
        ("line", "error"),
        [
            ("2,a", FieldError("2", "a", "", "")),
            ("2", FieldError("2", "", "", "")),
            ("2,a,b,one, two, three", FieldError("2", "a", "b", "one, two, three")),
            ('2,a,"b\r\nb","c ""d"""', FieldError("2", "a", "b  b", 'c "d"')),
            ("2,a,b,\x1b[31mred\x07\u202e\u2028\x00", FieldError("2", "a", "b", "?[31mred?? ?")),
            ("2,a,b," + "x" * 81, FieldError("2", "a", "b", "x" * 79 + "…")),
            ("2,a,b," + "x" * 80, FieldError("2", "a", "b", "x" * 80)),
            ("2,a,b," + "x" * 200_000, FieldError("(not readable)", "", "", "")),
        ],
        ids=["short", "shorter", "split message", "quoted", "control characters", "long", "fits", "far too long"],
    )
    def test_cells_are_made_safe_for_a_log(self, tmp_path: Path, line: str, error: FieldError) -> None:
        errors = self.read(tmp_path, f"{line}\n3,a,b,c\n".encode())
        assert errors.first == (error, FieldError("3", "a", "b", "c"))

    def test_another_encoding_is_read_with_replacement_characters(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "2,a,b,größe\n".encode("latin-1")).first[0].message == "gr\ufffd\ufffde"

    @pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
    def test_a_file_without_errors_is_accepted(self, tmp_path: Path, content: bytes) -> None:
        assert self.read(tmp_path, content).total == 0

    @settings(max_examples=200, deadline=None)
    @given(content=st.one_of(st.binary(), st.text(alphabet='1a,"\r\n\0\ufeff', max_size=50).map(str.encode)))
    def test_any_file_can_be_read_and_counted(self, content: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            errors = read_errors(Path(file.name))
            assert format_errors_table(errors).replace("\n", "").isprintable()
            assert errors.total - count_failed_entries(Path(file.name)) in (0, 1)


@pytest.mark.parametrize(
    ("piece", "pieces"),
    [
        pytest.param(b"x", 60_000_000, id="an endless line"),
        pytest.param(b"\xf0\x9f\x98\x80,", 1_000_000, id="endless cells"),
        pytest.param(b'"\nx",', 1_000_000, id="endless quoted lines"),
    ],
)
def test_a_hostile_file_needs_little_memory(tmp_path: Path, piece: bytes, pieces: int) -> None:
    path = tmp_path / "errors-file.csv"
    path.write_bytes(piece * pieces)
    tracemalloc.start()
    try:
        format_errors_table(read_errors(path))
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


class TestFailedEntries:
    @pytest.mark.parametrize(
        ("content", "count"),
        [
            (b"", 0),
            (b"ExternalId,HostName\n", 0),
            (b"ExternalId,HostName\n1,a\n2,b", 2),
            (b"ExternalId,HostName\r1,a\r2,b\r", 2),
            (b"ExternalId,HostName\n,\n,\n", 2),
            (b"ExternalId,HostName\n\n1,a\n\n", 1),
            (b'ExternalId,"Host\nName"\n1,"a\n\nb"\n2,"""c""\r\n"\n', 2),
            (b'ExternalId,HostName\n1,19" rack\n2,b\n', 2),
            (b"ExternalId,HostName\n1,\xff\xfe\n2,\0\n", 2),
            pytest.param(b"HostName\na\n" + b"b" * (csv.field_size_limit() + 1) + b"\nc\n", 3, id="too long"),
        ],
    )
    def test_every_record_after_the_header_is_counted(self, tmp_path: Path, content: bytes, count: int) -> None:
        path = tmp_path / "failed-entries-file.csv"
        path.write_bytes(content)
        assert count_failed_entries(path) == count


@pytest.mark.parametrize(("total", "last_line"), [(1236, ["... and 1,234 more"]), (2, [])])
def test_the_table_is_aligned_and_counts_further_errors(total: int, last_line: list[str]) -> None:
    errors = FieldErrors(
        header=FieldError("line", "column name", "ExternalId", "message"),
        first=(FieldError("2", "CPU.NumberOfCores", "", "x"), FieldError("12345", "HostName", "srv-1", "y")),
        total=total,
    )
    assert format_errors_table(errors).splitlines() == [
        "line   column name        ExternalId  message",
        "2      CPU.NumberOfCores              x",
        "12345  HostName           srv-1       y",
        *last_line,
    ]


def test_the_error_keeps_its_name_from_version_0_1_0() -> None:
    assert FailedRecordsError is ArchiveDownloadError
