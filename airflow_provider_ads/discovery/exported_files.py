"""
Exported files: downloading the archive of an export and unpacking it.

https://docs.aws.amazon.com/application-discovery/latest/userguide/export-data.html lists the files of an export. Two
names can differ only in case (``_NetworkInterface.csv`` for all servers, ``_networkInterface.csv`` for one agent), so
files are not written under these names: on some systems, one would overwrite the other.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_ads.archives import ArchiveError
from airflow_provider_ads.discovery.download import ArchiveKind, download_archive, printable

__all__ = ["open_exported_files"]

#: Maximum number of characters in the name of a file.
MAX_NAME_CHARACTERS = 200

#: The archive of an export. AWS documents no limit. The recommendations for 25,000 servers have about 15 MB.
EXPORT_ARCHIVE = ArchiveKind(
    name="export archive",
    task="an export",
    files="a few files",
    max_bytes=1_000_000_000,
    renewal="Run the task again, which starts another export",
    recreation="export from the Migration Hub console",
    inspection="export from the Migration Hub console and check what the archive contains",
)


@contextmanager
def open_exported_files(url: str, verify: bool | str | None = None) -> Iterator[dict[str, Path]]:
    """
    Download and unpack the archive of an export. The files exist until the context ends.

    https://docs.aws.amazon.com/application-discovery/latest/APIReference/API_ExportInfo.html

    :param url: ``configurationsDownloadUrl`` of the export task. AWS does not document how long it is valid.
    :param verify: the path of a CA bundle, or False to accept every certificate, as in boto3. Otherwise the machine's
        certificate authorities are trusted.
    :return: the files by name, in a folder that only the current user can read, sorted by name. Names are those in the
        archive without folders.
    :raises ArchiveDownloadError: the archive is not available, contains no file, or has a name that is not safe or
        differs from another one only in case.
    :raises OSError: the files cannot be written, for example because the disk is full.
    """
    with tempfile.TemporaryDirectory(prefix="ads-export-") as folder:
        files = {}
        with download_archive(url, EXPORT_ARCHIVE, verify) as archive:
            for number, (name, info) in enumerate(sorted(_names(archive.infos).items())):
                files[name] = Path(folder, str(number))
                archive.unpack(info, files[name])
        yield files


def _names(infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Return the entries of the files by their names without folders."""
    found: dict[str, zipfile.ZipInfo] = {}
    by_folded_name: dict[str, str] = {}
    for info in infos:
        if info.is_dir():
            continue
        name = re.split(r"[/\\]", info.filename)[-1]
        if not name.strip(" .") or not name.isprintable() or len(name) > MAX_NAME_CHARACTERS:
            raise ArchiveError(f"contains a file whose name is not safe: {printable(info.filename, 40)!r}")
        other = by_folded_name.setdefault(name.casefold(), name)
        if name in found or other != name:
            raise ArchiveError(
                f"contains two files whose names differ only in case or folder: {printable(other, 60)!r} and "
                f"{printable(info.filename, 60)!r}"
            )
        found[name] = info
    if not found:
        raise ArchiveError("contains no files")
    return found
