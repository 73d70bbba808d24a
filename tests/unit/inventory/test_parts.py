from __future__ import annotations

import csv
import io
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ads.inventory.parts import format_lines
from tests.support.inventories import SERVERS, prepare, read_csv, read_rows, refuse


def test_a_limit_without_room_for_the_header_and_each_row_is_refused(tmp_path: Path) -> None:
    content = "HostName,OS.Name\r\nx,😀é\r\n"
    limit = len(content.encode())
    assert len(prepare(content, tmp_path, max_file_bytes=limit).parts) == 1
    (tmp_path / "part-0001.csv").unlink()
    message = refuse(content, tmp_path, max_file_bytes=limit - 1)
    assert "line 2: The row and the header together exceed max_file_bytes." in message
    assert "header alone has 10 bytes" in refuse("HostName\nweb1\n", tmp_path, max_file_bytes=10)


@given(st.lists(st.tuples(st.text(), st.text("x, "), st.text('",\r\nx ')), min_size=1))
def test_lines_are_those_of_the_csv_module(rows: list[tuple[str, str, str]]) -> None:
    expected = io.StringIO(newline="")
    csv.writer(expected).writerows(rows)
    lines = format_lines(list(zip(*rows, strict=True)))
    assert "".join(f"{line}\r\n" for line in lines) == expected.getvalue()


def test_parts_are_as_large_as_possible(tmp_path: Path) -> None:
    rows = [f"web{number},{'x' * (number % 700)}\n" for number in range(10_000)]
    prepared = prepare("HostName,OS.Name\n" + "".join(rows), tmp_path, max_file_bytes=1_000_000)
    assert len(prepared.parts) > 1
    assert all(1_000_000 - part.size_bytes < 1_000 for part in prepared.parts[:-1])
    assert read_rows(prepared, tmp_path) == [row.rstrip().split(",") for row in rows]


def test_the_same_source_produces_the_same_files(tmp_path: Path) -> None:
    contents = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        prepare(SERVERS.read_bytes(), folder, max_file_bytes=9_999, on_invalid_rows="quarantine")
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
    assert len(contents[0]) > 5


def test_an_error_leaves_earlier_parts_unchanged(tmp_path: Path) -> None:
    prepare("HostName\nweb1\n", tmp_path)
    refuse("HostName\nweb2\nweb3,\n", tmp_path, max_file_bytes=16)
    assert read_csv(tmp_path / "part-0001.csv") == [["HostName"], ["web1"]]
