"""
Write the documentation's drawings: ``make drawings``.

Each drawing is an SVG file with its own colors for light and dark mode. Numbers come from the modules and pages that
state them, so a drawing cannot disagree with its source.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from html import escape
from itertools import dropwhile, takewhile
from pathlib import Path

from airflow_provider_ads.discovery import limits

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "drawings"
BENCHMARKS = ROOT / "docs" / "benchmarks.md"

#: Width of every drawing in pixels: as wide as a page of text, and still legible on a phone.
WIDTH = 720

STYLE = """
  svg { color-scheme: light dark; --paper: #fff; --ink: #1b2430; --quiet: #5a6675; --line: #8b96a5;
        --plain: #f3f5f8; --blue: #1f5fbf; --blue-fill: #e7f0fd; --green: #1a7f4b; --green-fill: #e4f5ec;
        --red: #b3261e; --red-fill: #fdeceb; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #14181e; --ink: #e8ebf0; --quiet: #a7b1bf; --line: #6b7685;
          --plain: #1f252d; --blue: #84b4ff; --blue-fill: #182a45; --green: #6fd3a2; --green-fill: #12301f;
          --red: #ff9c93; --red-fill: #3b1c1a; }
  }
  text { font: 16px -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--ink); }
  .small { font-size: 14px; fill: var(--quiet); }
  .bold { font-weight: 650; }
  .middle { text-anchor: middle; }
  .end { text-anchor: end; }
  .paper { fill: var(--paper); }
  .plain { fill: var(--plain); stroke: var(--line); }
  .blue { fill: var(--blue-fill); stroke: var(--blue); }
  .solid { fill: var(--blue); }
  .green { fill: var(--green-fill); stroke: var(--green); }
  .red { fill: var(--red-fill); stroke: var(--red); }
  .line { fill: none; stroke: var(--line); stroke-width: 1.5; }
  .dashed { stroke-dasharray: 5 4; }
  .limit { fill: none; stroke: var(--red); stroke-width: 2; stroke-dasharray: 8 5; }
  .head { fill: var(--line); }
"""


class Drawing:
    """
    An SVG picture, drawn from text.

    :param title: what it shows, for screen readers.
    :param height: height in pixels.
    """

    def __init__(self, title: str, height: int) -> None:
        self.height = height
        self.elements = [
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            '<path class="head" d="M0 0 8 4 0 8z"/></marker>',
            f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>',
        ]

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        """Write a line of text; ``kind`` lists classes of the style sheet."""
        kind = kind and f' class="{kind}"'
        self.elements.append(f'<text x="{x:g}" y="{y:g}"{kind}>{escape(text)}</text>')

    def box(self, x: float, y: float, width: float, height: float, kind: str, title: str, *lines: str) -> None:
        """Draw a box with a title and lines of text in its middle."""
        self.bar(x, y, width, height, kind)
        top = y + height / 2 - 10 * len(lines) + 6
        self.text(x + width / 2, top, title, "bold middle")
        for number, line in enumerate(lines, 1):
            self.text(x + width / 2, top + 20 * number, line, "small middle")

    def bar(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """Draw a rectangle."""
        self.elements.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:.4g}" height="{height:.4g}" rx="4" class="{kind}"/>'
        )

    def line(self, path: str, kind: str = "line") -> None:
        """Draw a line along an SVG path."""
        self.elements.append(f'<path d="{path}" class="{kind}"/>')

    def arrow(self, path: str, kind: str = "line") -> None:
        """Draw an arrow along an SVG path."""
        self.elements.append(f'<path d="{path}" class="{kind}" marker-end="url(#head)"/>')

    def __str__(self) -> str:
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.height}" '
            f'viewBox="0 0 {WIDTH} {self.height}" role="img">',
            *self.elements,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


def pipeline() -> Drawing:
    """Draw an inventory's path into Migration Hub."""
    megabytes = limits.IMPORT_FILE_MAX_BYTES // 1_000_000
    drawing = Drawing(
        "An inventory export is prepared, written to S3, imported by ADS, and shown in Migration Hub. Invalid rows are "
        "quarantined, and rows that AWS refuses are fetched. Both are corrected and exported again.",
        320,
    )
    width, gap, top, height = 118, 20, 44, 92
    steps = [
        ("plain", "Export", "CMDB, RVTools,", "spreadsheet"),
        ("blue", "Prepare", "map, check,", "split"),
        ("plain", "S3", "parts of at", f"most {megabytes} MB"),
        ("blue", "ADS", "start, wait,", "count"),
        ("green", "Migration Hub", "servers,", "applications"),
    ]
    lefts = [24 + number * (width + gap) for number in range(len(steps))]
    for left, (kind, title, *lines) in zip(lefts, steps, strict=True):
        drawing.box(left, top, width, height, kind, title, *lines)
    for left in lefts[1:]:
        drawing.arrow(f"M{left - gap} {top + height / 2}h{gap - 2}")
    drawing.line(f"M{lefts[1]} 34v-8h{lefts[3] + width - lefts[1]}v8")
    drawing.text((lefts[1] + lefts[3] + width) / 2, 20, "your Dag", "small middle")

    for left, title, reasons in (
        (lefts[1] - 46, "quarantine.csv", "invalid rows, with reasons"),
        (lefts[3] - 46, "failed-entries.csv", "refused rows, with reasons"),
    ):
        drawing.arrow(f"M{left + 105} {top + height}v52")
        drawing.box(left, 190, 210, 60, "red", title, reasons)
    drawing.line(f"M{lefts[3] + 59} 250v34H{lefts[0] + 59}", "line dashed")
    drawing.line(f"M{lefts[1] + 59} 250v34", "line dashed")
    drawing.arrow(f"M{lefts[0] + 59} 284V{top + height + 2}", "line dashed")
    drawing.text((lefts[1] + lefts[3]) / 2 + 59, 306, "correct the rows, and export again", "small middle")
    return drawing


