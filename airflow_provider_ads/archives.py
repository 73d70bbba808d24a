"""
Safe reading of ZIP archives.

Archives come from outside, so the sizes and names in their metadata are never trusted.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from typing import IO, Any, ParamSpec, TypeVar

__all__ = [
    "CHUNK_BYTES",
    "MAX_READ_BYTES",
    "ZIP_SIGNATURES",
    "ArchiveError",
    "is_archive",
    "open_archive",
    "open_member",
    "read_chunks",
]

#: Signatures of ZIP files, and so of .xlsx files. The second one is that of an empty ZIP file.
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")

#: Maximum number of bytes in one read by zipfile. zipfile reads the whole directory with one read and then needs about
#: ten times as much memory. The directory of a hundred files has about 10 kB; finding it takes reads of 64 KiB.
MAX_READ_BYTES = 1_000_000

#: Number of bytes that are read at a time.
CHUNK_BYTES = 64 * 1024

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ArchiveError(Exception):
    """
    An archive cannot be read.

    :param message: a verb phrase whose subject is the archive, such as "is encrypted".
    """


class _BoundedReads:
    """A file that refuses large reads, which zipfile requests if an archive claims to have a large directory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1, /) -> bytes:
        content = self._file.read(size if 0 <= size <= MAX_READ_BYTES else MAX_READ_BYTES + 1)
        if len(content) > MAX_READ_BYTES:
            raise ArchiveError("has too large a directory")
        return content


def is_archive(file: IO[bytes]) -> bool:
    """
    Return True if a file starts with a ZIP signature.

    :param file: the file, at its beginning.
    :raises ArchiveError: the file is in another archive and its content there is damaged.
    """
    # From Python 3.14 on, zipfile.is_zipfile returns False for a damaged file.
    return _call(file.read, len(ZIP_SIGNATURES[0])) in ZIP_SIGNATURES


def open_archive(file: IO[bytes]) -> zipfile.ZipFile:
    """
    Open an archive and read its directory.

    :param file: the archive, which must be seekable.
    :raises ArchiveError: the file is not a ZIP archive, is damaged, or has too large a directory.
    """
    bounded: Any = _BoundedReads(file)
    return _call(zipfile.ZipFile, bounded)


def open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """
    Open a file in an archive; read it with :func:`read_chunks`.

    :param archive: an archive that :func:`open_archive` returned.
    :param info: the entry of the file.
    :raises ArchiveError: the file is encrypted, compressed with another method than DEFLATE, or damaged.
    """
    if info.flag_bits & 1:
        raise ArchiveError("is encrypted")
    # The other methods that zipfile supports need an unbounded amount of memory.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"is compressed with method {info.compress_type}, which is not supported")
    return _call(archive.open, info)


def read_chunks(member: IO[bytes]) -> Iterator[bytes]:
    """
    Yield the content of a file in an archive.

    :param member: a file that :func:`open_member` returned.
    :raises ArchiveError: the content is damaged.
    """
    while chunk := _call(member.read, CHUNK_BYTES):
        yield chunk


def _call(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    try:
        return function(*args, **kwargs)
    except ArchiveError:
        raise
    except Exception as error:
        # zipfile raises a dozen types, from struct.error to NotImplementedError, some with long text from the archive.
        reason = f"{type(error).__name__}: {error}"[:200]
    raise ArchiveError(f"is not a ZIP archive, or is damaged ({reason})")
