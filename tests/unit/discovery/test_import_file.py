from __future__ import annotations

import csv
import gzip
import io
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ads.discovery.import_file import ImportFileError, PreparedImportFile, prepare_import_file
from airflow_provider_ads.discovery.import_template import NUMERIC_COLUMNS, TEMPLATE_COLUMNS
from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.emulator.import_rows import read_import_file

ROOT = Path(__file__).resolve().parents[3]
SERVERS = ROOT / "sample_inventories" / "servers.csv"


def prepare(content: str | bytes, folder: Path, **parameters: Any) -> PreparedImportFile:
    source = io.BytesIO(content.encode() if isinstance(content, str) else content)
    return prepare_import_file(source, folder, **parameters)


def refuse(content: str | bytes, folder: Path, **parameters: Any) -> str:
    """The message of the error; nothing may be left in the folder then."""
    before = set(folder.iterdir())
    with pytest.raises(ImportFileError) as caught:
        prepare(content, folder, **parameters)
    assert set(folder.iterdir()) == before
    return str(caught.value)


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, strict=True))


def rows_of(prepared: PreparedImportFile, folder: Path) -> list[list[str]]:
    """The rows of all parts, without their headers, which must be the same."""
    parts = [read(folder / part.name) for part in prepared.parts]
    assert len({tuple(part[0]) for part in parts}) == 1
    assert [len(part) - 1 for part in parts] == [part.rows for part in prepared.parts]
    return [row for part in parts for row in part[1:]]


class TestColumns:
    def test_mapped_columns_take_the_names_of_the_template(self, tmp_path: Path) -> None:
        prepared = prepare(
            "Server Name,IPAddress,Cores\nweb1,10.0.0.1,4\n",
            tmp_path,
            column_mapping={"Server Name": "HostName", "Cores": "CPU.NumberOfCores"},
        )
        assert (tmp_path / "part-0001.csv").read_bytes() == (
            b"HostName,IPAddress,CPU.NumberOfCores\r\nweb1,10.0.0.1,4\r\n"
        )
        assert prepared.columns_mapped == {
            "Server Name": "HostName",
            "IPAddress": "IPAddress",
            "Cores": "CPU.NumberOfCores",
        }
        assert (prepared.columns_ignored, prepared.columns_unknown) == ((), ())

    def test_what_the_template_does_not_have_is_left_out_and_told(self, tmp_path: Path) -> None:
        prepared = prepare(
            "Owner,HostName,Tags,,Owner\nme,web1,no tags,,you\n", tmp_path, column_mapping={"Tags": None}
        )
        assert read(tmp_path / "part-0001.csv") == [["HostName"], ["web1"]]
        assert prepared.columns_mapped == {"HostName": "HostName"}
        assert prepared.columns_ignored == ("Tags",)
        assert prepared.columns_unknown == ("Owner", "", "Owner")

    def test_two_columns_can_be_exchanged(self, tmp_path: Path) -> None:
        mapping = {"HostName": "VMware.VMName", "VMware.VMName": "HostName"}
        prepare("HostName,VMware.VMName\na,b\n", tmp_path, column_mapping=mapping)
        assert read(tmp_path / "part-0001.csv") == [["VMware.VMName", "HostName"], ["a", "b"]]

    def test_mapping_to_a_column_that_the_template_lacks(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="Did you mean 'HostName'"):
            prepare("a\nb\n", tmp_path, column_mapping={"a": "Hostname"})

    def test_mapping_of_a_column_that_the_file_lacks(self, tmp_path: Path) -> None:
        message = refuse("Server name,IP\nweb1,::1\n", tmp_path, column_mapping={"Server Name": "HostName"})
        assert message == (
            "column_mapping names columns that the file does not have: 'Server Name'. It has 'Server name', 'IP'."
        )

    @pytest.mark.parametrize(
        ("header", "mapping"),
        [
            ("HostName,HostName", {}),
            ("HostName,Server Name", {"Server Name": "HostName"}),
            ("Server Name,Server Name", {"Server Name": "HostName"}),
        ],
    )
    def test_two_columns_for_one(self, tmp_path: Path, header: str, mapping: dict[str, str]) -> None:
        message = refuse(f"{header}\na,b\n", tmp_path, column_mapping=mapping)
        assert message.startswith("The file has two columns for HostName: ")
        assert "to None" in message

    def test_one_of_two_can_be_left_out(self, tmp_path: Path) -> None:
        mapping = {"Server Name": "HostName", "HostName": None}
        prepare("HostName,Server Name\na,b\n", tmp_path, column_mapping=mapping)
        assert read(tmp_path / "part-0001.csv") == [["HostName"], ["b"]]

    def test_spelling_that_the_service_would_ignore(self, tmp_path: Path) -> None:
        content = "HostName, IPAddress,tags \nweb1,::1,a:b\n"
        message = refuse(content, tmp_path)
        assert "{' IPAddress': 'IPAddress', 'tags ': 'Tags'}" in message
        prepared = prepare(content, tmp_path, column_mapping={" IPAddress": "IPAddress", "tags ": None})
        assert read(tmp_path / "part-0001.csv") == [["HostName", "IPAddress"], ["web1", "::1"]]
        assert prepared.columns_ignored == ("tags ",)

    def test_odd_spelling_of_a_column_that_is_there_anyway_is_unknown(self, tmp_path: Path) -> None:
        assert prepare("hostname,HostName\na,b\n", tmp_path).columns_unknown == ("hostname",)

    def test_nothing_that_tells_servers_apart(self, tmp_path: Path) -> None:
        message = refuse("Name,OS.Name\nweb1,Linux\n", tmp_path)
        assert message.startswith("No column tells which server")
        assert message.endswith("It has 'Name', 'OS.Name'.")