def starts() -> Drawing:
    """Draw the states of a start over retries and clears."""
    drawing = Drawing(
        "The first attempt starts an import. A retry adopts it while it is running or done, and starts the next import "
        "only after it failed or was deleted. After a clear, the next attempt starts a new import.",
        420,
    )
    drawing.box(24, 150, 150, 72, "plain", "No import", "of this task")
    drawing.box(286, 150, 160, 72, "blue", "Import running", "or queued at AWS")
    drawing.box(536, 150, 160, 72, "green", "Import done", "counts known")
    drawing.box(286, 326, 160, 72, "red", "Import failed", "or deleted")

    drawing.arrow("M174 186h110")
    drawing.text(229, 172, "first attempt", "small middle")
    drawing.text(229, 210, "starts it", "small middle")
    drawing.arrow("M446 186h88")
    drawing.text(490, 176, "ends", "small middle")
    drawing.arrow("M340 222v102")
    drawing.text(330, 280, "fails", "small end")
    drawing.arrow("M394 326v-102")
    drawing.text(404, 270, "a retry starts", "small")
    drawing.text(404, 290, "the next import", "small")

    drawing.arrow("M320 150c-36-52 128-52 94-2")
    drawing.text(366, 100, "a retry adopts it", "small middle")
    drawing.arrow("M570 150c-36-52 128-52 94-2")
    drawing.text(616, 100, "a retry adopts it", "small middle")

    drawing.box(24, 24, 166, 52, "plain", "You clear the task")
    drawing.arrow("M190 50H236c36 0 50 40 60 98", "line dashed")
    drawing.text(254, 44, "the next attempt starts a new import", "small")
    return drawing


def slots() -> Drawing:
    """Draw how long a wait occupies a worker slot, poking and deferred."""
    seconds = {name: float(cells[3]) for name, cells in table("What an import costs the workers").items()}
    poking = seconds["operator and poking sensor"]
    deferred = seconds["waiting operator, deferred"]
    batch = seconds["one task for a batch"]
    drawing = Drawing(
        f"For one import of 30 seconds, a poking sensor holds a worker slot for {poking:g} seconds, a deferred "
        f"operator for {deferred:g} seconds, and one task for a batch of 50 for {batch:g} seconds for each import.",
        330,
    )
    left, scale = 24, (WIDTH - 48) / poking
    rows = [
        ("Poking sensor", poking, [(0.0, poking)], ""),
        ("Deferred operator", deferred, [(0.0, deferred / 2), (poking - deferred / 2, deferred / 2)], ""),
        ("One task for 50 imports", batch, [(0.0, batch / 2), (poking - batch / 2, batch / 2)], " for each import"),
    ]
    for number, (name, held, parts, each) in enumerate(rows):
        top = 24 + number * 84
        drawing.text(left, top + 14, name, "bold")
        drawing.text(WIDTH - 24, top + 14, f"{held:g} s of a slot{each}", "end")
        if number:
            drawing.line(f"M{left} {top + 42}h{poking * scale:.4g}", "line dashed")
            drawing.text(WIDTH / 2, top + 36, "in the triggerer: no worker slot", "small middle")
        for start, length in parts:
            drawing.bar(left + start * scale, top + 28, max(length * scale, 2), 28, "solid")
    drawing.arrow(f"M{left} 284h{WIDTH - 48}")
    drawing.text(left, 308, "the import starts", "small")
    drawing.text(WIDTH - 24, 308, "the import ends, 30 s later", "small end")
    return drawing


