"""A ServiceNow list as a workbook: with its labels as headers, rows that are not servers, and some that are invalid."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from openpyxl import Workbook

__all__ = ["make_servicenow_export"]

HEADER = (
    "Name",
    "Serial number",
    "IP Address",
    "RAM (GB)",
    "CPU core count",
    "Operating System",
    "Class",
    "Operational status",
    "Used for",
    "Support group",
)

#: Some systems store "unknown" as -1 and export it as an unsigned 64-bit number, which is out of range for AWS.
UNKNOWN_MEMORY = str(2**64 - 1)


def make_servicenow_export(rows: int) -> bytes:
    """
    Return an .xlsx workbook whose first sheet is hidden and whose second one has a title above its header.

    The cells are the same each time. A third of the rows are not servers, and one server in ten is decommissioned. Of
    the others, some have an address that is not one, which prepare detects, or a number that only AWS refuses.

    :param rows: number of rows below the header.
    """
    workbook = Workbook()
    hidden = workbook.worksheets[0]
    hidden.title = "Export settings"
    hidden.sheet_state = "hidden"
    hidden.append(["Table", "cmdb_ci"])
    sheet = workbook.create_sheet("Page 1")
    sheet.append(["Configuration Items"])
    sheet.append(HEADER)
    for number in range(rows):
        sheet.append(make_row(number))
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


def make_row(number: int) -> list[str | int | float | None]:
    """Return a row: a server, or something else that the CMDB lists."""
    status = "Decommissioned" if number // 3 % 10 == 7 else "Operational"
    if number % 3 == 2:
        name, kind = ("Billing", "Service") if number % 2 else ("SAN", "Storage")
        return [f"{name} {number}", None, None, None, None, "N/A", kind, status, "Production", "Operations"]
    address = f"10.0.{number // 250}.{number % 250 + 1}"
    if number % 5 == 1:
        address += f"; 10.1.{number // 250}.{number % 250 + 1}"
    elif number % 20 == 3:
        address = "N/A"
    elif number % 100 == 10:
        address = "ask the network team"
    memory: str | float = (0.5, 4, 16, 64)[number % 4]
    if number % 100 == 30:
        memory = UNKNOWN_MEMORY
    return [
        f"srv{number:05}.example.com",
        f"VMware-{number:06}" if number % 7 else "unknown",
        address,
        memory,
        2 ** (number % 6),
        ("Ubuntu 24.04", "Windows Server 2022", "-")[number // 3 % 3],
        "Linux Server" if number % 2 else "Windows Server",
        status,
        ("Production", "Test", "N/A")[number % 4 % 3],
        "Operations",
    ]


def main() -> None:
    """Write the workbook to a file."""
    parser = argparse.ArgumentParser(description=make_servicenow_export.__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=300)
    arguments = parser.parse_args()
    arguments.file.write_bytes(make_servicenow_export(arguments.rows))


if __name__ == "__main__":
    main()