class TestRows:
    def test_quoting_is_right(self, tmp_path: Path) -> None:
        prepare('HostName,OS.Name\nweb1,"a ""b"", c"\nweb2,5" disk\n', tmp_path)
        assert (tmp_path / "part-0001.csv").read_bytes() == (
            b'HostName,OS.Name\r\nweb1,"a ""b"", c"\r\nweb2,"5"" disk"\r\n'
        )

    @pytest.mark.parametrize(
        "content",
        [
            b"HostName,OS.Name\nweb1,a\nweb2,b\n",
            b"HostName,OS.Name\r\nweb1,a\r\nweb2,b",
            b"HostName,OS.Name\rweb1,a\rweb2,b\r",
            b"\xef\xbb\xbfHostName,OS.Name\nweb1,a\nweb2,b\n",
            b'\xef\xbb\xbf\r\n\n"HostName",OS.Name\r\n\r\nweb1,a\n\n\n\'\n'.replace(b"'", b'web2,"b"'),
            packed(b"HostName,OS.Name\nweb1,a\nweb2,b\n"),
            packed(b"HostName,OS.Name\n") + packed(b"web1,a\nweb2,b\n") + bytes(9),
        ],
    )
    def test_line_ends_empty_lines_byte_order_mark_and_gzip(self, tmp_path: Path, content: bytes) -> None:
        assert prepare(content, tmp_path).rows_read == 2
        assert (tmp_path / "part-0001.csv").read_bytes() == b"HostName,OS.Name\r\nweb1,a\r\nweb2,b\r\n"

    def test_rows_with_nothing_in_them_are_empty(self, tmp_path: Path) -> None:
        prepared = prepare("HostName,OS.Name\n,\nweb1,\n , \n,,,\n", tmp_path)
        assert rows_of(prepared, tmp_path) == [["web1", ""]]
        assert prepared.rows_read == 1

    def test_line_breaks_in_cells_are_kept(self, tmp_path: Path) -> None:
        prepare('HostName,OS.Name\nweb1,"a\r\n\r\nb\rc\nd\u2028e"\n', tmp_path)
        assert read(tmp_path / "part-0001.csv")[1:] == [["web1", "a\r\n\r\nb\rc\nd\u2028e"]]

    def test_the_sample_inventory(self, tmp_path: Path) -> None:
        content = SERVERS.read_bytes()
        message = refuse(content, tmp_path)
        assert message.startswith("6 of 300 rows cannot be imported.")
        prepared = prepare(content, tmp_path, on_invalid_rows="quarantine")
        assert (prepared.rows_read, prepared.rows_written, prepared.rows_quarantined) == (300, 294, 6)
        import_file = read_import_file(content)
        assert import_file is not None
        failed = [str(row.line) for row in import_file.rows if row.errors]
        assert failed == [row[0] for row in read(tmp_path / "quarantine.csv")[1:]]
        assert prepared.columns_unknown == ()

    def test_source_with_short_reads(self, tmp_path: Path) -> None:
        class Trickle(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                return super().read(1 if size else 0)

        source = Trickle(packed(SERVERS.read_bytes()))
        prepared = prepare_import_file(source, tmp_path, on_invalid_rows="quarantine")
        assert prepared.rows_written == 294

    def test_source_is_not_closed(self, tmp_path: Path) -> None:
        source = io.BytesIO(b"HostName\nweb1\n")
        prepare_import_file(source, tmp_path)
        assert not source.closed


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

    def test_fail_lists_line_column_and_reason(self, tmp_path: Path) -> None:
        assert refuse(self.CONTENT, tmp_path, **self.PARAMETERS).splitlines() == [
            "4 of 6 rows cannot be imported. Correct them or column_mapping, or set on_invalid_rows='quarantine' to "
            "import the others.",
            "line 3: 'Cores' (CPU.NumberOfCores): 'four' is not a number of 0 or more. "
            "Tags: 'env' is not of the form name:value; commas separate tags.",
            "line 4: The row has 5 cells, the header 4. A cell with a comma or a list in it needs quotes around it.",
            "line 6: The row needs one of ExternalId, IPAddress, MACAddress, HostName, or VMware.MoRefId with "
            "VMware.VCenterId.",
            "line 8: The row has 2 cells, the header 4.",
        ]

    def test_fail_lists_the_first_20_and_the_number_of_all(self, tmp_path: Path) -> None:
        lines = refuse("HostName,SMBiosId\n" + ",x\n" * 1_234 + "web1,x\n", tmp_path).splitlines()
        assert lines[0].startswith("1,234 of 1,235 rows cannot be imported.")
        assert [line.partition(":")[0] for line in lines[1:-1]] == [f"line {number}" for number in range(2, 22)]
        assert lines[-1] == "and 1,214 more"

    def test_quarantine_keeps_them_as_they_were(self, tmp_path: Path) -> None:
        prepared = prepare(self.CONTENT, tmp_path, on_invalid_rows="quarantine", **self.PARAMETERS)
        assert rows_of(prepared, tmp_path) == [["web1", "4", "env:prod"], ["web4", "6", "a:b, c:d"]]
        assert (prepared.rows_read, prepared.rows_quarantined, prepared.quarantine) == (6, 4, "quarantine.csv")
        header, *rows = read(tmp_path / "quarantine.csv")
        assert header == ["Line", "Reason", "Server Name", "Cores", "Tags", "Owner"]
        assert [(row[0], *row[2:]) for row in rows] == [
            ("3", "web2", "four", "env", "me"),
            ("4", "web3\nold", "5", "", "me", "too"),
            ("6", "", "", "", "me"),
            ("8", "web5", "7"),
        ]
        assert rows[0][1].startswith("'Cores' (CPU.NumberOfCores): 'four' is not")

    def test_what_was_corrected_in_quarantine_can_be_prepared_alike(self, tmp_path: Path) -> None:
        prepare(self.CONTENT, tmp_path, on_invalid_rows="quarantine", **self.PARAMETERS)
        corrected = (tmp_path / "quarantine.csv").read_text().replace(",four,env,", ",4,env:test,")
        prepared = prepare(corrected, tmp_path, on_invalid_rows="quarantine", **self.PARAMETERS)
        assert rows_of(prepared, tmp_path) == [["web2", "4", "env:test"]]
        assert prepared.columns_unknown == ("Line", "Reason", "Owner")

    def test_without_invalid_rows_there_is_no_quarantine(self, tmp_path: Path) -> None:
        prepared = prepare("HostName\nweb1\n", tmp_path, on_invalid_rows="quarantine")
        assert (prepared.quarantine, prepared.rows_quarantined) == (None, 0)
        assert [path.name for path in tmp_path.iterdir()] == ["part-0001.csv"]

    @pytest.mark.parametrize("on_invalid_rows", ["fail", "quarantine"])
    def test_no_valid_row_at_all(self, tmp_path: Path, on_invalid_rows: str) -> None:
        message = refuse("HostName,SMBiosId\n,x\n,y\n", tmp_path, on_invalid_rows=on_invalid_rows)
        assert message.startswith("2 of 2 rows cannot be imported.")
        assert "line 3: The row needs one of" in message

    @pytest.mark.parametrize("on_invalid_rows", ["fail", "quarantine"])
    def test_no_row_at_all(self, tmp_path: Path, on_invalid_rows: str) -> None:
        assert "no rows" in refuse("HostName\n\n", tmp_path, on_invalid_rows=on_invalid_rows)

    def test_cell_that_is_too_long_for_readers_of_csv(self, tmp_path: Path) -> None:
        long = "x" * 131_073
        content = f'HostName,OS.Name\nweb1,{long}\n"web2\n","{long}"\n"{long}",a\nweb3,"b,c"\n'
        prepared = prepare(content, tmp_path, on_invalid_rows="quarantine")
        assert rows_of(prepared, tmp_path) == [["web3", "b,c"]]
        quarantine = (tmp_path / "quarantine.csv").read_text()
        assert quarantine == (
            "Line,Reason,HostName,OS.Name\n"
            f'2,"A cell has more than 131,072 characters.",web1,{long}\n'
            f'3,"A cell has more than 131,072 characters.","web2\n","{long}"\n'
            f'5,"A cell has more than 131,072 characters.","{long}",a\n'
        )

    def test_row_that_is_larger_than_a_part_may_be(self, tmp_path: Path) -> None:
        content = f"HostName,OS.Name\nweb1,{'x' * 11_000_000}\nweb2,Linux\n"
        prepared = prepare(content, tmp_path, on_invalid_rows="quarantine")
        assert (prepared.rows_written, prepared.rows_quarantined) == (1, 1)


class TestParts:
    @pytest.mark.parametrize("row", ["x,yyyyyyy", 'x,"yy,yy"', "x,éééy", "x,😀yyy"])
    def test_limit_is_counted_in_bytes_as_written(self, tmp_path: Path, row: str) -> None:
        header, size = len("HostName,OS.Name\r\n"), len(f"{row}\r\n".encode())
        content = "HostName,OS.Name\n" + f"{row}\n" * 4
        for room, rows in [(2 * size, [2, 2]), (2 * size - 1, [1, 1, 1, 1]), (size, [1, 1, 1, 1])]:
            limit = header + room
            prepared = prepare(content, tmp_path, max_file_bytes=limit)
            assert [part.rows for part in prepared.parts] == rows
            sizes = [(tmp_path / part.name).stat().st_size for part in prepared.parts]
            assert [part.size_bytes for part in prepared.parts] == sizes
            assert max(sizes) <= limit
        message = refuse(content, tmp_path, max_file_bytes=header + size - 1)
        assert "line 2: With a header the row is larger than max_file_bytes." in message

    def test_they_are_as_large_as_they_can_be(self, tmp_path: Path) -> None:
        rows = [f"web{number},{'x' * (number % 700)}\n" for number in range(30_000)]
        prepared = prepare("HostName,OS.Name\n" + "".join(rows), tmp_path, max_file_bytes=1_000_000)
        assert all(1_000_000 - part.size_bytes < 1_000 for part in prepared.parts[:-1])
        assert rows_of(prepared, tmp_path) == [row.rstrip().split(",") for row in rows]

    def test_header_that_leaves_no_room(self, tmp_path: Path) -> None:
        assert "header alone has 10 bytes" in refuse("HostName\nweb1\n", tmp_path, max_file_bytes=10)

    def test_the_same_source_makes_the_same_files(self, tmp_path: Path) -> None:
        contents = []
        for name in ("first", "second"):
            folder = tmp_path / name
            folder.mkdir()
            prepare(SERVERS.read_bytes(), folder, max_file_bytes=9_999, on_invalid_rows="quarantine")
            contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
        assert contents[0] == contents[1]
        assert len(contents[0]) > 5

    def test_an_error_leaves_what_was_there_before(self, tmp_path: Path) -> None:
        prepare("HostName\nweb1\n", tmp_path)
        refuse("HostName\nweb2\nweb3,\n", tmp_path, max_file_bytes=16)
        assert read(tmp_path / "part-0001.csv") == [["HostName"], ["web1"]]


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_file_bytes": 0},
        {"max_file_bytes": IMPORT_FILE_MAX_BYTES + 1},
        {"max_file_bytes": "1000"},
        {"max_file_bytes": True},
        {"on_invalid_rows": "ignore"},
        {"column_mapping": "HostName"},
    ],
)
def test_wrong_parameters(tmp_path: Path, parameters: dict[str, Any]) -> None:
    (name,) = parameters
    with pytest.raises(ValueError, match=f"^{name} must be "):
        prepare("HostName\nweb1\n", tmp_path, **parameters)