def quota() -> Drawing:
    """Draw the record quota over several nights, without and with deletions."""
    records = limits.IMPORT_RECORDS_PER_ACCOUNT
    rows = 8_000
    drawing = Drawing(
        f"An inventory of {rows:,} rows is imported every night. Without deletions, the fourth import exceeds "
        f"the quota of {records:,} records. With prune, the account never holds more than {2 * rows:,} records.",
        390,
    )
    bottom, scale = 318, 230 / (4 * rows)
    for left, title, lines in (
        (24, "Nothing is deleted", "the fourth night fails"),
        (380, "Prune runs after each import", "two copies at most"),
    ):
        drawing.text(left, 28, title, "bold")
        drawing.text(left, 48, lines, "small")
        drawing.line(f"M{left} {bottom}h316")
        for night in range(4):
            x = left + 12 + night * 76
            drawing.text(x + 32, bottom + 22, f"night {night + 1}", "small middle")
            deleting = title.startswith("Prune")
            copies = min(night + 1, 2) if deleting else night + 1
            for copy in range(copies):
                top = bottom - (copy + 1) * rows * scale
                newest = copy == copies - 1
                fails = (copy + 1) * rows > records
                replaced = deleting and not newest
                kind = "red" if fails else "plain dashed" if replaced else "blue" if newest else "plain"
                drawing.bar(x, top, 64, rows * scale - 2, kind)
    y = bottom - records * scale
    drawing.line(f"M24 {y:g}h316M380 {y:g}h316", "limit")
    for left in (26, 382):
        drawing.text(left, y - 8, f"quota: {records:,} records", "small")
    drawing.bar(24, 356, 16, 16, "blue")
    drawing.text(48, 369, f"tonight's import, {rows:,} rows", "small")
    drawing.bar(262, 356, 16, 16, "plain")
    drawing.text(286, 369, "older imports", "small")
    drawing.bar(410, 356, 16, 16, "plain dashed")
    drawing.text(434, 369, "deleted once tonight's import is in", "small")
    return drawing


def waits() -> Drawing:
    """Draw the resources that 1,000 waits need in a triggerer, compared with the Amazon provider's base class."""
    rows = table("1,000 waits, one poll every 2 s; Airflow connections: 1")
    ours, peer = rows["ours"], rows["peer"]
    drawing = Drawing(
        f"1,000 waits in a triggerer take {size(ours[2])} of memory with this provider, and {size(peer[2])} with "
        "a trigger for each wait on the Amazon provider's base class.",
        342,
    )
    for number, (name, column, label) in enumerate(
        [
            ("Memory", 2, size),
            ("Calls to AWS in 2 s", 0, lambda cell: f"{round(amount(cell)):,}"),
            ("CPU time", 1, lambda cell: f"{amount(cell):.1f} s"),
        ]
    ):
        top = 24 + number * 92
        drawing.text(24, top + 14, name, "bold")
        for offset, cells, kind, who in ((24, ours, "solid", "this provider"), (52, peer, "plain", "a trigger each")):
            drawing.text(24, top + offset + 17, who, "small")
            length = 440 * amount(cells[column]) / amount(peer[column])
            drawing.bar(136, top + offset, max(length, 3), 22, kind)
            drawing.text(144 + length, top + offset + 17, label(cells[column]))
    drawing.text(24, 322, "1,000 waits in one triggerer, polled every 2 seconds; measured by make bench", "small")
    return drawing


def table(title: str) -> dict[str, list[str]]:
    """Return the first table of the benchmarks' page below a title or sentence: the cells of each row by its first."""
    lines = iter(BENCHMARKS.read_text().partition(f"{title}\n")[2].splitlines())
    rows = [line.strip("| ").split("|") for line in takewhile(bool, dropwhile(lambda line: line[:1] != "|", lines))]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows[2:]}


def amount(cell: str) -> float:
    """Return the number in a cell."""
    return float(cell.replace(",", ""))


def size(cell: str) -> str:
    """Return a number of megabytes as a rounded string."""
    megabytes = amount(cell)
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


#: The drawings by the names of their files.
DRAWINGS: dict[str, Callable[[], Drawing]] = {draw.__name__: draw for draw in (pipeline, starts, slots, quota, waits)}


def main() -> int:
    """Write all drawings."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in DRAWINGS.items():
        (FOLDER / f"{name}.svg").write_text(str(draw()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
