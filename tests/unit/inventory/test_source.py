from __future__ import annotations

import csv
import gzip
import io
import re
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from airflow_provider_ads.inventory.source import TextTable, open_source
from airflow_provider_ads.inventory.table import AmbiguousFileError, Record, Table
from airflow_provider_ads.inventory.template import ImportFileError

#: A CSV inventory of 300 servers.
SERVERS = Path(__file__).resolve().parents[3] / "sample_inventories" / "servers.csv"


def has_host_name(cells: Sequence[str]) -> bool:
    return "HostName" in cells


def read(
    content: bytes,
    is_header: Callable[[Sequence[str]], bool] = has_host_name,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> tuple[Table, list[Record]]:
    """Return a table and its records."""
    table = TextTable(open_source(io.BytesIO(content)), is_header, delimiter, encoding)
    return table, list(table)


def refuse(content: bytes, **parameters: str) -> str:
    """Return the message of the error that reading raises."""
    with pytest.raises(ImportFileError) as caught:
        read(content, **parameters)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"HostName,OS.Name\nweb1,a\nweb2,b\n",
        b"HostName,OS.Name\r\nweb1,a\r\nweb2,b",
        b"HostName,OS.Name\rweb1,a\rweb2,b\r",
        b"\xef\xbb\xbfHostName,OS.Name\nweb1,a\nweb2,b\n",
        b'\xef\xbb\xbf\r\n\n"HostName",OS.Name\r\n\r\nweb1,a\n , \n\nweb2,"b"\n,\n',
        gzip.compress(b"HostName,OS.Name\nweb1,a\nweb2,b\n"),
        gzip.compress(b"HostName,OS.Name\n") + gzip.compress(b"web1,a\nweb2,b\n") + bytes(9),
    ],
    ids=["LF", "CRLF", "CR", "byte order mark", "empty lines and quotes", "gzip", "gzip in two members, padded"],
)
def test_accepts_every_line_end_and_gzip(content: bytes) -> None:
    table, records = read(content)
    assert table.header == ["HostName", "OS.Name"]
    assert [record.cells for record in records] == [["web1", "a"], ["web2", "b"]]


SERVERS_IN_EUROPE = "HostName;Standort\r\nweb1;München\r\nweb2;Zürich\r\n"
CELLS_IN_EUROPE = [["web1", "München"], ["web2", "Zürich"]]


@pytest.mark.parametrize(
    ("content", "encoding", "description", "skipped"),
    [
        (SERVERS_IN_EUROPE.encode(), None, "CSV in UTF-8 with semicolons", []),
        (SERVERS_IN_EUROPE.encode("utf-8-sig"), None, "CSV in UTF-8 with semicolons", []),
        (SERVERS_IN_EUROPE.encode("utf-8-sig"), "utf-8", "CSV in utf-8 with semicolons", []),
        (SERVERS_IN_EUROPE.encode("utf-16"), None, "CSV in UTF-16 with semicolons", []),
        (SERVERS_IN_EUROPE.encode("utf-16-le"), None, "CSV in UTF-16 with semicolons", []),
        (SERVERS_IN_EUROPE.encode("utf-16-be"), None, "CSV in UTF-16 with semicolons", []),
        (SERVERS_IN_EUROPE.encode("utf-32"), None, "CSV in UTF-32 with semicolons", []),
        (SERVERS_IN_EUROPE.encode("cp1252"), "cp1252", "CSV in cp1252 with semicolons", []),
        (SERVERS_IN_EUROPE.replace(";", ",").encode(), None, "CSV in UTF-8 with commas", []),
        (SERVERS_IN_EUROPE.replace(";", "\t").encode("utf-16"), None, "CSV in UTF-16 with tabs", []),
        (SERVERS_IN_EUROPE.replace(";", "|").encode(), None, "CSV in UTF-8 with pipes", []),
        (f"sep=;\r\n{SERVERS_IN_EUROPE}".encode(), None, "CSV in UTF-8 with semicolons", ["sep=;"]),
        (
            f"sep=^\r\n{SERVERS_IN_EUROPE.replace(';', '^')}".encode(),
            None,
            "CSV in UTF-8 with the delimiter '^'",
            ["sep=^"],
        ),
        (
            f"#TYPE Selected.System.List`1[[a, b]]\r\n{SERVERS_IN_EUROPE}".encode("utf-16"),
            None,
            "CSV in UTF-16 with semicolons",
            ["#TYPE Selected.System.List`1[[a, b]]"],
        ),
        (
            f"\r\nServers\r\n;\r\nAugust, all sites\r\n{SERVERS_IN_EUROPE}".encode(),
            None,
            "CSV in UTF-8 with semicolons",
            ["Servers", "August, all sites"],
        ),
    ],
)
def test_every_dialect_is_read_as_the_same_table(
    content: bytes, encoding: str | None, description: str, skipped: list[str]
) -> None:
    table, records = read(content, encoding=encoding)
    assert table.header == ["HostName", "Standort"]
    assert [record.cells for record in records] == CELLS_IN_EUROPE
    assert (table.description, table.skipped) == (description, skipped)


