"""A CMDB export: with the CMDB's own headers, long cells, and some rows that cannot be imported."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path

__all__ = ["make_cmdb_export"]

HEADER = (
    "Asset Tag",
    "Server Name",
    "IP Address",
    "CPU Cores",
    "Memory (MB)",
    "Operating System",
    "Application",
    "Labels",
    "Rack",
    "Comment",
)

#: The places that run each application.
SITES = ("berlin", "dublin", "lyon", "porto", "vienna")

#: Some systems store "unknown" as -1 and export it as an unsigned 64-bit number, which is out of range for AWS.
UNKNOWN_MEMORY = 2**64 - 1


def make_cmdb_export(rows: int) -> str:
    """
    Return a CSV file of servers with about 650 bytes each. The result is the same each time.

    :param rows: number of servers. One in 500 has a word in place of a number, which prepare detects. One in 1,200 has
        a number that is out of range, which only AWS detects.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEADER)
    for number in range(1, rows + 1):
        application = ("search", "erp", "billing", "web shop")[number % 4]
        memory: int | str = 2048 * (1 + number % 32)
        if number % 1_200 == 7:
            memory = UNKNOWN_MEMORY
        if number % 500 == 42:
            memory = "see ticket"
        labels = [f"environment:{('production', 'test')[number % 2]}", f"owner:{application} team"]
        labels += [f"attribute-{place:02}:value {number * place % 9973:04}" for place in range(20)]
        writer.writerow(
            [
                f"cmdb-{number:06}",
                f"{application.replace(' ', '-')}-{number:05}.example.com",
                f"10.{number // 65_536}.{number // 256 % 256}.{number % 256}",
                2 ** (number % 6),
                memory,
                ("Ubuntu 24.04", "Windows Server 2022", 'SLES "for SAP"')[number % 3],
                # AWS allows 400 servers in an application.
                f"{application} {SITES[number // 4 % len(SITES)]}",
                ", ".join(labels),
                f"R{number % 80}",
                f"Bought by {application} team.\nMoves with wave {number % 7}." if number % 3 else "",
            ]
        )
    return text.getvalue()


def main() -> None:
    """Write the inventory to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="the .csv file to write")
    parser.add_argument("--rows", type=int, default=6_000, help="number of servers (default: %(default)s)")
    options = parser.parse_args()
    # The rows already end with CRLF, which must not be translated again.
    options.file.write_text(make_cmdb_export(options.rows), encoding="utf-8", newline="")


if __name__ == "__main__":
    main()
