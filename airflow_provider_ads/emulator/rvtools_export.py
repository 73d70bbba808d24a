"""
Exports of RVTools: where the servers are in one.

The service takes the ZIP of a folder with CSV files or with an Excel file:
https://docs.aws.amazon.com/application-discovery/latest/userguide/discovery-import.html
The emulator's own choice: the rows of the sheet ``vInfo`` are the servers, whichever other sheets are there.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
import zipfile

import openpyxl

__all__ = ["read_servers"]

#: The name of the sheet as CSV, such as ``RVTools_tabvInfo.csv``.
_CSV_FILE = re.compile(r"(?:^|[\W\d_]|tab)vinfo\.csv\Z", re.IGNORECASE)

#: The name of an Excel file, but for what a Mac puts beside it.
_WORKBOOK = re.compile(r"(?:^|/)(?!\._)[^/]*\.xlsx\Z", re.IGNORECASE)


def read_servers(content: bytes) -> bytes | None:
    """
    Read the sheet with the servers.

    :param content: a ZIP file.
    :return: the sheet as CSV, in UTF-8; None if there is none.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as export:
            for name in export.namelist():
                if _CSV_FILE.search(name):
                    return export.read(name)
                if _WORKBOOK.search(name):
                    return _read_workbook(export.read(name))
    except Exception:
        # Damaged, of an unknown compression, encrypted, or no Excel file: each raises another kind of error.
        return None
    return None


def _read_workbook(content: bytes) -> bytes | None:
    with warnings.catch_warnings():
        # Of what spreadsheets put into such files beside cells.
        warnings.simplefilter("ignore", UserWarning)
        workbook = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    sheets = {name.casefold(): name for name in workbook.sheetnames}
    if "vinfo" not in sheets:
        return None
    text = io.StringIO(newline="")
    csv.writer(text).writerows(workbook[sheets["vinfo"]].iter_rows(values_only=True))
    return text.getvalue().encode()
