"""Run several make targets, some of them in parallel, and print the output only of those that fail."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import NoReturn

#: Seconds in which an interrupted part can stop what it has started, such as a whole Airflow.
STOP_SECONDS = 60


class Part:
    """
    A make target that runs in the background.

    :param argument: a label and the target with its parameters, as in ``{} unit tests: unit SET=lowest``. The number
        of tests that passed replaces ``{}``.
    """

    def __init__(self, argument: str) -> None:
        self.label, _, self.command = argument.rpartition(": ")
        self.started = time.time()
        # A file, because a pipe that nobody reads blocks the part once it is full.
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - it is needed as long as the part
        self.process = subprocess.Popen(
            ["make", "--silent", "--no-print-directory", *shlex.split(self.command)],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            # In a session of its own, so that an interrupt reaches each process once, through stop().
            start_new_session=True,
        )

    def report(self) -> bool:
        """Print the output of a part that failed, and the notes of one that passed; return True if it passed."""
        self.output.seek(0)
        text = self.output.read().decode(errors="replace").strip()
        counts = re.findall(r"\b(\d+) passed\b", text)
        if self.process.returncode:
            self.label = self.label.replace("{} ", "")
            title = f" make {self.command} failed after {duration(self.started)} "
            print(f"{title:=^100}\n{text}\n{f' end of make {self.command} ':=^100}", flush=True)
            return False
        self.label = self.label.format(f"{int(counts[-1]):,}" if counts else "no")
        if text and not counts:
            # Parts without tests print nothing but notes when they pass.
            print(text, flush=True)
        return True

    def stop(self) -> None:
        """Interrupt the part, and kill it if it does not stop."""
        try:
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(self.process.pid, signal.SIGINT)
                self.process.wait(STOP_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


def main() -> int:
    """Return 0 if all parts passed, and 1 otherwise; the last line names them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("title", help="the first words of the last line")
    parser.add_argument("parts", nargs="+", help="--jobs of these run at a time, in this order")
    parser.add_argument("--jobs", type=int, default=2, help="the number of parts that run at a time")
    parser.add_argument("--alone", action="append", default=[], help="a part that runs on its own, after the others")
    parser.add_argument("--since", type=float, default=time.time(), help="when the command started, in Unix time")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    passed: list[Part] = []
    failed: list[Part] = []
    running: list[Part] = []
    try:
        for waiting, jobs in ((options.parts, options.jobs), (options.alone, 1)):
            while waiting or running:
                while waiting and len(running) < jobs:
                    running.append(Part(waiting.pop(0)))
                time.sleep(0.1)
                for part in [part for part in running if part.process.poll() is not None]:
                    running.remove(part)
                    (passed if part.report() else failed).append(part)
    except KeyboardInterrupt:
        print(f"{options.title}: interrupted", flush=True)
        return 130
    finally:
        for part in running:
            part.stop()
    labels = ", ".join(part.label for part in failed or passed)
    print(f"{options.title}: {'failed' if failed else 'passed'}: {labels} ({duration(options.since)})", flush=True)
    return 1 if failed else 0


def interrupt(*_: object) -> NoReturn:
    """Handle a signal like Ctrl-C."""
    raise KeyboardInterrupt


def duration(since: float) -> str:
    """Return the time since then, as in "4 min 50 s"."""
    minutes, seconds = divmod(round(time.time() - since), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


if __name__ == "__main__":
    sys.exit(main())
