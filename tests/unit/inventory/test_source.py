from __future__ import annotations

import gzip
import io
import re
import tempfile
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ads.inventory.prepare import prepare_import_file
from airflow_provider_ads.inventory.template import ImportFileError
from tests.support.inventories import SERVERS, prepare, read_csv, refuse


@pytest.mark.parametrize(
    "content",
    [
        b"HostName,OS.Name\nweb1,a\nweb2,b\n",
        b"HostName,OS.Name\r\nweb1,a\r\nweb2,b",
        b"HostName,OS.Name\rweb1,a\rweb2,b\r",
        b"\xef\xbb\xbfHostName,OS.Name\nweb1,a\nweb2,b\n",
        b'\xef\xbb\xbf\r\n\n"HostName",OS.Name\r\n\r\nweb1,a\n\n\nweb2,"b"\n',
        gzip.compress(b"HostName,OS.Name\nweb1,a\nweb2,b\n"),
        gzip.compress(b"HostName,OS.Name\n") + gzip.compress(b"web1,a\nweb2,b\n") + bytes(9),
    ],
    ids=["LF", "CRLF", "CR", "byte order mark", "empty lines and quotes", "gzip", "gzip in two members, padded"],
)
def test_accepts_every_line_end_and_gzip(tmp_path: Path, content: bytes) -> None:
    assert prepare(content, tmp_path).rows_read == 2
    assert (tmp_path / "part-0001.csv").read_bytes() == b"HostName,OS.Name\r\nweb1,a\r\nweb2,b\r\n"


def test_line_breaks_in_cells_are_kept(tmp_path: Path) -> None:
    prepare('HostName,OS.Name\nweb1,"a\r\n\r\nb\rc\nd\u2028e"\n', tmp_path)
    assert read_csv(tmp_path / "part-0001.csv")[1:] == [["web1", "a\r\n\r\nb\rc\nd\u2028e"]]


