"""
What the triggerer is at, noted from inside, to be laid beside the warnings that it prints.

Airflow's triggerer warns that its event loop was blocked, and cannot say by what: a trigger, Airflow itself, another
thread that held Python's lock, a garbage collection, or other processes that had the machine. So a thread of its own
process looks at all the others 50 times a second, and notes where the event loop is when it does not just wait, and
when one of the threads is in this provider's code or in what that has called.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import NamedTuple

__all__ = ["GARBAGE_COLLECTION", "NOTES_FOLDER", "Note", "note_in_forks", "read_notes"]

#: The environment variable that names the folder of the notes, where each process has a file.
NOTES_FOLDER = "LOAD_NOTES"

GARBAGE_COLLECTION = "garbage collection"

#: Seconds between two looks, and those of the shortest garbage collection that is noted.
PERIOD = 0.02

_PACKAGE = next(iter(getattr(find_spec("airflow_provider_ads"), "submodule_search_locations", None) or ()))


class Note(NamedTuple):
    """
    What a process was at.

    :param time: when it was seen at it, in seconds since the epoch.
    :param seconds: for how long a thread was at it. Only the seconds that it has worked since the last look count, but
        at least those between two looks for the event loop's, which should not stand still.
    :param what: the place in the code, or :data:`GARBAGE_COLLECTION`.
    :param provider: whether it is the provider's code.
    """

    time: float
    seconds: float
    what: str
    provider: bool = False


def note_in_forks() -> None:
    """Take notes in each process that Airflow's triggerer runs triggers in, which are forks of this one."""
    os.register_at_fork(after_in_child=_note_if_it_runs_triggers)


def read_notes(folder: Path) -> list[Note]:
    """Read the notes of all processes."""
    lines = [line for path in folder.iterdir() for line in path.read_text().splitlines()]
    return sorted(Note(*json.loads(line)) for line in lines)


def _note_if_it_runs_triggers() -> None:
    forking = (frame.f_code.co_filename for frame in _stack(sys._getframe()))
    if any(name.endswith("triggerer_job_runner.py") for name in forking):
        threading.Thread(target=_take_notes, name="load-notes", daemon=True).start()


def _take_notes() -> None:
    # Unbuffered, as a garbage collection may begin while a line is being written.
    file = os.open(Path(os.environ[NOTES_FOLDER], str(os.getpid())), os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def write(*note: object) -> None:
        os.write(file, f"{json.dumps(note)}\n".encode())

    collecting_since = 0.0

    def note_collection(phase: str, _: dict[str, int]) -> None:
        nonlocal collecting_since
        now = time.time()
        if phase == "start":
            collecting_since = now
        elif now - collecting_since >= PERIOD:
            write(now, now - collecting_since, GARBAGE_COLLECTION)

    gc.callbacks.append(note_collection)
    event_loop = threading.main_thread().ident
    now = time.time()
    worked: dict[int, float] = {}
    while True:
        time.sleep(PERIOD)
        last, now = now, time.time()
        last_worked, worked = worked, {}
        for thread, frame in sys._current_frames().items():
            worked[thread] = time.clock_gettime(time.pthread_getcpuclockid(thread))
            seconds = worked[thread] - last_worked.get(thread, worked[thread])
            place = _place_in_provider(frame)
            if thread == event_loop:
                if place or Path(frame.f_code.co_filename).name != "selectors.py":
                    write(now, min(max(seconds, PERIOD), now - last), place or _place(frame), bool(place))
            elif place:
                write(now, seconds, place, True)


def _place_in_provider(frame: FrameType) -> str | None:
    places = (_place(each) for each in _stack(frame) if each.f_code.co_filename.startswith(_PACKAGE + os.sep))
    return next(places, None)


def _place(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).name}, {frame.f_code.co_name}"


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
