"""``make demo`` runs on a whole Airflow and leaves no process behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

pytestmark = pytest.mark.skipif(
    not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 has neither the API server nor a separate Dag processor"
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo() -> Iterator[subprocess.Popen[str]]:
    """The running demo, which waits for Ctrl-C at its end."""
    with subprocess.Popen(
        [sys.executable, "-m", "scripts.demo"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"KEEP": "1", **{key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")}},
    ) as process:
        yield process
        process.kill()
    assert airflow_processes() == []


def airflow_processes() -> list[str]:
    """Return the command lines of processes in the folder of the demo's Airflow."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cwd() == str(ROOT / ".airflow-demo"):
                found.append(" ".join(process.cmdline()))
    return found


def read_until(demo: subprocess.Popen[str], words: str) -> str:
    """Return what the demo prints up to a line that contains the words, or up to its end."""
    assert demo.stdout is not None
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if words in line:
            break
    return "".join(lines)


def check_pages(urls: list[str]) -> None:
    """Check that the demo names three pages and that a browser can open each."""
    assert len(urls) == 3
    for url in urls:
        request = urllib.request.Request(url, headers={"Accept": "text/html"})
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.headers.get_content_type() == "text/html"


def test_imports_the_inventories_and_stops_on_ctrl_c(demo: subprocess.Popen[str]) -> None:
    printed = read_until(demo, "Press Ctrl-C")
    assert airflow_processes() != []
    check_pages(re.findall(r"^   \w.+? {2,}(http://\S+)$", printed, re.MULTILINE))
    demo.send_signal(signal.SIGINT)
    printed += demo.communicate(timeout=60)[0]
    assert demo.returncode == 0, printed
    assert "The demo succeeded." in printed, printed
    assert re.search(r" s  deferred +wait_for_import\n", printed)
    assert re.search(r" s  IMPORT_COMPLETE_WITH_ERRORS: 294 imported, 6 failed\. servers\.csv ", printed)
    assert re.search(r"^   294 imported, 6 failed ", printed, re.MULTILINE)
    assert re.search(r"^   0 worker processes held .* while it was deferred \(\d\d samples\)", printed, re.MULTILINE)
    pipeline = printed.partition("Success: example_ads_inventory_pipeline")[2]
    assert set(re.findall(r"^   success +[\d.]+ s  (\w+)", pipeline, re.MULTILINE)) == {
        "prepare",
        "import_files",
        "fetch_failed_records",
        "delete_older_imports",
        "show_sum",
    }
    parts = re.findall(r"^ +([\d,]+) +(\d+) +([\d,]+) +([\d,]+)  part-\d{4}\.csv  (\w+)", pipeline, re.MULTILINE)
    imported, failed, rows, sizes = (
        [int(figures[column].replace(",", "")) for figures in parts] for column in range(4)
    )
    assert len(parts) == 4
    assert max(sizes) <= 1_000_000
    assert sum(rows) + 12 == sum(imported) + sum(failed) + 12 == 6_000
    assert f"6,000 rows = {sum(imported):,} imported + {sum(failed)} failed + 12 quarantined" in printed
    assert re.search(r"^   DELETE_COMPLETE: cmdb-", pipeline, re.MULTILINE)


def test_ctrl_c_stops_everything_while_airflow_starts(demo: subprocess.Popen[str]) -> None:
    read_until(demo, "Starting Airflow")
    deadline = time.monotonic() + 60
    # The first processes only create the database.
    while len(airflow_processes()) < 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    demo.send_signal(signal.SIGINT)
    printed, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, printed
    assert "All processes of the demo have ended" in printed