class TestReport:
    CONTENT = "Server Name,IPAddress,Owner,Tags\n" + "web1,10.0.0.1,me,x\n" * 1_500 + ",,me,x\n"
    MAPPING = {"Server Name": "HostName", "Tags": None}

    def test_for_xcom(self, tmp_path: Path) -> None:
        prepared = prepare(self.CONTENT, tmp_path, column_mapping=self.MAPPING, on_invalid_rows="quarantine")
        assert json.loads(json.dumps(prepared.report("s3://inventory/prepared/"))) == {
            "file_classification": "IMPORT_TEMPLATE",
            "rows_read": 1_501,
            "rows_written": 1_500,
            "rows_quarantined": 1,
            "parts": [{"url": "s3://inventory/prepared/part-0001.csv", "rows": 1_500, "size_bytes": 22_520}],
            "quarantine_url": "s3://inventory/prepared/quarantine.csv",
            "columns_mapped": {"Server Name": "HostName", "IPAddress": "IPAddress"},
            "columns_ignored": ["Tags"],
            "columns_unknown": ["Owner"],
        }

    def test_for_the_log(self, tmp_path: Path) -> None:
        prepared = prepare(
            self.CONTENT, tmp_path, column_mapping=self.MAPPING, max_file_bytes=15_020, on_invalid_rows="quarantine"
        )
        assert str(prepared).splitlines() == [
            "                       rows         bytes",
            "part-0001.csv         1,000        15,020",
            "part-0002.csv           500         7,520",
            "all parts             1,500        22,540",
            "quarantine.csv            1",
            "rows read             1,501",
            "'Server Name' is HostName",
            "'IPAddress' is IPAddress",
            "'Tags' is left out: column_mapping says so",
            "'Owner' is left out: it is no column of the template",
        ]


