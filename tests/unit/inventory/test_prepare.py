from __future__ import annotations

import csv
import gzip
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.emulator.import_files import read_import_file
from airflow_provider_ads.inventory.template import NUMERIC_COLUMNS, TEMPLATE_COLUMNS
from tests.support.inventories import SERVERS, prepare, read_csv, read_rows, refuse


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
            "4 of 6 rows cannot be imported. Correct the rows or column_mapping, or set on_invalid_rows='quarantine' "
            "to import the other rows.",
            "line 3: 'Cores' (CPU.NumberOfCores): 'four' is not a number of 0 or more. "
            "Tags: 'env' does not have the form name:value. Commas separate tags.",
            "line 4: The row has 5 cells, but the header has 4. Put quotes around a cell that contains a comma or a "
            "list.",
            "line 6: The row needs one of ExternalId, IPAddress, MACAddress, HostName, or VMware.MoRefId with "
            "VMware.VCenterId.",
            "line 8: The row has 2 cells, but the header has 4.",
        ]

    def test_fail_lists_the_first_20_and_counts_the_others(self, tmp_path: Path) -> None:
        lines = refuse("HostName,SMBiosId\n" + ",x\n" * 1_234 + "web1,x\n", tmp_path).splitlines()
        assert lines[0].startswith("1,234 of 1,235 rows cannot be imported.")
        assert [line.partition(":")[0] for line in lines[1:-1]] == [f"line {number}" for number in range(2, 22)]
        assert lines[-1] == "and 1,214 more"

    def test_quarantine_keeps_them_unchanged(self, tmp_path: Path) -> None:
        prepared = prepare(self.CONTENT, tmp_path, on_invalid_rows="quarantine", **self.PARAMETERS)
        assert read_rows(prepared, tmp_path) == [["web1", "4", "env:prod"], ["web4", "6", "a:b, c:d"]]
        assert (prepared.rows_read, prepared.rows_quarantined, prepared.quarantine) == (6, 4, "quarantine.csv")
        header, *rows = read_csv(tmp_path / "quarantine.csv")
        assert header == ["Line", "Reason", "Server Name", "Cores", "Tags", "Owner"]
        assert [(row[0], *row[2:]) for row in rows] == [
            ("3", "web2", "four", "env", "me"),
            ("4", "web3\nold", "5", "", "me", "too"),
            ("6", "", "", "", "me"),
            ("8", "web5", "7"),
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_file_bytes", value) for value in (0, IMPORT_FILE_MAX_BYTES + 1, "1000", True)),
        ("on_invalid_rows", "ignore"),
        ("column_mapping", "HostName"),
    ],
)
def test_an_invalid_parameter_is_refused(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be "):
        prepare("HostName\nweb1\n", tmp_path, **{name: value})


#: Text with all characters that affect quoting, and characters of one to four bytes.
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
    """Generate a header of template columns, and valid rows."""
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
        prepared = prepare(gzip.compress(content) if is_compressed else content, folder, max_file_bytes=limit)
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
        assert read_rows(prepared, folder) == [cells[:-1] for cells, valid in sources if valid]
        invalid = [cells for cells, valid in sources if not valid]
        quarantined = read_csv(folder / "quarantine.csv")[1:] if invalid else []
        assert [cells[2:] for cells in quarantined] == invalid
        assert prepared.rows_read == len(sources)
        assert prepared.rows_quarantined == len(invalid)
        assert all(part.size_bytes <= limit for part in prepared.parts)
