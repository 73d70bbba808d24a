"""
Measure what it costs to prepare an inventory for imports. The inventories are:

- plain: the demo's CMDB export, with its columns mapped, 100 MB as CSV.
- all columns: all 34 columns of the template, 100 MB as CSV.
- conversions: 100 MB of semicolons, memory in GB, lists, tags, placeholders and decimal commas.
- workbook: 25,000 rows of all columns as .xlsx.

The contenders are ours, which does what the operator does in a task, without S3; pandas, as a user would do the same;
for CSV also the floor, which only copies the mapped columns with Python's csv module; and for the workbook openpyxl,
which only reads. They run one after the other, each in a process of its own, several times; a figure is the best of
them. The exit status is 1 if a figure is out of bounds.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import openpyxl

from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.inventory.columns import ColumnMapping
from airflow_provider_ads.inventory.options import PrepareOptions
from airflow_provider_ads.inventory.prepare import prepare_import_file
from airflow_provider_ads.inventory.template import (
    IDENTITY_COLUMNS,
    NUMERIC_COLUMNS,
    PERCENTAGE_COLUMNS,
    TEMPLATE_COLUMNS,
)
from sample_inventories.cmdb_export import make_cmdb_export

__all__ = ["main"]

#: The demo's export, each of its columns with the template column that it maps to.
CMDB_MAPPING = {
    "Asset Tag": "ExternalId",
    "Server Name": "HostName",
    "IP Address": "IPAddress",
    "CPU Cores": "CPU.NumberOfCores",
    "Memory (MB)": "RAM.TotalSizeInMB",
    "Operating System": "OS.Name",
    "Application": "Applications",
    "Labels": "Tags",
}

#: The mapping of the inventory that needs conversions.
CONVERSIONS: ColumnMapping = {
    "Name": "HostName",
    "IPs": {"column": "IPAddress", "separator": "|"},
    "RAM": {"column": "RAM.TotalSizeInMB", "unit": "GB"},
    "CPU": {"column": "CPU.UsagePct.Avg", "unit": "fraction"},
    "Apps": {"column": "Applications", "separator": "|"},
    "Labels": {"column": "Tags", "pair_separator": "="},
    "OS": "OS.Name",
}


def make_all_columns(rows: int) -> list[list[str]]:
    """Return rows of all template columns, with their header."""
    table = [list(TEMPLATE_COLUMNS)]
    for number in range(rows):
        row = []
        for place, column in enumerate(TEMPLATE_COLUMNS):
            if column in PERCENTAGE_COLUMNS:
                row.append(f"{number % 90 + 2}.5")
            elif column in NUMERIC_COLUMNS:
                row.append(str(1024 + number * (place + 1) % 9_000))
            else:
                row.append(CELLS.get(column, "{0}-text-{1}").format(number, place, number // 256 % 256, number % 256))
        table.append(row)
    return table


#: Forms of cells by column.
CELLS = {
    "IPAddress": "10.0.{2}.{3}",
    "MACAddress": "00:50:56:00:{2:02X}:{3:02X}",
    "Applications": "crm, erp",
    "Tags": "environment:prod, owner:team {1}",
    "ServerId": "",
}


def make_conversions(rows: int) -> str:
    """Return the inventory that needs conversions."""
    return "Name;IPs;RAM;CPU;Apps;Labels;OS\n" + "".join(
        f"srv-{n:06}.example.com;10.0.{n // 256 % 256}.{n % 256}/24|10.1.{n // 256 % 256}.{n % 256};{n % 63 + 1},5;"
        f"0,{n % 90 + 10};crm-{n % 300}|erp-{n % 200};env=prod,owner=team {n % 50};{'N/A' if n % 3 else 'Linux'}\n"
        for n in range(rows)
    )


def write_plain(file: Path) -> None:
    """Write the demo's export."""
    file.write_text(make_cmdb_export(152_500), encoding="utf-8", newline="")


