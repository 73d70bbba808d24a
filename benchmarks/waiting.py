"""
Measure what it costs to wait for many imports, with three contenders:

- ours: a trigger of this provider for each import.
- peer: a trigger on the Amazon provider's base for each import.
- floor: a bare loop without Airflow, which is a lower bound.

The contenders run one after the other, each in a process of its own, against the same server and the same imports. They
log as Airflow does by default, and the log is discarded. A round is one interval; the first import ends some rounds
after every import has been polled once. The exit status is 1 if a figure is out of bounds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

__all__ = ["SECONDS_OF_ENDS", "Job", "Result", "main"]

CONTENDERS = ("ours", "peer", "floor")

#: Seconds over which the ends of the imports are spread at random, the same for all contenders.
SECONDS_OF_ENDS = 8.0

#: Percent of a core. If the server used more, the run measured the server, not the contender.
SERVER_LIMIT = 70.0

#: The fields of a result, with their headings and digits. In these, less is better.
COMPARED = {
    "calls": ("calls/round", 1),
    "cpu": ("CPU s", 2),
    "memory": ("added MB", 1),
    "stall_99": ("stall p99 ms", 1),
    "stall_longest": ("longest ms", 1),
    "stall_without_gc": ("without GC ms", 1),
    "latency_50": ("event p50 s", 2),
    "latency_99": ("event p99 s", 2),
    "clients": ("clients", 0),
    "lookups": ("lookups", 0),
}
COLUMNS = {**COMPARED, "started": ("all polled s", 1), "server": ("server %", 1)}


@dataclass(frozen=True)
class Job:
    """
    The task of a contender.

    :param endpoint_url: the server's URL.
    :param rounds: number of intervals during which no import ends.
    :param connections: number of Airflow connections to the server.
    :param waits: number of imports, each with a wait of its own.
    :param contender: the contender's name.
    :param interval: seconds between two polls.
    """

    endpoint_url: str
    rounds: int
    connections: int = 1
    waits: int = 0
    contender: str = ""
    interval: float = 2.0

    def aws_conn_id(self, index: int) -> str:
        """Return the Airflow connection that the wait at an index uses."""
        return f"benchmark_{index % self.connections}"


@dataclass(frozen=True)
class Result:
    """
    The figures of a contender.

    :param calls: mean number of calls of ``DescribeImportTasks`` in a round.
    :param cpu: seconds of CPU from the start of the waits to the last event, without the ticker's own.
    :param memory: peak memory of the process in MB, less its memory before the waits.
    :param stall_99: milliseconds by which the event loop was late, 99th percentile.
    :param stall_longest: the same, maximum.
    :param stall_without_gc: the same, maximum, without Python's garbage collections. A full one goes through all of
        Airflow's objects, no matter whose code triggers it.
    :param latency_50: seconds from an import's end to the event, median.
    :param latency_99: the same, 99th percentile.
    :param clients: number of aiobotocore clients that were created.
    :param lookups: number of times that an Airflow connection was looked up.
    :param started: seconds until every import had been polled once.
    :param server: peak CPU use of the server over two seconds, in percent of a core.
    """

    calls: float
    cpu: float
    memory: float
    stall_99: float
    stall_longest: float
    stall_without_gc: float
    latency_50: float
    latency_99: float
    clients: int
    lookups: int
    started: float
    server: float


def main() -> int:
    """Measure all contenders, print tables and verdicts, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__)
    parser.add_argument("--large", action="store_true", help="also measure 5,000 waits, without a verdict")
    parser.add_argument("--waits", type=int, nargs="+", help="measure only these numbers of waits, without a verdict")
    parser.add_argument("--connections", type=int, default=1, help="Airflow connections for --waits")
    parser.add_argument("--rounds", type=int, default=12, help="rounds before the first import ends")
    options = parser.parse_args()
    if not options.waits and options.rounds < 10:
        parser.error("--rounds must be at least 10 without --waits")
    # The peer opens a socket for each wait.
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    with running_server() as endpoint_url, tempfile.TemporaryDirectory() as folder:
        job = Job(endpoint_url, options.rounds)
        if options.waits:
            for waits in options.waits:
                compare(replace(job, waits=waits, connections=options.connections), CONTENDERS, folder)
            return 0
        few = compare(replace(job, waits=100), CONTENDERS, folder)
        many = compare(replace(job, waits=1000), CONTENDERS, folder)
        connections = compare(replace(job, waits=1000, connections=50), ["ours"], folder)
        if options.large:
            compare(replace(job, waits=5000), CONTENDERS, folder)
    print()
    verdicts = judge(few, many, connections["ours"], job.interval)
    for verdict, holds in verdicts.items():
        print("ok    " if holds else "FAILED", verdict)
    return 0 if all(verdicts.values()) else 1