def test_records_are_numbered_by_their_first_line_and_contain_their_text() -> None:
    table, records = read(
        b'\nTitle\n"Host\nName",OS,IP\r\nweb1,"a\r\n\r\nb"\r\n\r\n web2 \rweb3,b,c,d', lambda c: len(c) == 3
    )
    assert table.header == ["Host\nName", "OS", "IP"]
    assert records == [
        Record(5, ["web1", "a\r\n\r\nb"], 'web1,"a\r\n\r\nb"\r\n'),
        Record(9, [" web2 "], " web2 \r"),
        Record(10, ["web3", "b", "c", "d"], "web3,b,c,d"),
    ]


def test_records_are_the_same_across_chunks() -> None:
    rows = [[f"wéb{number}", "x\r\n\ry" * (number % 7), "é;" * number] for number in range(3000)]
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["HostName", "OS", "Notes"], *rows])
    _, records = read(text.getvalue().encode())
    assert [record.cells for record in records] == rows
    assert "".join(record.text or "" for record in records) == text.getvalue().partition("\r\n")[2]
    ends = re.findall(r"\r\n?|\n", "".join(record.text or "" for record in records[:-1]))
    assert (records[0].line, records[-1].line) == (2, 2 + len(ends))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_byte_order_marks_of_joined_files_are_removed(encoding: str, end: str) -> None:
    text = end.join(['\ufeff"HostName"', '\ufeff"web1"', "web\ufeff2", '\ufeff"web3"'])
    table, records = read(text.encode(encoding))
    assert table.header == ["HostName"]
    assert [record.cells for record in records] == [["web1"], ["web\ufeff2"], ["web3"]]


def test_line_breaks_in_cells_are_kept() -> None:
    _, records = read('HostName,OS.Name\nweb1,"a\r\n\r\nb\rc\nd\u2028e\x0bf"\n'.encode())
    assert [record.cells for record in records] == [["web1", "a\r\n\r\nb\rc\nd\u2028e\x0bf"]]


def test_a_cell_that_is_too_long_is_a_problem_of_its_record() -> None:
    long = b"web2," + b"x" * 131_073 + b"\n"
    _, records = read(b"HostName,OS\nweb1,a\n" + long + long + b"web3,b\n")
    problem = "A cell exceeds 131,072 characters."
    assert records == [
        Record(2, ["web1", "a"], "web1,a\n"),
        Record(3, [], long.decode(), problem),
        Record(4, [], long.decode(), problem),
        Record(5, ["web3", "b"], "web3,b\n"),
    ]


def test_headers_are_named_as_in_pandas() -> None:
    table, records = read(b"HostName,IP,IP,IP.1, OS ,\nweb1,a,b,c,d,\n")
    assert table.header == ["HostName", "IP", "IP.2", "IP.1", "OS", "Unnamed: 5"]
    assert [record.cells for record in records] == [["web1", "a", "b", "c", "d", ""]]


