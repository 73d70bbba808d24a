"""The table of a resilience run: for each kill point, how many times each intention was carried out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["TABLES", "Result", "add_table"]

#: Lines that pytest prints after the last test.
TABLES: list[str] = []

COLUMNS = ("kills", "intentions", "carried out", "duplicates", "lost")


class Result(NamedTuple):
    """
    The outcome of the kills at one kill point.

    :param point: the kill point.
    :param kills: number of kills.
    :param counts: for each intention that was affected, how many times it was carried out; 1 is right.
    """

    point: str
    kills: int
    counts: Sequence[int]

    def cells(self) -> tuple[int, ...]:
        """Return the numbers of a line, in the order of the columns."""
        duplicates = sum(count > 1 for count in self.counts)
        return self.kills, len(self.counts), sum(self.counts), duplicates, self.counts.count(0)


def add_table(title: str, results: Iterable[Result]) -> None:
    """Print a table after the last test, with a line for each kill point."""
    TABLES.append(f"{title:<60}" + "".join(f"{column:>13}" for column in COLUMNS))
    for result in results:
        TABLES.append(f"{result.point:<60}" + "".join(f"{cell:>13,}" for cell in result.cells()))
