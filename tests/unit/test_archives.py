from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ads.archives import (
    CHUNK_BYTES,
    ArchiveError,
    is_archive,
    open_archive,
    open_member,
    read_chunks,
)
from tests.support.inventories import pack

FILES = {"a.csv": b"HostName\r\nweb1\r\n", "folder/b.csv": bytes(10_000)}


def read(content: bytes) -> dict[str, bytes]:
    """Return the files of an archive by name."""
    with open_archive(io.BytesIO(content)) as archive:
        files = {}
        for info in archive.infolist():
            with open_member(archive, info) as member:
                files[info.filename] = b"".join(read_chunks(member))
        return files


def refuse(content: bytes) -> str:
    with pytest.raises(ArchiveError) as caught:
        read(content)
    assert len(str(caught.value)) < 300
    return str(caught.value)


def overwrite(content: bytes, local_offset: int, central_offset: int, value: bytes) -> bytes:
    """Overwrite a field in every local and every central header."""
    changed = bytearray(content)
    for signature, offset in ((b"PK\3\4", local_offset), (b"PK\1\2", central_offset)):
        start = changed.find(signature)
        while start >= 0:
            changed[start + offset : start + offset + len(value)] = value
            start = changed.find(signature, start + 4)
    return bytes(changed)


def end_archive(content: bytes, entries: int, directory_bytes: int) -> bytes:
    """Append the end of an archive, in the format for large archives, with its directory at the start."""
    return (
        content
        + struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, entries, entries, directory_bytes, 0)
        + struct.pack("<4sLQL", b"PK\6\7", 0, len(content), 1)
        + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    )


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Fail the test if it needs more than 20 MB of memory."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


#: Archives that would need much memory. They exist before a test measures its own.
ZEROS = pack({"a.csv": bytes(50_000_000)})
LARGER_THAN_CLAIMED = overwrite(ZEROS, 22, 24, struct.pack("<L", 1_000))
ENTRY = struct.pack("<4s6H3L5H2L", b"PK\1\2", *[20] * 2, *[0] * 7, 8, *[0] * 6) + b"an entry"
DIRECTORY = end_archive(ENTRY * 600_000, 600_000, len(ENTRY) * 600_000)
DIRECTORY_CLAIMED = end_archive(pack(FILES)[:-22], 600_000, len(ENTRY) * 600_000)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_reads_files_that_are_stored_or_deflated(compression: int) -> None:
    assert read(pack(FILES, compression)) == FILES


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "is not a ZIP archive, or is damaged", id="empty file"),
        pytest.param(b"<!doctype html><title>Sign in</title>", "is not a ZIP archive", id="web page"),
        pytest.param(pack(FILES)[:-30], "is not a ZIP archive, or is damaged", id="truncated at the end"),
        pytest.param(pack(FILES)[30:], "is not a ZIP archive, or is damaged", id="truncated at the start"),
        pytest.param(
            pack(FILES, zipfile.ZIP_STORED).replace(b"web1", b"web2"), "(BadZipFile: Bad CRC-32", id="wrong checksum"
        ),
        pytest.param(overwrite(pack(FILES), 6, 8, b"\1\0"), "is encrypted", id="encrypted"),
        pytest.param(overwrite(pack(FILES), 8, 10, b"\x63\0"), "is compressed with method 99", id="unknown method"),
        pytest.param(pack(FILES, zipfile.ZIP_BZIP2), "is compressed with method 12", id="bzip2"),
        pytest.param(pack(FILES, zipfile.ZIP_LZMA), "is compressed with method 14", id="method without memory limit"),
        pytest.param(
            overwrite(pack(FILES, zipfile.ZIP_STORED), 18, 20, struct.pack("<LL", 2**32 - 2, 2**32 - 2)),
            "is not a ZIP archive, or is damaged",
            id="false sizes",
        ),
    ],
)
def test_refuses_archives_that_it_cannot_read_safely(content: bytes, reason: str) -> None:
    assert reason in refuse(content)


@pytest.mark.usefixtures("little_memory")
class TestMemory:
    def test_a_large_file_is_read_in_chunks(self) -> None:
        with open_archive(io.BytesIO(ZEROS)) as archive, open_member(archive, archive.infolist()[0]) as member:
            sizes = [len(chunk) for chunk in read_chunks(member)]
        assert (sum(sizes), max(sizes)) == (50_000_000, CHUNK_BYTES)

    def test_a_file_larger_than_the_archive_claims_is_refused(self) -> None:
        assert "Bad CRC-32" in refuse(LARGER_THAN_CLAIMED)

    def test_a_large_directory_is_refused(self) -> None:
        assert refuse(DIRECTORY) == "has too large a directory"

    def test_a_false_claim_of_a_large_directory_is_refused(self) -> None:
        assert "is damaged (BadZipFile" in refuse(DIRECTORY_CLAIMED)


@settings(deadline=None)
@given(data=st.data())
def test_any_damage_is_an_archive_error(data: st.DataObject) -> None:
    content = bytearray(pack({"a.zip": pack(FILES), **FILES}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        with open_archive(io.BytesIO(content)) as archive:
            for info in archive.infolist():
                with open_member(archive, info) as member:
                    is_archive(member)
                with open_member(archive, info) as member:
                    list(read_chunks(member))
    except ArchiveError:
        pass


def test_recognizes_an_archive_in_an_archive() -> None:
    with open_archive(io.BytesIO(pack({"a.zip": pack(FILES), "a.csv": b"HostName"}))) as archive:
        assert [is_archive(open_member(archive, info)) for info in archive.infolist()] == [True, False]


def test_a_damaged_archive_in_an_archive_is_an_archive_error() -> None:
    content = pack({"a.zip": pack(FILES)}, zipfile.ZIP_STORED).replace(b"a.csv", b"x.csv", 1)
    with (
        open_archive(io.BytesIO(content)) as archive,
        open_member(archive, archive.infolist()[0]) as member,
        pytest.raises(ArchiveError, match="Bad CRC-32"),
    ):
        is_archive(member)