@pytest.mark.parametrize(
    ("content", "header", "skipped"),
    [
        (b"Name;RAM\nweb1;4,0\n", ["Name", "RAM"], []),
        (b"Inventory\nName;RAM\nweb1;4,0\n", ["Inventory"], []),
        (b"sep=;\nName;RAM\nweb1;4,0\n", ["Name", "RAM"], ["sep=;"]),
        (b"#TYPE a.b\nName,RAM\nweb1,4\n", ["Name", "RAM"], ["#TYPE a.b"]),
        (b"[Name],RAM\nweb1,4\n", ["[Name]", "RAM"], []),
    ],
)
def test_without_a_header_the_first_row_counts_as_the_header(
    content: bytes, header: list[str], skipped: list[str]
) -> None:
    table, _ = read(content)
    assert (table.header, table.skipped) == (header, skipped)


@pytest.mark.parametrize(
    ("content", "answers"),
    [
        (SERVERS_IN_EUROPE.encode("cp1252"), {"encoding": "cp1252"}),
        (SERVERS_IN_EUROPE.replace("ü", "ő").replace("ő", "ř").encode("cp1250"), {"encoding": "cp1250"}),
        (SERVERS_IN_EUROPE.encode("cp850"), {"encoding": "cp850"}),
        (b"HostName\nweb1;a\nweb2;b\n", {"delimiter": ";"}),
    ],
)
def test_an_answer_to_the_question_makes_the_file_pass(content: bytes, answers: dict[str, str]) -> None:
    with pytest.raises(AmbiguousFileError) as caught:
        read(content)
    [question] = caught.value.questions
    [(name, value)] = answers.items()
    assert f'{name}="{value}",' in question.answers
    _, records = read(content, **answers)  # type: ignore[arg-type]
    assert records[0].cells[0] == "web1"
    for answer in question.answers:
        read(content, **{name: answer.split('"')[1]})  # type: ignore[arg-type]


def test_the_question_about_the_encoding_quotes_the_text_and_the_line() -> None:
    message = refuse(b"HostName\n" + b"web1\n" * 20_000 + b"M\xfcnchen\n" + b"web1\n" * 20_000)
    assert message == (
        "Line 20002 is not UTF-8: it contains the byte 0xfc. Set the encoding in which its text is right: cp1252 reads "
        "'München'; cp1251 reads 'Mьnchen'; cp850 reads 'M³nchen'. If none is right, save the file as CSV in UTF-8.\n"
        '    encoding="cp1252",\n    encoding="cp1251",\n    encoding="cp850",'
    )


def test_the_question_about_the_encoding_names_a_line_that_is_utf_8() -> None:
    message = refuse("HostName\nweb1\nKöln\n".encode() + b"M\xfcnchen\n")
    assert "Line 4 is not UTF-8" in message
    assert "Line 3 is UTF-8, though: 'Köln' would change too." in message


#: The name of each file that is not a table, its content, and the words that its error must contain.
NOT_TABLES = [
    ("JSON", b'{"servers": []}', "The file is JSON."),
    ("JSON list", b' \r\n[\n  {"HostName": "web1"}]', "The file is JSON."),
    ("JSON list of lists", b'[["HostName"], ["web1"]]', "The file is JSON."),
    ("JSON in UTF-16", '{"servers": []}'.encode("utf-16"), "The file is JSON."),
    ("JSON, gzip", gzip.compress(b'\xef\xbb\xbf{"servers": []}'), "The file is JSON."),
    ("HTML named .xls", b'<html xmlns:x="urn:schemas-microsoft-com:office:excel">', "The file is HTML, even if"),
    ("table named .xls", b"\n<TABLE border=1>", "The file is HTML, even if"),
    ("page", b"<!DOCTYPE html>", "repeat the export."),
    ("SpreadsheetML 2003", b'<?xml version="1.0"?><Workbook>', "save it as .xlsx or as CSV"),
    ("XML", "<?xml version='1.0'?>".encode("utf-16"), "The file is XML"),
    ("7z", b"7z\xbc\xaf\x27\x1c\x00\x04", "The file is a 7z archive. Unpack it"),
    ("RAR", b"Rar!\x1a\x07\x01\x00", "The file is a RAR archive. Unpack it"),
    ("PDF", b"%PDF-1.7", "The file is a PDF document."),
    ("bzip2", b"BZh91AY&SY", "The file is compressed with bzip2."),
    ("xz", b"\xfd7zXZ\x00\x00", "The file is compressed with xz."),
    ("zstd", b"\x28\xb5\x2f\xfd\x04", "The file is compressed with zstd."),
    ("Parquet", b"PAR1\x15\x04", "The file is a Parquet file."),
    ("SQLite", b"SQLite format 3\x00", "The file is an SQLite database."),
    (
        "gzip in gzip",
        gzip.compress(gzip.compress(b"HostName\n")),
        "gzip file inside a gzip file. Compress it only once.",
    ),
]


