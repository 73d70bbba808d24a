"""
Record when this provider's code blocks the event loop of Airflow's triggerer.

Airflow imports this module into each of its processes. In the triggerer, a thread samples the stack of the event loop.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

__all__: list[str] = []

#: Seconds between two samples.
PERIOD = 0.02

#: Seconds after which Airflow itself warns that the event loop was blocked.
LIMIT = 0.2

#: Seconds from the first use of the provider that do not count. Once in its life, a triggerer imports the trigger's
#: module on the event loop and creates the first client of each connection.
WARM_UP = 20.0

_PACKAGE = str(Path(str(getattr(find_spec("airflow_provider_ads"), "origin", ""))).parent) + os.sep

#: When each garbage collection began and ended. A full one goes through all of Airflow's objects, no matter whose code
#: triggers it, so it does not count.
_collections: list[float] = []


def _watch_if_triggers_run_here() -> None:
    if any(frame.f_code.co_filename.endswith("triggerer_job_runner.py") for frame in _stack(sys._getframe())):
        gc.callbacks.append(lambda *_: _collections.append(time.monotonic()))
        threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    """Write a line for each time that the provider occupied the event loop for too long."""
    # The file of a process that was watched and never blocked stays empty.
    file = Path(os.environ["RESILIENCE_BLOCKED_FOLDER"], str(os.getpid()))
    file.touch()
    event_loop = threading.main_thread().ident or 0
    clock = time.pthread_getcpuclockid(event_loop)
    now, cpu = time.monotonic(), time.clock_gettime(clock)
    first_use = blocked = 0.0
    while True:
        time.sleep(PERIOD)
        last, last_cpu, now, cpu = now, cpu, time.monotonic(), time.clock_gettime(clock)
        # The CPU time of the event loop's thread counts, because other processes may have had the machine. A thread
        # that stands still, as in a blocking call, counts as working for the period.
        worked = min(max(cpu - last_cpu - _seconds_of_collections(), PERIOD), now - last)
        if place := _place_in_provider(sys._current_frames()[event_loop]):
            first_use = first_use or now
            blocked, blocked_in = blocked + worked, place
        elif blocked:
            if blocked >= LIMIT and now - first_use > WARM_UP:
                with file.open("a") as lines:
                    lines.write(f"{blocked:.2f} s in {blocked_in}\n")
            blocked = 0.0


def _seconds_of_collections() -> float:
    """Return the seconds of the collections that ended since the last call."""
    times = _collections[: len(_collections) // 2 * 2]
    del _collections[: len(times)]
    return sum(times[1::2]) - sum(times[::2])


def _place_in_provider(frame: FrameType) -> str:
    """Return the innermost function of the provider on a stack, or an empty string."""
    for each in _stack(frame):
        if each.f_code.co_filename.startswith(_PACKAGE):
            return f"{Path(each.f_code.co_filename).name}, {each.f_code.co_name}"
    return ""


def _stack(frame: FrameType | None) -> list[FrameType]:
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


if sys.orig_argv[-1] == "triggerer":
    # The triggerer runs triggers in a fork of its process.
    os.register_at_fork(after_in_child=_watch_if_triggers_run_here)
elif sys.orig_argv[-1] == "scheduler":
    # Workers are forks of the scheduler, so their tasks need not import the provider again.
    os.register_at_fork(before=lambda: importlib.import_module("airflow_provider_ads.sensors"))