def write_all_columns(file: Path) -> None:
    """Write all columns as CSV."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(make_all_columns(295_000))


def write_conversions(file: Path) -> None:
    """Write the inventory that needs conversions."""
    file.write_text(make_conversions(1_000_000), encoding="utf-8")


def write_workbook(file: Path) -> None:
    """Write all columns as a workbook, with numbers as numbers."""
    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet("Servers")
    for row in make_all_columns(25_000):
        sheet.append(
            [
                float(cell) if column in NUMERIC_COLUMNS and cell[:1].isdigit() else cell
                for column, cell in zip(TEMPLATE_COLUMNS, row, strict=True)
            ]
        )
    workbook.save(file)


class Inventory(NamedTuple):
    """
    An inventory to prepare.

    :param write: writes it to a file.
    :param options: how ours reads it.
    :param bounds: the smallest share of each contender's speed that ours must have.
    """

    write: Callable[[Path], None]
    options: PrepareOptions
    bounds: dict[str, float]


INVENTORIES = {
    "plain": Inventory(
        write_plain, PrepareOptions(CMDB_MAPPING, on_invalid_rows="quarantine"), {"floor": 0.65, "pandas": 1}
    ),
    "all columns": Inventory(
        write_all_columns, PrepareOptions(on_invalid_rows="quarantine"), {"floor": 0.65, "pandas": 1}
    ),
    "conversions": Inventory(write_conversions, PrepareOptions(CONVERSIONS, decimal=","), {"floor": 0.35, "pandas": 1}),
    "workbook": Inventory(write_workbook, PrepareOptions(), {"pandas": 1 / 1.5, "openpyxl": 1}),
}

#: Number of times that each contender is measured.
RUNS = 3

#: Maximum of the memory that preparing adds, in MB, of which a workbook's child process has its own.
MAX_ADDED_MB = 100


class Result(NamedTuple):
    """
    The figures of a contender.

    :param seconds: seconds from the start to the last part.
    :param peak: peak memory of its process in MB.
    :param added: the same, less its memory before.
    """

    seconds: float
    peak: float
    added: float


def ours(source: Path, folder: Path, inventory: str) -> None:
    """Prepare a file as the operator does."""
    with source.open("rb") as file:
        prepare_import_file(file, folder, INVENTORIES[inventory].options)


def pandas(source: Path, folder: Path, inventory: str) -> None:
    """Prepare a file as a user would with pandas."""
    from pandas import read_csv, read_excel, to_numeric  # type: ignore[import-untyped]

    if inventory == "workbook":
        frame = read_excel(source, engine="calamine", dtype=str, keep_default_na=False)
    else:
        frame = read_csv(source, dtype=str, keep_default_na=False, sep=";" if inventory == "conversions" else ",")
    if inventory == "plain":
        frame = frame[list(CMDB_MAPPING)].rename(columns=CMDB_MAPPING)
    if inventory == "conversions":
        frame = frame.replace(["N/A", "-", "unknown"], "")
        lists = {"IPs": "IPAddress", "Apps": "Applications"}
        for header in lists:
            frame[header] = frame[header].str.replace(r"/\d+", "", regex=True).str.replace("|", ", ")
        frame["Labels"] = frame["Labels"].str.replace("=", ":").str.replace(",", ", ")
        frame["RAM"] = to_numeric(frame["RAM"].str.replace(",", ".")) * 1024
        frame["CPU"] = to_numeric(frame["CPU"].str.replace(",", ".")) * 100
        frame = frame.rename(
            columns={
                **lists,
                "Name": "HostName",
                "RAM": "RAM.TotalSizeInMB",
                "CPU": "CPU.UsagePct.Avg",
                "Labels": "Tags",
                "OS": "OS.Name",
            }
        ).astype(str)
    identities = [name for name in IDENTITY_COLUMNS if name in frame.columns]
    good = frame[identities].apply(lambda column: column.str.strip().ne("")).any(axis=1)
    for name in set(NUMERIC_COLUMNS).intersection(frame.columns):
        numbers = to_numeric(frame[name], errors="coerce")
        good &= frame[name].eq("") | numbers.ge(0)
        numbers.describe()
    if "IPAddress" in frame:
        good &= frame["IPAddress"].str.fullmatch(r"(\d+(\.\d+){3}(, )?)*")
    tag = r"[^:,]+:[^,]+"
    good &= frame["Tags"].eq("") | frame["Tags"].str.fullmatch(rf"{tag}(,{tag}){{0,29}}")
    frame.head(25_000).duplicated(identities).sum()
    frame[~good].to_csv(folder / "quarantine.csv", index=False)
    frame = frame[good]
    # The size of a part is not known before it is written, so this leaves some room.
    part_rows = int(IMPORT_FILE_MAX_BYTES * 0.9 / (source.stat().st_size / max(len(frame), 1)))
    for number, start in enumerate(range(0, len(frame), part_rows), 1):
        frame[start : start + part_rows].to_csv(folder / f"part-{number:04}.csv", index=False)


def floor(source: Path, folder: Path, inventory: str) -> None:
    """Copy the mapped columns of all rows, and do nothing else."""
    with (
        source.open(encoding="utf-8", newline="") as file,
        (folder / "part-0001.csv").open("w", encoding="utf-8", newline="") as part,
    ):
        reader = csv.reader(file, delimiter=";" if inventory == "conversions" else ",")
        header = next(reader)
        columns = [name for name in header if inventory == "all columns" or name in (*CMDB_MAPPING, *CONVERSIONS)]
        writer = csv.writer(part)
        writer.writerow(columns)
        writer.writerows(map(itemgetter(*map(header.index, columns)), reader))


def read_with_openpyxl(source: Path, folder: Path, inventory: str) -> None:
    """Read a workbook, and do nothing else."""
    workbook = openpyxl.load_workbook(source, read_only=True)
    for _ in workbook.worksheets[0].iter_rows(values_only=True):
        pass
    workbook.close()


CONTENDERS: dict[str, Callable[[Path, Path, str], None]] = {
    "ours": ours,
    "pandas": pandas,
    "floor": floor,
    "openpyxl": read_with_openpyxl,
}


def main() -> int:
    """Measure all contenders, print tables and verdicts, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare", description=__doc__)
    parser.add_argument("inventories", nargs="*", default=list(INVENTORIES), help="names of inventories (default: all)")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps(run(arguments.contender, arguments.source, arguments.inventories[0])))
        return 0
    if sys.platform != "linux":
        parser.error("needs Linux, which reports the peak memory of a process")
    verdicts: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.inventories:
            inventory = INVENTORIES[name]
            source = Path(folder, f"{name}.xlsx" if name == "workbook" else f"{name}.csv")
            inventory.write(source)
            contenders = ["ours", *inventory.bounds]
            runs = [{each: measure(each, source, name) for each in contenders} for _ in range(RUNS)]
            size = source.stat().st_size / 1e6
            print(f"{name}, {size:.0f} MB")
            print(f"{'':10}{'seconds':>8}  {'MB/s':>6}  {'peak MB':>8}  {'added MB':>8}  {'ours / it':>9}")
            best = {each: Result(*map(min, zip(*(run[each] for run in runs), strict=True))) for each in contenders}
            for each in contenders:
                ratio = best[each].seconds / best["ours"].seconds
                print(
                    f"{each:10}{best[each].seconds:8.2f}  {size / best[each].seconds:6.1f}  {best[each].peak:8.1f}  "
                    f"{best[each].added:8.1f}  {ratio:9.2f}"
                )
                if each != "ours":
                    share = inventory.bounds[each]
                    verdicts[f"{name}: at least {share:.2f} of the speed of {each}"] = ratio >= share
            verdicts[f"{name}: at most {MAX_ADDED_MB} MB added"] = best["ours"].added <= MAX_ADDED_MB
            print()
            source.unlink()
    for verdict, holds in verdicts.items():
        print("ok    " if holds else "FAILED", verdict)
    return 0 if all(verdicts.values()) else 1


