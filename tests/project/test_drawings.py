"""The documentation's drawings are up to date, and their numbers are those of their sources."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from airflow_provider_ads.discovery import limits
from scripts.drawings import DRAWINGS, FOLDER, WIDTH

ROOT = Path(__file__).parents[2]
BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text()


def words(name: str) -> str:
    """Return the text of a committed drawing."""
    return " | ".join(text.text or "" for text in ElementTree.parse(FOLDER / f"{name}.svg").iterfind(".//{*}text"))


def cell(row: str, column: int) -> float:
    """Return a number of the benchmarks' page; where several tables have such a row, the one for 1,000 waits."""
    cells = re.findall(
        rf"^\| {re.escape(row)} \| (.+) \|$", BENCHMARKS.partition("1,000 waits, one poll")[2], re.MULTILINE
    )
    return float(cells[0].split(" | ")[column].replace(",", ""))


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_committed_drawing_is_what_make_drawings_writes(name: str) -> None:
    assert (FOLDER / f"{name}.svg").read_text() == str(DRAWINGS[name]()), "Run make drawings, and look at the result"


def test_every_file_is_a_drawing() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.svg" for name in DRAWINGS}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_has_a_title_and_colors_for_light_and_dark(name: str) -> None:
    root = ElementTree.parse(FOLDER / f"{name}.svg").getroot()
    assert (root.findtext("{*}title") or "").endswith(".")
    assert "prefers-color-scheme: dark" in (root.findtext("{*}style") or "")
    assert root.get("width") == str(WIDTH)


def test_the_pipeline_shows_the_size_of_a_file() -> None:
    assert f"most {limits.IMPORT_FILE_MAX_BYTES // 1_000_000} MB" in words("pipeline")


def test_the_nights_show_the_quota_and_exceed_it_in_the_stated_night() -> None:
    text = words("quota")
    assert f"quota: {limits.IMPORT_RECORDS_PER_ACCOUNT:,} records" in text
    rows = int(re.findall(r"tonight's import, ([\d,]+) rows", text)[0].replace(",", ""))
    assert rows < limits.IMPORTED_SERVERS_PER_ACCOUNT
    assert 3 * rows <= limits.IMPORT_RECORDS_PER_ACCOUNT < 4 * rows, "The fourth night fails"


def test_the_bars_show_the_benchmark_of_1000_waits() -> None:
    assert words("waits").startswith(
        f"Memory | this provider | {cell('ours', 2):.0f} MB | a trigger each | {cell('peer', 2) / 1000:.1f} GB | "
    )
    assert f"{cell('ours', 0):.0f} | a trigger each | {cell('peer', 0):.0f} | " in words("waits")
    assert f"{cell('ours', 1):.1f} s | a trigger each | {cell('peer', 1):.1f} s | " in words("waits")


def test_the_slots_show_the_benchmark_of_imports() -> None:
    text = words("slots")
    for row in ("operator and poking sensor", "waiting operator, deferred", "one task for a batch"):
        assert f"{cell(row, 3):g} s of a slot" in text
    imports, seconds = int(cell("one task for a batch", 0)), re.findall(r"takes (\d+) s and", BENCHMARKS)[0]
    assert f"One task for {imports} imports" in text
    assert f"ends, {seconds} s later" in text