class TestHostileFiles:
    """What is no CSV in UTF-8 with commas is refused with the line and what to do."""

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", r"^The file is empty\."),
            (packed(b""), r"^The file is empty\."),
            (b"\n\r\n\n", r"^The file has empty lines only\."),
            ("HostName\nweb1\n".encode("utf-16"), r"^The file is in UTF-16 .* Save it as CSV in UTF-8\.$"),
            ("HostName\nweb1\n".encode("utf-32"), r"^The file is in UTF-16 or UTF-32"),
            ("HostName\nweb1\n".encode("utf-16-le"), r"^Line 1 has a NUL byte, .* Save it as CSV in UTF-8\.$"),
            (b"HostName\nweb1\nweb\x002\n", r"^Line 3 has a NUL byte"),
            (b"HostName\r\n\r\nweb1\r\nweb\xff2\r\n", r"^Line 4 is not UTF-8: it has the byte 0xff\."),
            (b"HostName\rweb1\rweb2\xc3", r"^Line 3 is not UTF-8: it has the byte 0xc3\."),
            (b"HostName\n" + b"web1\n" * 20_000 + b"w\xe9b\n", r"^Line 20002 is not UTF-8: it has the byte 0xe9\."),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), r"^The file is an Excel file of the old kind"),
            (b"Name;HostName\na;b\n", r"^The header on line 1 has semicolons .* with commas\.$"),
            (b'\n"a, b";"HostName"\na;b\n', r"^The header on line 2 has semicolons"),
            (b"sep=;\nName;HostName\n", r"^The header on line 1 has semicolons"),
            (b"Name\tHostName\na\tb\n", r"^The header on line 1 has tabs"),
            (b'HostName,OS.Name\nweb1,a\nweb2,"b\nweb3,c\n', r"^The row on line 3 cannot be read beyond line 4: "),
            (b'HostName,"OS.Name\nweb1,a\n', r"^The row on line 1 cannot be read beyond line 2"),
            (b'HostName,OS.Name\nweb1,"a"b\nweb2,c\n', r"^The row on line 2 cannot be read beyond line 2: "),
            (
                b'HostName,OS.Name\nweb1,"a\n' + b"web2,b\n" * 100_000,
                r"^The row on line 2 has a cell of more than 131,072 characters, which goes on after line 187\d\d\.",
            ),
            (b"HostName," + b"x" * 131_073 + b"\n", r"^Line 1 is no header: field larger than"),
            (
                b"HostName," + b",".join(b"c%d" % number for number in range(10_000)),
                r"^The header on line 1 has 10,001 columns, of which at most 1,000 are read\.",
            ),
            (packed(b"HostName\n" + b"web1\n" * 100_000)[:-100], r"^The gzip file is truncated or damaged"),
            (packed(SERVERS.read_bytes())[:2_000], r"^The gzip file is truncated or damaged"),
            (b"\x1f\x8b", r"^The gzip file is truncated or damaged"),
            (b"\x1f\x8bHostName\n", r"^The gzip file is truncated or damaged"),
            (packed(b"HostName\nweb1\n") + b"rest", r"^The gzip file is truncated or damaged"),
            (
                packed(SERVERS.read_bytes())[:3_000] + bytes(50) + packed(SERVERS.read_bytes())[3_050:],
                r"^The gzip file is truncated or damaged",
            ),
            (packed(packed(b"HostName\nweb1\n")), r"^Line \d is not UTF-8|^Line \d has a NUL"),
        ],
    )
    @pytest.mark.parametrize("on_invalid_rows", ["fail", "quarantine"])
    def test_is_refused(self, tmp_path: Path, content: bytes, message: str, on_invalid_rows: str) -> None:
        assert re.search(message, refuse(content, tmp_path, on_invalid_rows=on_invalid_rows))

    def test_what_a_source_raises_is_not_taken_for_its_content(self, tmp_path: Path) -> None:
        class Broken(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                raise ConnectionResetError("the connection broke off")

        with pytest.raises(ConnectionResetError, match="broke off"):
            prepare_import_file(Broken(), tmp_path)

    @settings(deadline=None)
    @given(
        content=st.binary(max_size=200), prefix=st.sampled_from([b"", b"HostName\n", b"\xef\xbb\xbf", b'a,"', b"PK"])
    )
    def test_no_bytes_make_it_fail_otherwise(self, content: bytes, prefix: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            try:
                prepare(prefix + content, Path(folder), on_invalid_rows="quarantine")
            except ImportFileError:
                assert not list(Path(folder).iterdir())


#: Texts with everything that quoting is about, and characters of one to four bytes.
TEXTS = st.text(
    st.one_of(
        st.sampled_from('",\r\n; \té€😀\u2028\x85\x1c\ufeff'),
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
    ),
    max_size=12,
)
NUMBERS = st.one_of(
    st.just(""), st.integers(0).map(str), st.floats(0, allow_infinity=False).map(str), st.just(" 4. "), st.just("+.5")
)
NAMES = st.text(st.characters(exclude_characters="\0:,", exclude_categories=["Cs"]), min_size=1).filter(str.strip)
TAGS = st.lists(st.tuples(NAMES, NAMES).map(":".join), max_size=30).map(", ".join)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    """A header with columns of the template, and rows that can be imported."""
    header = draw(st.lists(st.sampled_from(TEMPLATE_COLUMNS), unique=True, max_size=9))
    if "HostName" not in header:
        header.append("HostName")
    cells = [
        TEXTS.filter(str.strip)
        if column == "HostName"
        else TAGS
        if column == "Tags"
        else NUMBERS
        if column in NUMERIC_COLUMNS
        else TEXTS
        for column in header
    ]
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
BEGINNINGS = st.sampled_from([b"", b"\xef\xbb\xbf"])


@settings(deadline=None)
@given(table=tables(), dialect=DIALECTS, beginning=BEGINNINGS, is_packed=st.booleans(), data=st.data())
def test_parts_are_the_source(
    table: tuple[list[str], list[list[str]]],
    dialect: dict[str, Any],
    beginning: bytes,
    is_packed: bool,
    data: st.DataObject,
) -> None:
    header, rows = table
    content = beginning + as_csv([header, *rows], **dialect)
    sizes = [len(as_csv([row])) for row in rows]
    header_size = len(as_csv([header]))
    limit = header_size + data.draw(st.integers(max(sizes), sum(sizes)), "room")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared = prepare(packed(content) if is_packed else content, folder, max_file_bytes=limit)
        assert rows_of(prepared, folder) == rows
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
            # How large a number may be, only the service knows.
            assert [e for row in import_file.rows for e in row.errors if not e.message.endswith("out of range.")] == []


@settings(deadline=None)
@given(table=tables(), dialect=DIALECTS, data=st.data())
def test_invalid_rows_are_set_aside_and_the_rest_goes_on(
    table: tuple[list[str], list[list[str]]], dialect: dict[str, Any], data: st.DataObject
) -> None:
    header, rows = table
    sizes = [len(as_csv([row])) for row in rows]
    room = data.draw(st.integers(min(sizes), max(sizes)), "room")
    width = len(header) + 1
    wrong = st.lists(TEXTS, max_size=50).filter(lambda cells: len(cells) != width and any(map(str.strip, cells)))
    sources = []
    for row, size in zip(rows, sizes, strict=True):
        sources += [(cells, False) for cells in data.draw(st.lists(wrong, max_size=2))]
        sources.append(([*row, "unknown"], size <= room))
    content = as_csv([[*header, "Owner"], *(cells for cells, _ in sources)], **dialect)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        limit = len(as_csv([header])) + room
        prepared = prepare(content, folder, max_file_bytes=limit, on_invalid_rows="quarantine")
        assert rows_of(prepared, folder) == [cells[:-1] for cells, valid in sources if valid]
        invalid = [cells for cells, valid in sources if not valid]
        quarantined = read(folder / "quarantine.csv")[1:] if invalid else []
        assert [cells[2:] for cells in quarantined] == invalid
        assert prepared.rows_read == len(sources)
        assert prepared.rows_quarantined == len(invalid)
        assert all(part.size_bytes <= limit for part in prepared.parts)


class TestMemory:
    """Measured in processes of their own: what they needed at most, all in all."""

    #: A process that prepares what it makes up, and tells its peak in kB and the error.
    PROGRAM = """
import gzip, sys, tempfile, zlib
from itertools import chain, islice, repeat
from pathlib import Path
from airflow_provider_ads.discovery.import_file import ImportFileError, prepare_import_file

class Source:
    def __init__(self, chunks):
        self.chunks, self.rest = iter(chunks), b""

    def read(self, size):
        while len(self.rest) < size and (chunk := next(self.chunks, b"")):
            self.rest += chunk
        content, self.rest = self.rest[:size], self.rest[size:]
        return content

def packed(chunks):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    yield from filter(None, map(packer.compress, chunks))
    yield packer.flush()

header, *rows = open(sys.argv[1], "rb").read().splitlines(keepends=True)
good = b"".join(row for row in rows if row.startswith(b"cmdb") and b"eight" not in row)
MB = 1_000_000
error = ""
with tempfile.TemporaryDirectory() as folder:
    try:
        prepare_import_file(Source({source}), Path(folder), on_invalid_rows="quarantine")
    except ImportFileError as caught:
        error = str(caught)[:300]
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak.split()[1], error)
"""

    def run(self, source: str) -> tuple[int, str]:
        # The kernel's own figure of the peak, because resource.getrusage has that of the parent in it.
        program = self.PROGRAM.replace("{source}", source)
        result = subprocess.run(
            [sys.executable, "-c", program, str(SERVERS)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        peak, _, error = result.stdout.strip().partition(" ")
        return int(peak) * 1024, error

    def test_ten_times_the_source_needs_no_more(self) -> None:
        peaks = []
        for megabytes in (10, 100):
            peak, error = self.run(f"chain([header], islice(repeat(good), {megabytes} * MB // len(good)))")
            assert error == ""
            peaks.append(peak)
        assert peaks[1] - peaks[0] < 16 * 2**20

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            (r"repeat(b'x' * MB, 1_000)", "The row on line 1 has 20,000,000 characters or more"),
            (r"chain([b'HostName\n'], repeat(b'x' * MB, 1_000))", "The row on line 2 has 20,000,000 characters"),
            (r"chain([b'HostName\n'], repeat(b'ab,' * MB, 1_000))", "The row on line 2 has 20,000,000 characters"),
            (r"chain([b'HostName\n'], repeat(b'ab,' * 3 * MB + b'\n', 100))", "The row on line 2 has 9,000,001 char"),
            (r"chain([b'HostName\n\x22'], repeat('€'.encode() * MB, 250))", "The row on line 2 has 20,000,000 char"),
            (
                r"chain([b'HostName\n\x22'], repeat(b'a\n' * MB, 500))",
                "The row on line 2 has a cell of more than",
            ),
            (r"chain([b'HostName\n'], repeat(b'\x22a\n\x22,' * MB, 200))", "The row on line 2 has 1"),
            (r"chain([b'HostName\n'], repeat(b'\x22\x22' * MB, 500))", "The row on line 2 has 20,000,000 characters"),
            (r"repeat(b'\n' * MB, 3)", "The file has empty lines only"),
            (
                r"chain([b'HostName,Tags\n'], repeat(b',a\n' * 100_000, 3))",
                "300,000 of 300,000 rows cannot be",
            ),
            (r"packed(repeat(bytes(MB), 1_000))", "Line 1 has a NUL byte"),
            (r"packed(repeat(b'x' * MB, 1_000))", "The row on line 1 has 20,000,000 characters or more"),
        ],
    )
    def test_hostile_sources_are_refused_within_bounds(self, source: str, message: str) -> None:
        peak, error = self.run(source)
        assert error.startswith(message)
        assert peak < 250 * 2**20
