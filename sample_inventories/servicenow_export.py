"""A ServiceNow list: with its labels as headers, rows that are not servers, and some that are invalid."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path

from openpyxl import Workbook

__all__ = ["make_servicenow_csv", "make_servicenow_export"]

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

CSV_HEADER = (
    "Name",
    "Asset tag",
    "IP Address",
    "RAM (GB)",
    "CPU count",
    "Operating System",
    "Class",
    "Operational status",
    "Application",
    "Used for",
    "Location",
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


def make_servicenow_csv(rows: int) -> bytes:
    """
    Return the same servers as a CSV file for a European Excel, with the faults that such files have.

    It has semicolons, decimal commas, the encoding of Windows, two lines above its header, a formula that keeps the
    zeros of each asset tag, and lists whose items semicolons separate. Excel has rounded one asset tag in 300, and one
    server in 150 is listed twice.

    :param rows: number of rows below the header.
    """
    text = io.StringIO(newline="")
    text.write("sep=;\r\n")
    writer = csv.writer(text, delimiter=";")
    writer.writerow(["Configuration Items"])
    writer.writerow(CSV_HEADER)
    for number in range(rows):
        writer.writerow(make_csv_row(number - 30 if number % 150 == 121 else number))
    return text.getvalue().encode("cp1252")


def make_csv_row(number: int) -> list[str | int | float | None]:
    """Return the row of :func:`make_row` as the CSV file has it."""
    name, _, address, memory, cores, system, kind, status, used_for, _ = make_row(number)
    is_server = memory is not None
    asset_tag = "1,23E+11" if number % 300 == 60 else f'="{number:05}"'
    return [
        name,
        asset_tag if is_server else None,
        address,
        str(memory).replace(".", ",") if is_server else None,
        cores,
        system,
        kind,
        "Retired" if status == "Decommissioned" else status,
        ("CRM", "Billing;ERP", "Web shop", "unknown")[number % 4] if is_server else None,
        used_for,
        ("Zürich", "Genève", "Berlin")[number // 3 % 3],
    ]


def main() -> None:
    """Write the list to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the .csv or .xlsx file to write")
    parser.add_argument("--rows", type=int, default=300, help="number of rows (default: %(default)s)")
    arguments = parser.parse_args()
    make = make_servicenow_csv if arguments.file.suffix == ".csv" else make_servicenow_export
    arguments.file.write_bytes(make(arguments.rows))


if __name__ == "__main__":
    main()