class Chunks:
    """A source whose reads are short: each returns at most one of the chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks, self.rest = iter(chunks), b""

    def read(self, size: int) -> bytes:
        self.rest = self.rest or next(self.chunks, b"")
        content, self.rest = self.rest[:size], self.rest[size:]
        return content


def test_reads_of_a_source_can_be_short(tmp_path: Path) -> None:
    source = Chunks(bytes([byte]) for byte in gzip.compress(SERVERS.read_bytes()))
    assert prepare_import_file(source, tmp_path, on_invalid_rows="quarantine").rows_written == 294


def test_errors_of_a_source_are_not_errors_of_the_file(tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError("the connection was closed")

    with pytest.raises(ConnectionResetError):
        prepare_import_file(Broken(), tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"^The file is empty\."),
        (gzip.compress(b""), r"^The file is empty\."),
        (b"\n\r\n\n", r"^The file contains only empty lines\."),
        (
            "HostName\nweb1\n".encode("utf-16"),
            r"^The file starts with the byte order mark of UTF-16 .* Save it as CSV in UTF-8\.$",
        ),
        ("HostName\nweb1\n".encode("utf-16-le"), r"^Line 1 contains a NUL byte, .* Save it as CSV in UTF-8\.$"),
        (b"HostName\nweb1\nweb\x002\n", r"^Line 3 contains a NUL byte"),
        (b"HostName\r\n\r\nweb1\r\nweb\xff2\r\n", r"^Line 4 is not UTF-8: it contains the byte 0xff\."),
        (b"HostName\rweb1\rweb2\xc3", r"^Line 3 is not UTF-8: it contains the byte 0xc3\."),
        (b"HostName\n" + b"web1\n" * 20_000 + b"w\xe9b\n", r"^Line 20002 is not UTF-8: it contains the byte 0xe9\."),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), r"^The file is an old Excel file"),
        (b"Name;HostName\na;b\n", r"^The header on line 1 separates its columns with semicolons.*with commas\.$"),
        (b'\n"a, b";"HostName"\na;b\n', r"^The header on line 2 separates its columns with semicolons"),
        (b"sep=;\nName;HostName\n", r"^The header on line 1 separates its columns with semicolons"),
        (b"Name\tHostName\na\tb\n", r"^The header on line 1 separates its columns with tabs"),
        (b'HostName,OS.Name\nweb1,a\nweb2,"b\nweb3,c\n', r"^The row on line 3 cannot be read after line 4: "),
        (b'HostName,"OS.Name\nweb1,a\n', r"^The row on line 1 cannot be read after line 2"),
        (b'HostName,OS.Name\nweb1,"a"b\nweb2,c\n', r"^The row on line 2 cannot be read after line 2: "),
        (
            b'HostName,OS.Name\nweb1,"a\n' + b"web2,b\n" * 100_000,
            r"^A cell of the row on line 2 exceeds 131,072 characters and continues after line 187\d\d\.",
        ),
        (b"HostName," + b"x" * 131_073 + b"\n", r"^Line 1 is not a header: field larger than"),
        (
            b"HostName," + b",".join(b"c%d" % number for number in range(10_000)),
            r"^The header on line 1 has 10,001 columns; the maximum is 1,000\.",
        ),
        (gzip.compress(b"HostName\n" + b"web1\n" * 100_000)[:-100], r"^The gzip file is truncated or damaged"),
        (b"\x1f\x8bHostName\n", r"^The gzip file is truncated or damaged"),
        (
            gzip.compress(SERVERS.read_bytes())[:3_000] + bytes(50) + gzip.compress(SERVERS.read_bytes())[3_050:],
            r"^The gzip file is truncated or damaged",
        ),
        (gzip.compress(gzip.compress(b"HostName\nweb1\n")), r"^Line \d is not UTF-8|^Line \d contains a NUL"),
    ],
)
def test_refuses_what_is_not_a_csv_file_in_utf_8_with_commas(tmp_path: Path, content: bytes, message: str) -> None:
    for on_invalid_rows in ("fail", "quarantine"):
        assert re.search(message, refuse(content, tmp_path, on_invalid_rows=on_invalid_rows))


@settings(deadline=None)
@given(content=st.binary(max_size=200), prefix=st.sampled_from([b"", b"HostName\n", b"\xef\xbb\xbf", b'a,"', b"PK"]))
def test_any_bytes_are_prepared_or_refused(content: bytes, prefix: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            prepare(prefix + content, Path(folder), on_invalid_rows="quarantine")
        except ImportFileError:
            assert not list(Path(folder).iterdir())


def peak_memory(chunks: Iterable[bytes], folder: Path) -> tuple[int, str]:
    """Prepare a source, and return the bytes of memory that this needs at most, and the message of the error."""
    message = ""
    tracemalloc.start()
    try:
        prepare_import_file(Chunks(chunks), folder, on_invalid_rows="quarantine")
    except ImportFileError as error:
        message = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak, message


def compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    yield from filter(None, map(compressor.compress, chunks))
    yield compressor.flush()


MB = 1_000_000


def test_a_larger_source_needs_no_more_memory(tmp_path: Path) -> None:
    rows = b"web1,Linux\n" * 20_000
    peaks = [peak_memory(chain([b"HostName,OS.Name\n"], repeat(rows, times)), tmp_path)[0] for times in (3, 10)]
    assert peaks[1] - peaks[0] < MB


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        pytest.param(repeat(b"x" * MB, 1_000), "The row on line 1 has at least 20,000,000", id="header"),
        pytest.param(chain([b"HostName\n"], repeat(b"x" * MB, 1_000)), "The row on line 2 has at least", id="row"),
        pytest.param(chain([b"HostName\n"], repeat(b"ab," * MB, 99)), "The row on line 2 has at least", id="cells"),
        pytest.param(
            chain([b"HostName\n"], repeat(b"ab," * 3 * MB + b"\n", 9)),
            "The row on line 2 has at least 9,000,001 characters",
            id="cells of a row that ends",
        ),
        pytest.param(chain([b'HostName\n"'], repeat("€".encode() * MB, 99)), "The row on line 2 has", id="quoted cell"),
        pytest.param(
            chain([b'HostName\n"'], repeat(b"a\n" * MB, 99)), "A cell of the row on line 2 exceeds", id="quoted lines"
        ),
        pytest.param(chain([b"HostName\n"], repeat(b'"a\n",' * MB, 9)), "The row on line 2 has", id="cells with lines"),
        pytest.param(repeat(b"\n" * MB, 2), "The file contains only empty lines", id="empty lines"),
        pytest.param(
            chain([b"HostName,Tags\n"], repeat(b",a\n" * 30_000, 2)), "60,000 of 60,000 rows", id="invalid rows"
        ),
        pytest.param(compressed(repeat(b"x" * MB, 1_000)), "The row on line 1 has at least", id="compressed row"),
    ],
)
def test_a_hostile_source_is_refused_within_bounded_memory(
    tmp_path: Path, chunks: Iterable[bytes], message: str
) -> None:
    peak, error = peak_memory(chunks, tmp_path)
    assert error.startswith(message)
    assert peak < 250 * MB
