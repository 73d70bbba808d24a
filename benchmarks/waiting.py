"""
What it costs to wait for many imports: this provider, a trigger on the Amazon provider's base, and a bare loop.

Each contender runs in a process of its own, one after the other, against the same server and the same imports, and
logs what Airflow logs by default to where it is thrown away. The first import ends some rounds after all imports have
been asked for, a round being an interval. Exits with 1 if a figure is not what it should be.
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

#: Seconds over which the ends of the imports are spread by chance, the same for all contenders.
SECONDS_OF_ENDS = 8.0

#: Per cent of a core; if the server took more, what was measured is the server.
SERVER_LIMIT = 70.0

#: The fields of a result with their headings and digits; first those that are the better the smaller they are.
COMPARED = {
    "calls": ("calls/round", 1),
    "cpu": ("CPU s", 2),
    "memory": ("added MB", 1),
    "stall_99": ("stall p99 ms", 1),
    "stall_longest": ("longest ms", 1),
    "stall_but_for_gc": ("without GC ms", 1),
    "latency_50": ("event p50 s", 2),
    "latency_99": ("event p99 s", 2),
    "clients": ("clients", 0),
    "look_ups": ("look-ups", 0),
}
COLUMNS = {**COMPARED, "started": ("all asked s", 1), "server": ("server %", 1)}


@dataclass(frozen=True)
class Job:
    """
    What a contender does.

    :param endpoint_url: the server.
    :param rounds: how many intervals all imports are waited for together.
    :param connections: how many Airflow connections lead to the server.
    :param waits: how many imports are waited for, each on its own.
    :param contender: its name.
    :param interval: seconds between two looks.
    """

    endpoint_url: str
    rounds: int
    connections: int = 1
    waits: int = 0
    contender: str = ""
    interval: float = 2.0

    def aws_conn_id(self, index: int) -> str:
        """Return the connection of the wait at an index."""
        return f"benchmark_{index % self.connections}"


@dataclass(frozen=True)
class Result:
    """
    What a contender took.

    :param calls: calls of ``DescribeImportTasks`` in a round, the mean.
    :param cpu: seconds of CPU from the start of the waits to the last event, less what the ticker alone takes.
    :param memory: MB that the process held at most, beyond those before the waits.
    :param stall_99: milliseconds that the event loop was late, 99th percentile.
    :param stall_longest: the most of them.
    :param stall_but_for_gc: the most of them without the time of Python's garbage collections, of which a full one goes
        through all that Airflow holds, whoever gives rise to it.
    :param latency_50: seconds from an import's end to the event, median.
    :param latency_99: the 99th percentile of them.
    :param clients: aiobotocore clients that were made.
    :param look_ups: look-ups of Airflow connections.
    :param started: seconds until all imports had been asked for.
    :param server: the largest part of a core that the server took in two seconds, in per cent.
    """

    calls: float
    cpu: float
    memory: float
    stall_99: float
    stall_longest: float
    stall_but_for_gc: float
    latency_50: float
    latency_99: float
    clients: int
    look_ups: int
    started: float
    server: float


def main() -> int:
    """Measure all, print tables and verdicts, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__)
    parser.add_argument("--large", action="store_true", help="measure 5,000 waits too, without a verdict")
    parser.add_argument("--waits", type=int, nargs="+", help="measure these numbers of waits only, without a verdict")
    parser.add_argument("--connections", type=int, default=1, help="Airflow connections for --waits")
    parser.add_argument("--rounds", type=int, default=12, help="rounds before the first import ends")
    options = parser.parse_args()
    if not options.waits and options.rounds < 10:
        parser.error("Fewer than 10 rounds are for --waits only")
    # The peer has a socket for each wait.
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
    """Measure contenders one after the other, and print a table."""
    print(f"\n{job.waits:,} waits, each looking every {job.interval:g} s; Airflow connections: {job.connections}")
    print_row("", [heading for heading, _ in COLUMNS.values()])
    results = {}
    for contender in contenders:
        result = results[contender] = measure(replace(job, contender=contender), folder)
        print_row(contender, [f"{getattr(result, name):,.{digits}f}" for name, (_, digits) in COLUMNS.items()])
        if result.server > SERVER_LIMIT:
            print("  void: the server had too much to do")
    if len(results) > 1:
        print_row("peer / ours", [f"{ratio(results, name):,.1f}" for name in COMPARED])
    return results


def judge(few: dict[str, Result], many: dict[str, Result], connections: Result, interval: float) -> dict[str, bool]:
    """Say what should be, and whether it is."""
    ours = many["ours"]
    return {
        "no run is void": all(each.server <= SERVER_LIMIT for each in (*few.values(), *many.values(), connections)),
        "100 waits: the 99th percentile to the event is no longer than the peer's": ratio(few, "latency_99") >= 1,
        "1,000 waits: at most 11 calls in a round": ours.calls <= 11,
        "1,000 waits: at most 30 MB": ours.memory <= 30,
        "1,000 waits: at least 40 times less memory than the peer": ratio(many, "memory") >= 40,
        "1,000 waits: at least 25 times less CPU than the peer": ratio(many, "cpu") >= 25,
        "1,000 waits: no stall of 0.1 s but for garbage collections": ours.stall_but_for_gc < 100,
        "1,000 waits: 99th percentile to the event within an interval and 0.5 s": ours.latency_99 <= interval + 0.5,
        "50 connections: 50 clients": connections.clients == 50,
        "50 connections: 50 look-ups": connections.look_ups == 50,
        "50 connections: no stall of 0.25 s but for garbage collections": connections.stall_but_for_gc < 250,
    }


def ratio(results: dict[str, Result], name: str) -> float:
    """Return how often a figure of ours goes into the peer's."""
    return float(getattr(results["peer"], name) / (getattr(results["ours"], name) or 1))


def print_row(name: str, cells: Sequence[str]) -> None:
    """Print a row of a table, at once."""
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