def measure(contender: str, source: Path, inventory: str) -> Result:
    """Run a contender in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.prepare", "--contender", contender, "--source", str(source), inventory]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Result(*json.loads(output.splitlines()[-1]))


def run(contender: str, source: Path, inventory: str) -> Result:
    """Measure a contender in this process, after it has read a few rows, so that everything is imported."""
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        few = Path(folder, f"few{source.suffix}")
        if source.suffix == ".csv":
            with source.open(encoding="utf-8", newline="") as lines:
                few.write_text("".join(next(lines) for _ in range(101)), encoding="utf-8", newline="")
            CONTENDERS[contender](few, Path(folder), inventory)
    # Reset the peak: https://docs.kernel.org/filesystems/proc.html
    Path("/proc/self/clear_refs").write_text("5")
    before = megabytes("VmRSS")
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        started = time.perf_counter()
        CONTENDERS[contender](source, Path(folder), inventory)
        seconds = time.perf_counter() - started
    return Result(seconds, megabytes("VmHWM"), megabytes("VmHWM") - before)


def megabytes(kind: str) -> float:
    """Return the current (``VmRSS``) or peak (``VmHWM``) memory of this process."""
    (kilobytes,) = re.findall(rf"^{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kilobytes) * 1_024 / 1e6


if __name__ == "__main__":
    sys.exit(main())
