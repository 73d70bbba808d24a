"""
Exports of RVTools: what one must hold, and how it must be packed.

The service takes the ZIP of a folder with everything that RVTools exports, to CSV files or to one Excel file, and needs
eleven sheets of it: https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
Only names of sheets are looked at. What the service makes of two exports in one ZIP is not documented.
"""

from __future__ import annotations

import re
import shutil
import xml.parsers.expat
import zipfile
from pathlib import Path
from typing import IO, Any, BinaryIO, NoReturn

from airflow_provider_ads.discovery.import_template import ImportFileError, quote
from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES

__all__ = ["REQUIRED_SHEETS", "ZIP_BEGINNINGS", "write_rvtools_part"]

#: Sheets that an export must have.
#: https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
REQUIRED_SHEETS = (
    "vInfo",
    "vNetwork",
    "vCpu",
    "vMemory",
    "vDisk",
    "vPartition",
    "vSource",
    "vTools",
    "vHost",
    "vNic",
    "vSC_VMK",
)

#: How ZIP files begin, and so .xlsx files; the second is one with nothing in it.
ZIP_BEGINNINGS = (b"PK\x03\x04", b"PK\x05\x06")

#: Bytes that are read of a ZIP file at once, of which its directory is one, and of the names of an Excel file's
#: sheets: much more than an export has, and little for the memory, of which a directory takes ten times as much.
MAX_READ_BYTES = 1_000_000

#: Bytes of an Excel file in a ZIP file, which may be larger only if it was not compressed before.
MAX_WORKBOOK_BYTES = 100_000_000

_CHUNK_BYTES = 64 * 1024


def write_rvtools_part(stream: BinaryIO, part: Path, max_file_bytes: int) -> None:
    """
    Write an export as a file that can be imported: a ZIP file as it is, an .xlsx file in a ZIP file.

    :param stream: the export.
    :param part: the file to write; for an .xlsx file there is another in its folder for a while.
    :param max_file_bytes: bytes that the file may have.
    :raises ImportFileError: it is no export of RVTools, lacks a sheet that the service needs, or is too large.
    """
    size = 0
    with part.open("wb") as file:
        while chunk := stream.read(_CHUNK_BYTES):
            size += len(chunk)
            _check_size(size, max_file_bytes)
            file.write(chunk)
    with part.open("rb") as file:
        try:
            is_workbook, sheets = _find_sheets(file)
        except ImportFileError:
            raise
        except Exception as error:
            # A dozen kinds, from struct.error to NotImplementedError, with texts from the file.
            raise ImportFileError(
                f"The ZIP or .xlsx file is damaged: {type(error).__name__}, {quote(str(error))}. Make it and upload it "
                "again."
            ) from error
    found = {sheet.casefold() for sheet in sheets}
    if missing := [sheet for sheet in REQUIRED_SHEETS if sheet.casefold() not in found]:
        raise ImportFileError(
            f"The ZIP or .xlsx file lacks {', '.join(missing)}, which an export of RVTools must have. Export "
            "all sheets; any other inventory must be a CSV file that is not in a ZIP file."
        )
    if is_workbook:
        workbook = part.rename(part.with_name("RVTools_export.xlsx"))
        # A ZipInfo made like this has always the same time, so that the bytes are the same, too.
        with (
            workbook.open("rb") as file,
            zipfile.ZipFile(part, "w") as archive,
            archive.open(zipfile.ZipInfo(workbook.name), "w") as member,
        ):
            shutil.copyfileobj(file, member)
        workbook.unlink()
        _check_size(part.stat().st_size, max_file_bytes)


def _check_size(size: int, max_file_bytes: int) -> None:
    if size > max_file_bytes:
        raise_it = "E" if max_file_bytes == IMPORT_FILE_MAX_BYTES else f"Raise that to {IMPORT_FILE_MAX_BYTES:,}, e"
        raise ImportFileError(
            f"The export of RVTools is larger than the {max_file_bytes:,} bytes of max_file_bytes, and cannot be "
            f"divided. {raise_it}xport each vCenter by itself, or keep no sheets but {', '.join(REQUIRED_SHEETS)}."
        )