@pytest.mark.parametrize(
    ("content", "words"),
    [pytest.param(content, words, id=name) for name, content, words in NOT_TABLES],
)
def test_names_a_file_that_is_not_a_table(content: bytes, words: str) -> None:
    with pytest.raises(ImportFileError) as caught:
        open_source(io.BytesIO(content))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"[HostName],OS\n", b"{HostName},OS\n", b"<none>,OS\n"],
)
def test_opens_workbooks_and_unusual_headers_unread(content: bytes) -> None:
    assert open_source(io.BytesIO(gzip.compress(content))).read() == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"^The file is empty\."),
        (gzip.compress(b""), r"^The file is empty\."),
        (b"\n\r\n\n", r"^The file contains only empty lines\."),
        (b"sep=;\n;;\n", r"^The file contains only empty lines\."),
        (b"HostName\nweb1\nweb\x002\n", r"^Line 3 contains a NUL byte, so the file is not UTF-8 text\."),
        (b"HostName\nweb1\nweb\x002\xff\n", r"^Line 3 contains a NUL byte"),
        (b"HostName\n" + b"web1\n" * 20_000 + b"w\0b\n", r"^Line 20002 contains a NUL byte"),
        (b"HostName\r\n\r\nweb1\r\nweb\xff2\r\n", r"^Line 4 is not UTF-8: it contains the byte 0xff\."),
        (b"HostName\rweb1\rweb2\xc3", r"^Line 3 is not UTF-8: it contains the byte 0xc3\."),
        (b"HostName\n" + b"web1\n" * 20_000 + b"w\xe9b\n", r"^Line 20002 is not UTF-8: it contains the byte 0xe9\."),
        (b"\xef\xbb\xbfHostName\nw\xe9b\n", r"^Line 2 is not UTF-8: .*, so the file is damaged or mixes encodings\."),
        ("HostName\nweb1\n".encode("utf-16")[:-1], r"^Line 2 is not UTF-16: .*, so the file is damaged"),
        (b'HostName,OS.Name\nweb1,a\nweb2,"b\nweb3,c\n', r"^The row on line 3 cannot be read after line 4: "),
        (b'sep=;\nHostName;OS\nweb1;"b"c\nweb3;c\n', r"^The row on line 3 cannot be read after line 3: "),
        (b'HostName,"OS.Name\nweb1,a\n', r"^The row on line 1 cannot be read after line 2"),
        (b'HostName,OS.Name\nweb1,"a"b\nweb2,c\n', r"^The row on line 2 cannot be read after line 2: "),
        (
            b'HostName,OS.Name\nweb1,"a\n' + b"web2,b\n" * 100_000,
            r"^A cell of the row on line 2 exceeds 131,072 characters and continues after line 187\d\d\.",
        ),
        (b"HostName," + b"x" * 131_073 + b"\n", r"^The header on line 1 cannot be read: A cell exceeds 131,072"),
        (
            b"HostName," + b",".join(b"c%d" % number for number in range(10_000)),
            r"^The header on line 1 has 10,001 columns; the maximum is 1,000\.",
        ),
        (
            b"web1,Linux\nHostName,OS\nweb2,Linux\n",
            r"^The header is on line 2, but line 1 above it has as many cells\. Delete the lines above the header\.",
        ),
    ],
)
def test_refuses_files_that_are_not_text_tables(content: bytes, message: str) -> None:
    assert re.search(message, refuse(content))


