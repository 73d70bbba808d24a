"""A small RVTools export: a workbook with all sheets that AWS needs, or with some of them."""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl

from airflow_provider_ads.inventory.rvtools import REQUIRED_SHEETS

__all__ = ["make_rvtools_export"]

#: The columns of some sheets before :data:`IDENTITY`; the others have only the column ``VM``.
COLUMNS = {
    "vInfo": (
        "VM",
        "Powerstate",
        "Template",
        "DNS Name",
        "CPUs",
        "Memory",
        "Primary IP Address",
        "OS according to the VMware Tools",
    ),
    "vCpu": ("VM", "CPUs", "Sockets"),
    "vMemory": ("VM", "Size MiB"),
    "vNetwork": ("VM", "Mac Address", "IPv4 Address"),
}

#: The columns that identify a virtual machine in several sheets.
IDENTITY = ("VM ID", "VI SDK UUID")


def make_rvtools_export(servers: int, sheets: Sequence[str] = REQUIRED_SHEETS) -> bytes:
    """
    Return an RVTools export as an .xlsx file.

    :param servers: number of servers.
    :param sheets: the sheets.
    """
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.worksheets[0])
    for name in sheets:
        sheet = workbook.create_sheet(name)
        columns = (*COLUMNS[name], *IDENTITY) if name in COLUMNS else ("VM",)
        sheet.append(columns)
        for number in range(1, servers + 1):
            server = _server(number)
            sheet.append([server[column] for column in columns])
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


def _server(number: int) -> dict[str, Any]:
    cpus = 2 ** (number % 5)
    address = f"10.30.{number // 250}.{number % 250 + 1}"
    return {
        "VM": f"app-{number:03}",
        "Powerstate": "poweredOn",
        "Template": False,
        "VM ID": f"vm-{number + 100}",
        "VI SDK UUID": "3a7f2c10-5b1d-4c57-9a0e-6f1b2c3d4e5f",
        "Sockets": max(cpus // 4, 1),
        "DNS Name": f"app-{number:03}.example.com",
        "CPUs": cpus,
        "Memory": 4096 * cpus,
        "Size MiB": 4096 * cpus,
        "Primary IP Address": address,
        "IPv4 Address": address,
        "Mac Address": f"00:50:56:00:{number // 256:02x}:{number % 256:02x}",
        "OS according to the VMware Tools": ("Ubuntu Linux (64-bit)", "Microsoft Windows Server 2022 (64-bit)")[
            number % 2
        ],
    }


def main() -> None:
    """Write the export to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the .xlsx file to write")
    parser.add_argument("--servers", type=int, default=40, help="number of servers (default: %(default)s)")
    parser.add_argument("--sheets", nargs="+", default=REQUIRED_SHEETS, help="the sheets (default: all that AWS needs)")
    options = parser.parse_args()
    options.file.write_bytes(make_rvtools_export(options.servers, options.sheets))


if __name__ == "__main__":
    main()