def compare(job: Job, contenders: Sequence[str], folder: str) -> dict[str, Result]:
    """Measure contenders one after the other, print a table, and return the figures."""
    print(f"\n{job.waits:,} waits, one poll every {job.interval:g} s; Airflow connections: {job.connections}")
    print_row("", [heading for heading, _ in COLUMNS.values()])
    results = {}
    for contender in contenders:
        result = results[contender] = measure(replace(job, contender=contender), folder)
        print_row(contender, [f"{getattr(result, name):,.{digits}f}" for name, (_, digits) in COLUMNS.items()])
        if result.server > SERVER_LIMIT:
            print("  void: the server was too busy")
    if len(results) > 1:
        print_row("peer / ours", [f"{ratio(results, name):,.1f}" for name in COMPARED])
    return results


def judge(few: dict[str, Result], many: dict[str, Result], connections: Result, interval: float) -> dict[str, bool]:
    """Return each requirement, and True if it is met."""
    ours = many["ours"]
    return {
        "no run is void": all(each.server <= SERVER_LIMIT for each in (*few.values(), *many.values(), connections)),
        "100 waits: the event's 99th percentile is no later than the peer's": ratio(few, "latency_99") >= 1,
        "1,000 waits: at most 11 calls per round": ours.calls <= 11,
        "1,000 waits: at most 30 MB": ours.memory <= 30,
        "1,000 waits: at most 1/40 of the peer's memory": ratio(many, "memory") >= 40,
        "1,000 waits: at most 1/25 of the peer's CPU": ratio(many, "cpu") >= 25,
        "1,000 waits: no stall of 0.1 s, garbage collections excepted": ours.stall_without_gc < 100,
        "1,000 waits: the event's 99th percentile is within an interval plus 0.5 s": ours.latency_99 <= interval + 0.5,
        "50 connections: 50 clients": connections.clients == 50,
        "50 connections: 50 lookups": connections.lookups == 50,
        "50 connections: no stall of 0.25 s, garbage collections excepted": connections.stall_without_gc < 250,
    }


def ratio(results: dict[str, Result], name: str) -> float:
    """Return the peer's figure divided by ours."""
    return float(getattr(results["peer"], name) / (getattr(results["ours"], name) or 1))


def print_row(name: str, cells: Sequence[str]) -> None:
    """Print a row of a table immediately."""
    headings = [heading for heading, _ in COLUMNS.values()]
    aligned = (f"{cell:>{len(heading)}}" for cell, heading in zip(cells, headings, strict=False))
    print(f"{name:11}", *aligned, sep="  ", flush=True)


def measure(job: Job, folder: str) -> Result:
    """Run a contender in a process of its own."""
    result_file = Path(folder, "result.json")
    connection = {
        "conn_type": "aws",
        "login": "benchmark",
        "password": "benchmark",
        "extra": {"region_name": "us-west-2", "endpoint_url": job.endpoint_url},
    }
    subprocess.run(
        [sys.executable, "-m", "benchmarks.contender", json.dumps(asdict(job)), str(result_file)],
        check=True,
        timeout=3600,
        stdout=subprocess.DEVNULL,
        env={
            **os.environ,
            "AIRFLOW_HOME": folder,
            "AWS_CONFIG_FILE": os.devnull,
            **{f"AIRFLOW_CONN_{job.aws_conn_id(n)}".upper(): json.dumps(connection) for n in range(job.connections)},
        },
    )
    return Result(**json.loads(result_file.read_text()))


@contextmanager
def running_server() -> Iterator[str]:
    """Run the server in a process of its own; yield its URL."""
    with subprocess.Popen([sys.executable, "-m", "benchmarks.server"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


if __name__ == "__main__":
    sys.exit(main())
