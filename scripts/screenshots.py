"""
Create the documentation's screenshots of Airflow's UI and its log excerpts, on a whole Airflow against the emulator.

Chromium takes the screenshots; check them before you commit.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from airflow_provider_ads.emulator import AdsEmulator
from sample_inventories.cmdb_export import make_cmdb_export
from tests.support.airflow import LocalAirflow
from tests.support.browser import open_browser

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
LOGS = ROOT / "docs" / "logs"

#: Seconds to wait for a page's text or a task's state.
TIMEOUT = 120

DAG_ID = "example_ads_import"
IMPORT_URL = "s3://migration-inventory/servers.csv"
GOOD = (ROOT / "sample_inventories" / "servers.csv").read_text()
PIPELINE = "example_ads_inventory_pipeline"
EXPORT_URL = "s3://migration-inventory/cmdb-export.csv"
BAD = GOOD + 11 * ",,,,,,,1,2,Linux,Ubuntu 24.04,8192,,,,,,\n"


def main() -> int:
    """Create all screenshots and log excerpts; return the exit status."""
    with tempfile.TemporaryDirectory() as name, AdsEmulator() as ads:
        dags = Path(name, "dags")
        dags.mkdir()
        for dag_id in (DAG_ID, PIPELINE):
            text = (ROOT / "example_dags" / f"{dag_id}.py").read_text()
            # Otherwise the retry would take five minutes.
            (dags / f"{dag_id}.py").write_text(text.replace("timedelta(minutes=5)", "timedelta(seconds=5)"))
        environment = {
            "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
            "AIRFLOW__AWS_APPLICATION_DISCOVERY__IMPORTS_TAB": "True",
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        }
        with LocalAirflow(ROOT / ".airflow-demo", dags, environment) as airflow, open_browser() as chrome:
            show_imports_tab(airflow, ads, chrome)
            show_good_run(airflow, ads, chrome)
            show_partial_failure(airflow, ads, chrome)
            show_wrong_region(airflow, ads, chrome)
            capture_crash_recovery(airflow, ads)
    return 0


def show_imports_tab(airflow: LocalAirflow, ads: AdsEmulator, chrome: Chrome) -> None:
    """Take screenshots of the Imports tab of a run, in light and dark, and of its Dag."""
    ads.import_seconds = 0.5
    for rows in (6_000, 6_000, 4_100, 7_300):
        ads.upload(EXPORT_URL, make_cmdb_export(rows))
        run_id = airflow.trigger(PIPELINE)
        finish(airflow, run_id, PIPELINE)
    page = airflow.page(PIPELINE, run_id)
    take_screenshot(chrome, page, IMAGES / "imports-tab.png", "7,300 rows", in_frame=True)
    take_screenshot(chrome, airflow.page(PIPELINE), IMAGES / "imports-tab-dag.png", "4,100", in_frame=True)
    chrome.execute_script("localStorage.setItem('theme', 'dark')")
    take_screenshot(chrome, page, IMAGES / "imports-tab-dark.png", "7,300 rows", in_frame=True)
    chrome.execute_script("localStorage.setItem('theme', 'light')")


def show_good_run(airflow: LocalAirflow, ads: AdsEmulator, chrome: Chrome) -> None:
    """Take screenshots of a deferred wait, and of the task after its end."""
    ads.upload(IMPORT_URL, GOOD)
    ads.import_seconds = 3600
    run_id = airflow.trigger(DAG_ID)
    wait_until(lambda: state_of(airflow, run_id, "wait_for_import") == "deferred", "the wait is deferred")
    take_screenshot(chrome, page_of(airflow, run_id), IMAGES / "deferred-wait.png", "wait_for_import", "Deferred")
    ads.import_seconds = 0.01
    finish(airflow, run_id)
    task_page = page_of(airflow, run_id, "wait_for_import")
    take_screenshot(chrome, task_page, IMAGES / "log-with-counts.png", "294 imported, 6 failed")
    take_screenshot(chrome, f"{task_page}/details", IMAGES / "console-link.png", "Migration Hub")
    capture(airflow, run_id, LOGS / "good-run.txt")


def show_partial_failure(airflow: LocalAirflow, ads: AdsEmulator, chrome: Chrome) -> None:
    """Take a screenshot of the log of a run with more failed records than the sensor allows."""
    ads.upload(IMPORT_URL, BAD)
    ads.import_seconds = 1
    run_id = airflow.trigger(DAG_ID)
    finish(airflow, run_id)
    page = page_of(airflow, run_id, "wait_for_import")
    take_screenshot(chrome, page, IMAGES / "log-partial-failure.png", "294 imported, 17 failed")
    capture(airflow, run_id, LOGS / "partial-failure.txt")


def show_wrong_region(airflow: LocalAirflow, ads: AdsEmulator, chrome: Chrome) -> None:
    """Take a screenshot of the log of a task in a region that is not the home region."""
    ads.home_region = "eu-west-1"
    run_id = airflow.trigger(DAG_ID)
    finish(airflow, run_id)
    page = page_of(airflow, run_id, "start_import")
    take_screenshot(chrome, page, IMAGES / "log-wrong-region.png", "Set region_name")
    ads.home_region = "us-west-2"


def page_of(airflow: LocalAirflow, run_id: str, task_id: str = "") -> str:
    """Return the address of Airflow's page of a run, or of one of its tasks."""
    page = f"{airflow.url}/dags/{DAG_ID}/runs/{urllib.parse.quote(run_id)}"
    return f"{page}/tasks/{task_id}" if task_id else page


