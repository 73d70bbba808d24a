"""
Measure what it costs to prepare an inventory for imports, with three contenders:

- ours: checks, splits and quarantines as the operator does in a task, without S3.
- pandas: reads the whole file, checks it column by column, and writes parts with a number of rows that should fit.
- floor: copies the mapped columns with Python's csv module into one file without any check, which is a lower bound.

The inventory is the demo's CMDB export, with its columns mapped to the import template's, and a few invalid rows. The
contenders run one after the other, each in a process of its own, five times for each file; a figure is the best of the
five. The exit status is 1 if a figure is out of bounds.
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

from airflow_provider_ads.discovery.limits import IMPORT_FILE_MAX_BYTES
from airflow_provider_ads.inventory.options import PrepareOptions
from airflow_provider_ads.inventory.prepare import prepare_import_file
from airflow_provider_ads.inventory.template import NUMERIC_COLUMNS
from sample_inventories.cmdb_export import make_cmdb_export

__all__ = ["main"]

#: Numbers of rows with which the demo's export has 10 MB and 100 MB.
ROWS = {"10 MB": 15_250, "100 MB": 152_500}

#: The export's columns, each with the template column that it maps to.
MAPPING = {
    "Asset Tag": "ExternalId",
    "Server Name": "HostName",
    "IP Address": "IPAddress",
    "CPU Cores": "CPU.NumberOfCores",
    "Memory (MB)": "RAM.TotalSizeInMB",
    "Operating System": "OS.Name",
    "Application": "Applications",
    "Labels": "Tags",
}

#: Number of times that each contender is measured.
RUNS = 5


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


def ours(source: Path, folder: Path) -> None:
    """Prepare a file as the operator does."""
    with source.open("rb") as file:
        prepare_import_file(file, folder, PrepareOptions(MAPPING, on_invalid_rows="quarantine"))


def pandas(source: Path, folder: Path) -> None:
    """Prepare a file as a user would with pandas."""
    from pandas import read_csv, to_numeric  # type: ignore[import-untyped]

    frame = read_csv(source, dtype=str, keep_default_na=False)
    frame = frame[list(MAPPING)].rename(columns=MAPPING)
    good = frame[["ExternalId", "HostName", "IPAddress"]].apply(lambda column: column.str.strip().ne("")).any(axis=1)
    for name in set(NUMERIC_COLUMNS).intersection(frame.columns):
        numbers = to_numeric(frame[name], errors="coerce")
        good &= frame[name].eq("") | numbers.ge(0)
    tag = r"[^:,]+:[^,]+"
    good &= frame["Tags"].eq("") | frame["Tags"].str.fullmatch(rf"{tag}(,{tag}){{0,29}}")
    frame[~good].to_csv(folder / "quarantine.csv", index=False)
    frame = frame[good]
    # The size of a part is not known before it is written, so this leaves some room.
    part_rows = int(IMPORT_FILE_MAX_BYTES * 0.9 / (source.stat().st_size / max(len(frame), 1)))
    for number, start in enumerate(range(0, len(frame), part_rows), 1):
        frame[start : start + part_rows].to_csv(folder / f"part-{number:04}.csv", index=False)


def floor(source: Path, folder: Path) -> None:
    """Copy the mapped columns of all rows, and do nothing else."""
    with (
        source.open(encoding="utf-8", newline="") as file,
        (folder / "part-0001.csv").open("w", encoding="utf-8", newline="") as part,
    ):
        reader = csv.reader(file)
        header = next(reader)
        writer = csv.writer(part)
        writer.writerow(MAPPING.values())
        writer.writerows(map(itemgetter(*map(header.index, MAPPING)), reader))


CONTENDERS: dict[str, Callable[[Path, Path], None]] = {"ours": ours, "pandas": pandas, "floor": floor}


def main() -> int:
    """Measure all contenders, print tables and verdicts, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare", description=__doc__)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        print(json.dumps(run(arguments.contender, arguments.source)))
        return 0
    if sys.platform != "linux":
        parser.error("needs Linux, which reports the peak memory of a process")
    results: dict[tuple[str, str], Result] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size, rows in ROWS.items():
            source = Path(folder, f"{rows}.csv")
            source.write_text(make_cmdb_export(rows), encoding="utf-8", newline="")
            size_megabytes = source.stat().st_size / 1e6
            runs = [{name: measure(name, source) for name in CONTENDERS} for _ in range(RUNS)]
            print(f"{size:8}  {'seconds':>8}  {'MB/s':>6}  {'peak MB':>8}  {'added MB':>8}")
            for name in CONTENDERS:
                best = Result(*(min(figures) for figures in zip(*(run[name] for run in runs), strict=True)))
                results[name, size] = best
                speed = size_megabytes / best.seconds
                print(f"{name:8}  {best.seconds:8.2f}  {speed:6.1f}  {best.peak:8.1f}  {best.added:8.1f}")
            mine = results["ours", size]
            for name in list(CONTENDERS)[1:]:
                other = results[name, size]
                print(
                    f"ours: {other.seconds / mine.seconds:.2f} times as fast as {name}, "
                    f"{mine.peak - other.peak:+.1f} MB"
                )
            print()
    small, large = ROWS
    verdicts = {
        f"{size}: at least {share} of the speed of {name}": results[name, size].seconds
        >= share * results["ours", size].seconds
        for size in ROWS
        for name, share in (("pandas", 1), ("floor", 0.7))
    }
    growth = results["ours", large].peak - results["ours", small].peak
    verdicts[f"{large}: at most 16 MB more than for {small}"] = growth <= 16
    for verdict, holds in verdicts.items():
        print("ok    " if holds else "FAILED", verdict)
    return 0 if all(verdicts.values()) else 1


def measure(contender: str, source: Path) -> Result:
    """Run a contender in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.prepare", "--contender", contender, "--source", str(source)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Result(*json.loads(output.splitlines()[-1]))


def run(contender: str, source: Path) -> Result:
    """Measure a contender in this process, after it has prepared a few rows, so that everything is imported."""
    few = source.with_name("few.csv")
    few.write_text(make_cmdb_export(100), encoding="utf-8", newline="")
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        CONTENDERS[contender](few, Path(folder))
    # Reset the peak: https://docs.kernel.org/filesystems/proc.html
    Path("/proc/self/clear_refs").write_text("5")
    before = megabytes("VmRSS")
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        started = time.perf_counter()
        CONTENDERS[contender](source, Path(folder))
        seconds = time.perf_counter() - started
    return Result(seconds, megabytes("VmHWM"), megabytes("VmHWM") - before)


def megabytes(kind: str) -> float:
    """Return the current (``VmRSS``) or peak (``VmHWM``) memory of this process."""
    (kilobytes,) = re.findall(rf"^{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kilobytes) * 1_024 / 1e6


if __name__ == "__main__":
    sys.exit(main())