class _SmallReads:
    """A file that is not read in large pieces, as zipfile reads a directory of any size."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1, /) -> bytes:
        content = self._file.read(size if 0 <= size <= MAX_READ_BYTES else MAX_READ_BYTES + 1)
        if len(content) > MAX_READ_BYTES:
            raise ImportFileError("The ZIP or .xlsx file has too many files in it for an export of RVTools.")
        return content


def _find_sheets(file: IO[bytes]) -> tuple[bool, list[str]]:
    """Return whether a ZIP file is an .xlsx file, and the names of the sheets in it."""
    with _unzip(file) as archive:
        if _is_workbook(archive):
            return True, _workbook_sheets(archive)
        infos = archive.infolist()
        if any(info.flag_bits & 1 for info in infos):
            raise ImportFileError("The ZIP file has a password. Pack the export without one.")
        sheets = [sheet for sheet in REQUIRED_SHEETS if any(_is_csv_of(sheet, info.filename) for info in infos)]
        # A ZIP file from a Mac has files "._" about its files.
        workbooks = [info for info in infos if re.search(r"(?:^|/)(?!\._)[^/]*\.xlsx\Z", info.filename, re.IGNORECASE)]
        if len(workbooks) > 1:
            raise ImportFileError(
                f"The ZIP file has {len(workbooks):,} .xlsx files. Pack each export into a ZIP file of its own."
            )
        for info in workbooks:
            name = quote(info.filename)
            if info.file_size > MAX_WORKBOOK_BYTES:
                raise ImportFileError(
                    f"{name} in the ZIP file has {info.file_size:,} bytes, more than the {MAX_WORKBOOK_BYTES:,} of any "
                    "export that is read. Save it with Excel, which compresses it."
                )
            with _open(archive, info) as member:
                if not zipfile.is_zipfile(member):
                    raise ImportFileError(f"{name} in the ZIP file is no Excel file. Export it from RVTools again.")
                with _unzip(member) as workbook:
                    sheets += _workbook_sheets(workbook)
        return False, sheets


def _is_csv_of(sheet: str, name: str) -> bool:
    """Whether a file is a sheet as CSV, by a name such as ``RVTools_tabvInfo.csv``."""
    return bool(re.search(rf"(?:^|[\W\d_]|tab){sheet}\.csv\Z", name, re.IGNORECASE))


def _unzip(file: IO[bytes]) -> zipfile.ZipFile:
    small_reads: Any = _SmallReads(file)
    return zipfile.ZipFile(small_reads)


def _open(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    # Of the methods that zipfile knows, the others take memory as they please, and Excel does not know them.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ImportFileError(f"{quote(info.filename)} is compressed with another method than DEFLATE. Use that.")
    return archive.open(info)


def _is_workbook(archive: zipfile.ZipFile) -> bool:
    return {"[Content_Types].xml", "xl/workbook.xml"} <= set(archive.namelist())


def _workbook_sheets(workbook: zipfile.ZipFile) -> list[str]:
    sheets: list[str] = []
    if not _is_workbook(workbook):
        return sheets
    with _open(workbook, workbook.getinfo("xl/workbook.xml")) as member:
        content = member.read(MAX_READ_BYTES + 1)
    if len(content) > MAX_READ_BYTES:
        raise ImportFileError("The names of the .xlsx file's sheets are too long for an export of RVTools.")

    def on_element(name: str, attributes: dict[str, str]) -> None:
        if name.rpartition(" ")[2] == "sheet":
            sheets.append(attributes["name"])

    def on_document_type(*_: object) -> NoReturn:
        raise ValueError("xl/workbook.xml has a document type")

    parser = xml.parsers.expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = on_element
    # Only a document type can define entities, which may be endless; an Excel file has none.
    parser.StartDoctypeDeclHandler = on_document_type
    parser.Parse(content, True)
    return sheets