@pytest.mark.parametrize(
    ("content", "parameters", "message"),
    [
        (SERVERS_IN_EUROPE.encode("cp850"), {"encoding": "cp1252"}, r"^Line 2 is not cp1252: .* the byte 0x81\."),
        (SERVERS_IN_EUROPE.encode("cp850"), {"encoding": "utf-8"}, r"^Line 2 is not utf-8: .* Correct encoding="),
        (SERVERS_IN_EUROPE.encode("utf-16-le"), {"encoding": "latin-1"}, r"^Line 1 contains a NUL byte"),
        (SERVERS_IN_EUROPE.encode("utf-16"), {"encoding": "cp1252"}, r"^The file starts with the byte order mark"),
    ],
)
def test_refuses_a_wrong_parameter(content: bytes, parameters: dict[str, str], message: str) -> None:
    assert re.search(message, refuse(content, **parameters))


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"HostName\n" + b"web1\n" * 100_000)[:-100],
        b"\x1f\x8bHostName\n",
        gzip.compress(SERVERS.read_bytes())[:3_000] + bytes(50) + gzip.compress(SERVERS.read_bytes())[3_050:],
    ],
)
def test_a_damaged_gzip_file_is_an_error_of_gzip(content: bytes) -> None:
    with pytest.raises((EOFError, gzip.BadGzipFile, zlib.error)):
        read(content)


