"""
RVTools exports: checking for required sheets, and packing into a ZIP file.

The service accepts a ZIP file of everything that RVTools exports, as CSV files or as one Excel file. It requires eleven
sheets: https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
The sheets' names, the form of CSV files, and that vInfo has rows are checked here; their columns are not. AWS does not
document how it treats two exports in one ZIP file.
"""

from __future__ import annotations

import codecs
import importlib.util
import re
import shutil
import xml.parsers.expat
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, NoReturn

from airflow_provider_ads.archives import (
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
from airflow_provider_ads.inventory.workbook import WorkbookTable

__all__ = [
    "REQUIRED_SHEETS",
    "RVToolsExport",
    "extract_workbook",
    "find_rvtools_export",
    "is_rvtools_export",
    "read_member",
    "write_rvtools_part",
]

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

#: Maximum size in bytes of an Excel file in a ZIP file. Only an uncompressed one can be larger.
MAX_WORKBOOK_BYTES = 100_000_000

#: Maximum size in bytes of a CSV file in a ZIP file. A server has about 1 kB in vInfo.
MAX_CSV_BYTES = 500_000_000

#: Advice for an export that AWS might not accept.
CONVERT = "set rvtools_as_template=True to convert the export to the import template"

#: Advice for several exports.
PACK_EACH = "pack each into its own ZIP file, and prepare them separately."

#: The error for an export without servers.
EMPTY_VINFO = (
    "Sheet vInfo has no rows, so the export contains no servers. Check that RVTools was connected to the right "
    "vCenter, with an account that can see its virtual machines."
)


class RVToolsExport(NamedTuple):
    """
    The sheets of an RVTools export.

    :param is_workbook: True if the file is an .xlsx file, and False if it is a ZIP file of one or of CSV files.
    :param workbook: the .xlsx file in the ZIP file.
    :param sheets: the names of the workbook's sheets.
    :param csv_files: the CSV files in the ZIP file by required sheet.
    """

    is_workbook: bool
    workbook: zipfile.ZipInfo | None
    sheets: list[str]
    csv_files: dict[str, zipfile.ZipInfo]

    def sheet_name(self, sheet: str) -> str | None:
        """
        Return the name of a sheet in the workbook; None if the workbook lacks it.

        :param sheet: the name, which can differ in case or begin with ``tab``, as in older versions.
        """
        names = {name.casefold(): name for name in reversed(self.sheets)}
        return names.get(sheet.casefold()) or names.get(f"tab{sheet}".casefold())


def is_rvtools_export(file: Path) -> bool:
    """
    Return True if a file is a ZIP or .xlsx file that has a sheet ``vInfo`` or ``tabvInfo``.

    :param file: the file. A damaged or encrypted one is not an export.
    :raises ImportFileError: the ZIP file contains several exports, or an .xlsx file that is too large or not an Excel
        file.
    """
    with file.open("rb") as stream:
        try:
            export = _find_sheets(stream)
        except ArchiveError:
            return False
    return "vInfo" in export.csv_files or export.sheet_name("vInfo") is not None


def find_rvtools_export(stream: IO[bytes]) -> RVToolsExport:
    """
    Return the sheets of an RVTools export.

    :param stream: the export, which must be seekable.
    :raises ImportFileError: the file cannot be read, is not an RVTools export, or contains several exports.
    """
    try:
        export = _find_sheets(stream)
        if not export.csv_files and not any(map(export.sheet_name, REQUIRED_SHEETS)):
            with open_archive(stream) as archive:
                names = archive.namelist()
            listed = (
                f" It contains {', '.join(map(quote, names[:5]))}{' and more' * (len(names) > 5)}." if names else ""
            )
            raise ImportFileError(
                f"The file is a ZIP file, but not an RVTools export, which has a sheet vInfo.{listed} If it is an "
                "export of modelizeIT or VMware NSX, which AWS imports too, upload it unchanged to S3 and give its "
                "URL to AdsStartImportTaskOperator as import_url. Any other inventory must be a CSV file or a workbook "
                "that is not in a ZIP file."
            )
    except ArchiveError as error:
        raise ImportFileError(
            f"The ZIP or .xlsx file {error}. Export it again, without a password and with DEFLATE compression, and "
            "upload it again."
        ) from error
    return export


def write_rvtools_part(stream: BinaryIO, part: Path, max_file_bytes: int) -> None:
    """
    Write an export as an importable file: a ZIP file unchanged, an .xlsx file inside a ZIP file.

    :param stream: the export, which must be seekable.
    :param part: the file to write. If the export is or contains an .xlsx file, its folder needs room for another copy.
    :param max_file_bytes: maximum size of the file in bytes.
    :raises ImportFileError: the file is not an RVTools export, lacks a required sheet, has no rows in vInfo, is in
        another form than AWS documents, or is too large.
    """
    export = find_rvtools_export(stream)
    _check_sheets(export)
    _check_size(stream.seek(0, 2), max_file_bytes)
    workbook = part.with_name("RVTools_export.xlsx")
    try:
        if extract_workbook(stream, export, workbook):
            _check_workbook_rows(workbook, export)
        else:
            for sheet in REQUIRED_SHEETS:
                _check_csv_file(stream, export.csv_files[sheet], needs_rows=sheet == "vInfo")
        if export.is_workbook:
            # A ZipInfo created without a time has a constant one, so the same export produces the same bytes.
            with (
                workbook.open("rb") as file,
                zipfile.ZipFile(part, "w") as archive,
                archive.open(zipfile.ZipInfo(workbook.name), "w") as member,
            ):
                shutil.copyfileobj(file, member)
            _check_size(part.stat().st_size, max_file_bytes)
        else:
            stream.seek(0)
            with part.open("wb") as file:
                shutil.copyfileobj(stream, file)
    finally:
        workbook.unlink(missing_ok=True)


def extract_workbook(stream: IO[bytes], export: RVToolsExport, file: Path) -> bool:
    """
    Write the .xlsx file of an export to a file of its own.

    :param stream: the export.
    :param export: its sheets.
    :param file: the file to write.
    :return: False if the export consists of CSV files, so that nothing is written.
    :raises ImportFileError: the .xlsx file is damaged.
    """
    if not export.is_workbook and export.workbook is None:
        return False
    with file.open("wb") as copy:
        if export.workbook is None:
            stream.seek(0)
            shutil.copyfileobj(stream, copy)
        else:
            copy.writelines(read_member(stream, export.workbook))
    return True


def read_member(stream: IO[bytes], info: zipfile.ZipInfo) -> Iterator[bytes]:
    """
    Yield the content of a file in an export.

    :param stream: the export.
    :param info: the entry of the file.
    :raises ImportFileError: the file is damaged or too large.
    """
    if info.file_size > MAX_CSV_BYTES:
        raise ImportFileError(
            f"{quote(info.filename)} in the ZIP file has {info.file_size:,} bytes; the maximum is {MAX_CSV_BYTES:,}."
        )
    try:
        with open_archive(stream) as archive, open_member(archive, info) as member:
            yield from read_chunks(member)
    except ArchiveError as error:
        raise ImportFileError(f"{quote(info.filename)} in the ZIP file {error}. Create the file again.") from error


def _check_sheets(export: RVToolsExport) -> None:
    found = {*export.csv_files, *(name.casefold() for name in export.sheets)}
    missing = [sheet for sheet in REQUIRED_SHEETS if sheet not in found and sheet.casefold() not in found]
    lacking = [sheet for sheet in missing if export.sheet_name(sheet) is None]
    # Without vInfo, there is nothing to convert.
    alternative = "" if "vInfo" in lacking else f", or {CONVERT}"
    if lacking:
        raise ImportFileError(
            f"The ZIP or .xlsx file lacks {', '.join(lacking)}, which an RVTools export must contain. Export all "
            f"sheets{alternative}."
        )
    if missing:
        names = ", ".join(str(export.sheet_name(sheet)) for sheet in missing)
        raise ImportFileError(
            f"AWS requires sheets with the names {', '.join(missing)}, but in the .xlsx file they are {names}. Rename "
            f"them{alternative}."
        )


def _check_size(size: int, max_file_bytes: int) -> None:
    if size > max_file_bytes:
        raise_it = "E" if max_file_bytes == IMPORT_FILE_MAX_BYTES else f"Raise that to {IMPORT_FILE_MAX_BYTES:,}, e"
        raise ImportFileError(
            f"The RVTools export exceeds max_file_bytes={max_file_bytes:,} and cannot be divided. {raise_it}xport each "
            f"vCenter separately, keep only the sheets {', '.join(REQUIRED_SHEETS)}, or {CONVERT}."
        )


def _check_workbook_rows(workbook: Path, export: RVToolsExport) -> None:
    # An export can be passed on without the library that reads workbooks.
    if importlib.util.find_spec("python_calamine") is None:
        return
    for _ in WorkbookTable(workbook, any, export.sheet_name("vInfo")):
        return
    raise ImportFileError(EMPTY_VINFO)


def _check_csv_file(stream: IO[bytes], info: zipfile.ZipInfo, *, needs_rows: bool) -> None:
    """Check that a CSV file is UTF-8 with commas."""
    name = quote(info.filename)
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    header, has_header, has_rows = "", False, False
    for content in chain(read_member(stream, info), [b""]):
        try:
            text = decoder.decode(content, final=not content)
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise ImportFileError(f"{name} in the ZIP file is not UTF-8. Save it as CSV in UTF-8, or {CONVERT}.")
        if not has_header:
            header, *rest = re.split(r"[\r\n]", (header + text).lstrip(), maxsplit=1)
            has_header, text = bool(rest), "".join(rest)
            if len(header) > MAX_READ_BYTES:
                raise ImportFileError(f"The header of {name} in the ZIP file is too long. Export it again.")
        has_rows = has_rows or bool(text.strip(' ,"\t\r\n'))
    if max(",;\t|", key=header.count) != ",":
        raise ImportFileError(
            f"The columns of {name} in the ZIP file are not separated by commas. Save it with commas, or {CONVERT}."
        )
    if needs_rows and not has_rows:
        raise ImportFileError(EMPTY_VINFO)


def _find_sheets(file: IO[bytes]) -> RVToolsExport:
    """Return the sheets in a file, of which there can be none."""
    with open_archive(file) as archive:
        if _is_workbook(archive):
            return RVToolsExport(True, None, _workbook_sheets(archive), {})
        infos = archive.infolist()
        if any(info.flag_bits & 1 for info in infos):
            raise ArchiveError("is encrypted")
        # In a ZIP file made on a Mac, each file is accompanied by a file "._name" with its metadata.
        infos = [info for info in infos if not re.search(r"(?:^|/)\._[^/]*\Z", info.filename)]
        csv_files: dict[str, zipfile.ZipInfo] = {}
        for sheet in REQUIRED_SHEETS:
            found = [info for info in infos if _is_csv_of(sheet, info.filename)]
            if len(found) > 1:
                raise ImportFileError(
                    f"The ZIP file contains {len(found):,} CSV files of {sheet}, such as {quote(found[0].filename)} "
                    f"and {quote(found[1].filename)}. If they belong to several vCenters, {PACK_EACH}"
                )
            if found:
                csv_files[sheet] = found[0]
        workbooks = [info for info in infos if info.filename.casefold().endswith(".xlsx")]
        if len(workbooks) > 1:
            raise ImportFileError(
                f"The ZIP file contains {len(workbooks):,} .xlsx files. If they belong to several vCenters, {PACK_EACH}"
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
                    export = RVToolsExport(False, info, _workbook_sheets(workbook), csv_files)
            if csv_files and any(map(export.sheet_name, REQUIRED_SHEETS)):
                raise ImportFileError(f"The ZIP file contains both CSV files and {name}. For two exports, {PACK_EACH}")
            # Beside CSV files, another workbook is not part of the export.
            return RVToolsExport(False, None, [], csv_files) if csv_files else export
        return RVToolsExport(False, None, [], csv_files)


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
