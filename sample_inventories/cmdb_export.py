"""An inventory as a CMDB exports it: with headers of its own, wide cells, and rows that cannot be imported."""

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

#: What stands for "unknown" in some systems: -1, read as a number of 64 bits without a sign. Out of range for AWS.
UNKNOWN_MEMORY = 2**64 - 1


def make_cmdb_export(rows: int) -> str:
    """
    Make an inventory of servers, some 650 bytes each, the same each time.

    :param rows: how many. Of every 500, one has a word for a number, which is seen when the file is prepared; of every
        1,200, one has a number out of range, of which AWS alone knows.
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
                application,
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
    parser.add_argument("--rows", type=int, default=6_000, help="how many (default: %(default)s)")
    options = parser.parse_args()
    # The writer has ended the rows as CSV does; nothing else is to become of them.
    options.file.write_text(make_cmdb_export(options.rows), encoding="utf-8", newline="")


if __name__ == "__main__":
    main()