def capture_crash_recovery(airflow: LocalAirflow, ads: AdsEmulator) -> None:
    """Capture the logs of a run whose worker is killed after AWS has started the import but before it has answered."""
    ads.upload(IMPORT_URL, GOOD)
    ads.import_seconds = 1
    ads.inject("hold", operation="StartImportTask")
    run_id = airflow.trigger(DAG_ID)
    wait_until(ads.held, "the emulator holds its answer back")
    (start,) = [task for task in airflow.task_instances(DAG_ID, run_id) if task.task_id == "start_import"]
    airflow.kill_task(start)
    ads.clear_faults()
    finish(airflow, run_id)
    capture(airflow, run_id, LOGS / "crash-recovery.txt")


def finish(airflow: LocalAirflow, run_id: str, dag_id: str = DAG_ID) -> None:
    """Wait until a run has ended."""
    for _ in airflow.watch(dag_id, run_id, seconds=240):
        pass


def capture(airflow: LocalAirflow, run_id: str, path: Path) -> None:
    """Write the provider's log lines of a run to a file, by task, with the final state of each task."""
    lines = []
    folder = airflow.home / "logs" / f"dag_id={DAG_ID}" / f"run_id={run_id}"
    files = sorted(folder.rglob("*.log*"), key=lambda file: file.stat().st_mtime)
    for task_id in ("start_import", "wait_for_import"):
        events = [
            json.loads(line)
            for file in files
            if f"task_id={task_id}" in file.parts
            for line in file.read_text().splitlines()
        ]
        lines += ["", f"# {task_id}, {run_state(airflow, run_id, task_id)}", ""]
        for event in sorted(events, key=lambda event: str(event["timestamp"])):
            errors = [f"{error['exc_type']}: {error['exc_value']}" for error in event.get("error_detail", [])]
            if errors or "airflow_provider_ads" in event.get("logger", ""):
                text = "\n".join([event["event"], *errors]).replace("\n", "\n" + 17 * " ")
                lines.append(f"{event['timestamp'][11:19]} {event['level'].upper():<7} {text}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines[1:]) + "\n")
    print(f"{path.relative_to(ROOT)}: {len(lines)} lines")


def run_state(airflow: LocalAirflow, run_id: str, task_id: str) -> str:
    """Return the final state of a task and the number of its last try."""
    (task,) = [task for task in airflow.task_instances(DAG_ID, run_id) if task.task_id == task_id]
    return f"{task.state} in try {task.try_number}"


def state_of(airflow: LocalAirflow, run_id: str, task_id: str) -> str | None:
    """Return the state of a task."""
    return {task.task_id: task.state for task in airflow.task_instances(DAG_ID, run_id)}.get(task_id)


def wait_until(condition: Callable[[], Any], description: str) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Timed out after {TIMEOUT} s waiting until {description}.")
        time.sleep(0.2)


def take_screenshot(chrome: Chrome, page: str, path: Path, *texts: str, in_frame: bool = False) -> None:
    """
    Take a screenshot of a page once it shows these texts.

    :param in_frame: True if the page shows the texts in a frame, as the tab of a plugin does.
    """
    chrome.get(page)
    if in_frame:
        frame = WebDriverWait(chrome, TIMEOUT).until(lambda driver: driver.find_elements(By.TAG_NAME, "iframe"))[0]
        chrome.switch_to.frame(frame)

    def shows(driver: Chrome) -> bool:
        body = driver.find_element(By.TAG_NAME, "body").text
        return all(text in body for text in texts)

    WebDriverWait(chrome, TIMEOUT).until(shows)
    chrome.switch_to.default_content()
    # The frames of tracebacks show where this repository is.
    chrome.execute_script("document.querySelectorAll('details[open]').forEach(each => { each.open = false })")
    # The page loads more, and has animations.
    time.sleep(2)
    path.parent.mkdir(parents=True, exist_ok=True)
    chrome.save_screenshot(str(path))
    print(f"{path.relative_to(ROOT)}: {page}")


if __name__ == "__main__":
    sys.exit(main())
