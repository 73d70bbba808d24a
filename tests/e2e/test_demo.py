"""The demo, as ``make demo`` runs it, on a whole Airflow."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

pytestmark = pytest.mark.skipif(
    not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 has neither the API server nor the Dag processor of its own"
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo() -> Iterator[subprocess.Popen[str]]:
    """The demo, running; whatever it leaves behind fails the test."""
    before = {process.pid for process in psutil.process_iter()}
    with subprocess.Popen(
        [sys.executable, "-m", "scripts.demo"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")},
    ) as process:
        yield process
        process.kill()
    assert leftovers(before) == []


def leftovers(before: set[int]) -> list[str]:
    """Processes of Airflow that were not there before."""
    found: list[Any] = [p for p in psutil.process_iter(["pid", "cmdline"]) if p.pid not in before]
    return [" ".join(p.info["cmdline"] or []) for p in found if "airflow" in " ".join(p.info["cmdline"] or [])]


def test_imports_the_inventories_and_says_so(demo: subprocess.Popen[str]) -> None:
    printed, _ = demo.communicate(timeout=500)
    assert demo.returncode == 0, printed
    assert re.search(r"task +wait_for_import +deferred", printed)
    assert "servers imported  294" in printed
    assert "servers failed    6" in printed
    samples = re.findall(r"processes of wait_for_import while it was deferred, every 0.5 s: ([\d ]+)", printed)[
        0
    ].split()
    assert len(samples) > 10
    assert set(samples) == {"0"}
    parts = re.findall(r"part-\d{4}\.csv +([\d,]+) +([\d,]+) +([\d,]+) +(\d+)  (\w+)", printed)
    sizes, rows, imported, failed = (
        [int(figures[column].replace(",", "")) for figures in parts] for column in range(4)
    )
    assert len(parts) == 4
    assert max(sizes) <= 1_000_000
    assert 6_000 == sum(rows) + 12 == sum(imported) + sum(failed) + 12
    assert f"6,000 rows = {sum(imported):,} imported + {sum(failed)} failed + 12 quarantined" in printed
    assert "older imports of the inventory: DELETE_COMPLETE" in printed


@pytest.mark.parametrize("said", ["Starting Airflow", "deferred"], ids=["while it starts", "while a task is deferred"])
def test_stops_everything_on_ctrl_c(demo: subprocess.Popen[str], said: str) -> None:
    assert demo.stdout is not None
    for line in demo.stdout:
        if said in line:
            break
    time.sleep(2)
    demo.send_signal(signal.SIGINT)
    printed, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, printed
    assert "everything that the demo had started is stopped" in printed
