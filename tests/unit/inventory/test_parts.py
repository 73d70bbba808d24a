from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.inventories import SERVERS, prepare, read_csv, read_rows, refuse


@pytest.mark.parametrize("row", ["x,yyyyyyy", 'x,"yy,yy"', "x,éééy", "x,😀yyy"])
def test_the_limit_applies_to_the_bytes_written(tmp_path: Path, row: str) -> None:
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
    assert "line 2: The row and the header together exceed max_file_bytes." in message


def test_parts_are_as_large_as_possible(tmp_path: Path) -> None:
    rows = [f"web{number},{'x' * (number % 700)}\n" for number in range(10_000)]
    prepared = prepare("HostName,OS.Name\n" + "".join(rows), tmp_path, max_file_bytes=1_000_000)
    assert len(prepared.parts) > 1
    assert all(1_000_000 - part.size_bytes < 1_000 for part in prepared.parts[:-1])
    assert read_rows(prepared, tmp_path) == [row.rstrip().split(",") for row in rows]


def test_a_header_that_leaves_no_room_for_rows_is_refused(tmp_path: Path) -> None:
    assert "header alone has 10 bytes" in refuse("HostName\nweb1\n", tmp_path, max_file_bytes=10)


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
