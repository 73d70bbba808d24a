"""The warnings of Airflow's triggerer that its event loop was blocked, and by what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tests.resilience.load.notes import GARBAGE_COLLECTION, Note
from tests.support.airflow import LocalAirflow

__all__ = ["CAUSES", "ELSE", "LOADING", "PROVIDER", "Blocking", "Span", "blockings"]

#: From when to when, in seconds since the epoch.
Span = tuple[float, float]

LOADING, PROVIDER, ELSE = "loading", "provider", "else"

CAUSES = (LOADING, PROVIDER, GARBAGE_COLLECTION, ELSE)

#: Seconds that Airflow's watchdog sleeps between two looks at the event loop, and counts in.
WATCHDOG_SLEEP = 0.1

#: Seconds that may pass until a warning is written down.
DELAY = 0.2


@dataclass(frozen=True)
class Blocking:
    """
    A warning that the event loop was blocked.

    :param time: when it was written, in seconds since the epoch.
    :param seconds: for how long the event loop was blocked, as Airflow counts it.
    :param cause: what took half of the time by which the event loop was late, at least: one of :data:`CAUSES`.
    :param noted: at what the triggerer was meanwhile, and for how many milliseconds.
    """

    time: float
    seconds: float
    cause: str
    noted: Counter[str]

    def __str__(self) -> str:
        noted = "; ".join(f"{what} {milliseconds} ms" for what, milliseconds in self.noted.most_common(3))
        return f"{self.seconds:.2f} s, {self.cause}" + (f" ({noted})" if noted else "")


def blockings(airflow: LocalAirflow, notes: Iterable[Note], loading: Iterable[Span]) -> list[Blocking]:
    """
    Read the warnings from the triggerer's log, and tell what blocked the event loop.

    :param notes: what the triggerer was at.
    :param loading: when triggerers loaded the code of this provider. Each does so once in its life, before its first
        looks at imports, and Airflow has it do so on the event loop.
    """
    notes, loading = list(notes), list(loading)
    found = []
    for line in airflow.log_file("triggerer").read_text(errors="replace").splitlines():
        if not (said := re.match(r"(\S+Z) .*Triggerer's async thread was blocked for ([\d.]+) seconds", line)):
            continue
        time, seconds = datetime.fromisoformat(said[1]).timestamp(), float(said[2])
        meanwhile = [note for note in notes if time - seconds - DELAY <= note.time <= time + DELAY]
        noted: Counter[str] = Counter()
        for note in meanwhile:
            noted[note.what] += round(note.seconds * 1000)
        half = (seconds - WATCHDOG_SLEEP) * 1000 / 2
        if noted[GARBAGE_COLLECTION] >= half:
            cause = GARBAGE_COLLECTION
        elif sum(note.seconds for note in meanwhile if note.provider) * 1000 >= half:
            cause = LOADING if any(began <= time <= ended + DELAY for began, ended in loading) else PROVIDER
        else:
            cause = ELSE
        found.append(Blocking(time, seconds, cause, +noted))
    return found
