"""
RVTools exports: the check for required sheets, and the packing into a ZIP file.

The service accepts a ZIP file of everything that RVTools exports, as CSV files or as one Excel file. It requires eleven
sheets: https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
Only the names of the sheets are checked here. AWS does not document how it treats two exports in one ZIP file.
"""

from __future__ import annotations

import re
import shutil
import xml.parsers.expat
import zipfile
from pathlib import Path
from typing import IO, BinaryIO, NoReturn

from airflow_provider_ads.archives import (
    CHUNK_BYTES,
    MAX_READ_BYTES,
    ArchiveError,
    is_archive,
    open_archive,
    open_member,
    read_chunks,
)
from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.discovery.parameters import quote
from airflow_provider_ads.inventory.template import ImportFileError

__all__ = ["REQUIRED_SHEETS", "ZIP_SIGNATURES", "write_rvtools_part"]

#: Sheets that an export must contain.
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

#: Signatures of ZIP files, and so of .xlsx files. The second one is that of an empty ZIP file.
ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")

#: Maximum size in bytes of an Excel file in a ZIP file. Only an uncompressed one can be larger.
MAX_WORKBOOK_BYTES = 100_000_000


def write_rvtools_part(stream: BinaryIO, part: Path, max_file_bytes: int) -> None:
    """
    Write an export as an importable file: a ZIP file unchanged, an .xlsx file inside a ZIP file.

    :param stream: the export.
    :param part: the file to write. For an .xlsx file, its folder needs room for another copy.
    :param max_file_bytes: maximum size of the file in bytes.
    :raises ImportFileError: the file is not an RVTools export, lacks a required sheet, or is too large.
    """
    size = 0
    with part.open("wb") as file:
        while chunk := stream.read(CHUNK_BYTES):
            size += len(chunk)
            _check_size(size, max_file_bytes)
            file.write(chunk)
    with part.open("rb") as file:
        try:
            is_workbook, sheets = _find_sheets(file)
        except ArchiveError as error:
            raise ImportFileError(
                f"The ZIP or .xlsx file {error}. Export it again, without a password and with DEFLATE compression, and "
                "upload it again."
            ) from error
    found = {sheet.casefold() for sheet in sheets}
    if missing := [sheet for sheet in REQUIRED_SHEETS if sheet.casefold() not in found]:
        raise ImportFileError(
            f"The ZIP or .xlsx file lacks {', '.join(missing)}, which an RVTools export must contain. Export all "
            "sheets. Any other inventory must be a CSV file that is not in a ZIP file."
        )
    if is_workbook:
        workbook = part.rename(part.with_name("RVTools_export.xlsx"))
        # A ZipInfo created without a time has a constant one, so the same export produces the same bytes.
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
            f"The RVTools export exceeds max_file_bytes={max_file_bytes:,} and cannot be divided. {raise_it}xport each "
            f"vCenter separately, or keep only the sheets {', '.join(REQUIRED_SHEETS)}."
        )


def _find_sheets(file: IO[bytes]) -> tuple[bool, list[str]]:
    """Return True if a ZIP file is an .xlsx file, and the names of the sheets in it."""
    with open_archive(file) as archive:
        if _is_workbook(archive):
            return True, _workbook_sheets(archive)
        infos = archive.infolist()
        if any(info.flag_bits & 1 for info in infos):
            raise ArchiveError("is encrypted")
        sheets = [sheet for sheet in REQUIRED_SHEETS if any(_is_csv_of(sheet, info.filename) for info in infos)]
        # In a ZIP file made on a Mac, each file is accompanied by a file "._name" with its metadata.
        workbooks = [info for info in infos if re.search(r"(?:^|/)(?!\._)[^/]*\.xlsx\Z", info.filename, re.IGNORECASE)]
        if len(workbooks) > 1:
            raise ImportFileError(
                f"The ZIP file contains {len(workbooks):,} .xlsx files. Pack each export into its own ZIP file."
            )
        for info in workbooks:
            name = quote(info.filename)
            if info.file_size > MAX_WORKBOOK_BYTES:
                raise ImportFileError(
                    f"{name} in the ZIP file has {info.file_size:,} bytes; the maximum is {MAX_WORKBOOK_BYTES:,}. Save "
                    "it with Excel, which compresses it."
                )
            with open_member(archive, info) as member:
                if not is_archive(member):
                    raise ImportFileError(f"{name} in the ZIP file is not an Excel file. Export it from RVTools again.")
                with open_archive(member) as workbook:
                    sheets += _workbook_sheets(workbook)
        return False, sheets


def _is_csv_of(sheet: str, name: str) -> bool:
    """Return True if a file is the CSV export of a sheet, with a name such as ``RVTools_tabvInfo.csv``."""
    return bool(re.search(rf"(?:^|[\W\d_]|tab){sheet}\.csv\Z", name, re.IGNORECASE))


def _is_workbook(archive: zipfile.ZipFile) -> bool:
    return {"[Content_Types].xml", "xl/workbook.xml"} <= set(archive.namelist())


def _workbook_sheets(workbook: zipfile.ZipFile) -> list[str]:
    if not _is_workbook(workbook):
        return []
    content = b""
    with open_member(workbook, workbook.getinfo("xl/workbook.xml")) as member:
        for chunk in read_chunks(member):
            content += chunk
            if len(content) > MAX_READ_BYTES:
                raise ImportFileError("The .xlsx file's list of sheets is too long for an RVTools export.")
    sheets: list[str] = []

    def on_element(name: str, attributes: dict[str, str]) -> None:
        if name.rpartition(" ")[2] == "sheet":
            sheets.append(attributes["name"])

    def on_document_type(*_: object) -> NoReturn:
        raise ValueError("it has a document type declaration")

    parser = xml.parsers.expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = on_element
    # Entities can expand without limit. Only a document type declaration, which Excel never writes, can define them.
    parser.StartDoctypeDeclHandler = on_document_type
    try:
        parser.Parse(content, True)
    except Exception as error:
        # Besides ExpatError, for example LookupError if the XML declares an encoding that does not exist.
        raise ArchiveError(
            f"contains a damaged list of sheets ({type(error).__name__}: {quote(str(error))})"
        ) from error
    return sheets