class Chunks:
    """A source whose reads are short: each returns at most one of the chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks, self.rest = iter(chunks), b""

    def read(self, size: int) -> bytes:
        self.rest = self.rest or next(self.chunks, b"")
        content, self.rest = self.rest[:size], self.rest[size:]
        return content


def test_reads_of_a_source_can_be_short() -> None:
    source = Chunks(bytes([byte]) for byte in gzip.compress(SERVERS.read_bytes()))
    assert len(list(TextTable(open_source(source), lambda cells: len(cells) > 1))) == 300


def test_errors_of_a_source_are_not_errors_of_the_file() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError("the connection was closed")

    with pytest.raises(ConnectionResetError):
        open_source(Broken())


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "cp1250", "cp850", "cp932"]
CELLS = st.one_of(
    st.sampled_from(["web1", "10.0.0.1;10.0.0.2", "4,0", "16 GiB", "Köln", "Přerov", "本番", 'a "b"', "a\nb", "#TYPE"]),
    st.text(st.sampled_from('ab1äßř本,;|\t"\n\r .-='), max_size=8),
)


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_a_table_in_any_dialect_is_read_as_written_or_causes_a_question(data: st.DataObject) -> None:
    names = CELLS.map(str.strip).filter(bool)
    header = data.draw(st.lists(names, min_size=1, max_size=5, unique=True), "header")
    width = len(header)
    rows = data.draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=8), "rows")
    titles = data.draw(st.lists(names, max_size=2), "titles") if width > 1 else []
    delimiter = data.draw(st.sampled_from(",;\t|"), "delimiter")
    quotes_all = data.draw(st.booleans(), "quotes all")
    line_end = data.draw(st.sampled_from(["\r\n", "\n", "\r"]), "line end")
    # Some versions of csv.writer do not quote every line end.
    quotes_all = quotes_all or bool(re.search(r"[\r\n]", "".join(chain(header, titles, *rows))))
    quoting: Literal[0, 1] = csv.QUOTE_ALL if quotes_all else csv.QUOTE_MINIMAL
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=line_end).writerows(
        [*([title] for title in titles), header, *rows]
    )
    written = f"sep={delimiter}{line_end}" * data.draw(st.booleans(), "sep=") + text.getvalue()
    encoding = data.draw(st.sampled_from(ENCODINGS), "encoding")
    try:
        content = written.encode(encoding)
    except UnicodeEncodeError:
        assume(False)
    # Nobody can know that valid UTF-8 is not meant to be UTF-8.
    is_legacy = encoding.startswith("cp")
    assume(not is_legacy or content.isascii() or content.decode("utf-8", "ignore").encode() != content)
    known = data.draw(st.booleans(), "known")
    try:
        table, records = read(
            content,
            lambda cells: list(cells) == header,
            delimiter if known else None,
            encoding if known and is_legacy else None,
        )
    except AmbiguousFileError:
        event("asked back")
        if known:
            raise
    except ImportFileError as error:
        # UTF-16 without a byte order mark and with few ASCII characters cannot be detected.
        if "NUL byte" not in str(error):
            raise
        event("refused")
    else:
        assert table.header == header
        assert [record.cells for record in records] == [row for row in rows if any(map(str.strip, row))]


@settings(deadline=None)
@given(
    content=st.binary(max_size=200),
    prefix=st.sampled_from([b"", b"HostName\n", b"\xef\xbb\xbf", b"\xff\xfe", b'a,"', b"HostName;a\nb,", b"sep="]),
    encoding=st.sampled_from([None, "cp1252", "utf-16", "cp932", "utf-7"]),
)
def test_any_bytes_are_read_or_refused(content: bytes, prefix: bytes, encoding: str | None) -> None:
    with suppress(ImportFileError, EOFError, gzip.BadGzipFile, zlib.error):
        read(prefix + content, encoding=encoding)


def peak_memory(chunks: Iterable[bytes]) -> tuple[int, str]:
    """Read a source, and return the bytes of memory that this needs at most, and the message of the error."""
    message = ""
    tracemalloc.start()
    try:
        for _ in TextTable(open_source(Chunks(chunks)), has_host_name):
            pass
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


def test_a_larger_source_needs_no_more_memory() -> None:
    rows = b"web1,Linux\n" * 20_000
    peaks = [peak_memory(chain([b"HostName,OS.Name\n"], repeat(rows, times)))[0] for times in (3, 10)]
    assert peaks[1] - peaks[0] < MB


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        pytest.param(repeat(b"x" * MB, 1_000), "The row on line 1 has at least 20,0", id="header"),
        pytest.param(chain([b"HostName\n"], repeat(b"x" * MB, 1_000)), "The row on line 2 has at least", id="row"),
        pytest.param(chain([b"HostName\n"], repeat(b"ab," * MB, 99)), "The row on line 2 has at least", id="cells"),
        pytest.param(
            chain([b"HostName\n"], repeat(b"ab," * 3 * MB + b"\n", 9)),
            "The row on line 2 has at least 9,000,001 characters",
            id="cells of a row that ends",
        ),
        pytest.param(
            chain([b"HostName;OS\n"], repeat(b"ab;" * 3 * MB + b"\n", 9)),
            "The row on line 2 has at least 9,000,001 characters",
            id="cells between semicolons",
        ),
        pytest.param(chain([b'HostName\n"'], repeat("€".encode() * MB, 99)), "The row on line 2 has", id="quoted cell"),
        pytest.param(
            chain([b'HostName\n"'], repeat(b"a\n" * MB, 99)), "A cell of the row on line 2 exceeds", id="quoted lines"
        ),
        pytest.param(chain([b"HostName\n"], repeat(b'"a\n",' * MB, 9)), "The row on line 2 has", id="cells with lines"),
        pytest.param(repeat(b"\n" * 400_000, 2), "The file contains only empty lines", id="empty lines"),
        pytest.param(repeat(b",,\n" * 200_000, 3), "The file contains only empty lines", id="empty rows"),
        pytest.param(repeat(b"sep=;\n" * 100_000, 2), "", id="preamble"),
        pytest.param(chain([b"HostName\n"], repeat(b"w\xe9b\n" * MB, 9)), "Line 2 is not UTF-8", id="encoding"),
        pytest.param(compressed(repeat(b"x" * MB, 1_000)), "The row on line 1 has at least", id="compressed row"),
    ],
)
def test_a_hostile_source_is_refused_within_bounded_memory(chunks: Iterable[bytes], message: str) -> None:
    peak, error = peak_memory(chunks)
    assert error.startswith(message)
    assert peak < 250 * MB
