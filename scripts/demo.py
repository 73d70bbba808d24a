"""Run the example Dag on a whole Airflow against the emulator, show what happens as it happens, and what came of it."""

from __future__ import annotations

import os
import signal
import sys
import time
from itertools import dropwhile
from pathlib import Path
from typing import Any

from airflow_provider_ads.emulator import AdsEmulator
from scripts.local_airflow import LocalAirflow, TaskInstance

ROOT = Path(__file__).resolve().parents[1]
DAG_ID = "example_ads_import"
IMPORT_URL = "s3://migration-inventory/servers.csv"
INVENTORY = ROOT / "scripts" / "servers.csv"
EXPECTED = {"serverImportSuccess": 294, "serverImportFailure": 6}


def main() -> int:
    """Run the demo; return the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run_demo()
    except KeyboardInterrupt:
        say("Interrupted; everything that the demo had started is stopped")
        return 130


def run_demo() -> int:
    """Start everything, run the Dag, and stop everything."""
    with AdsEmulator(import_seconds=20) as ads:
        inventory = INVENTORY.read_text()
        servers = len(inventory.splitlines()) - 1
        say(f"The emulator of AWS answers at {ads.endpoint_url}; uploading {servers} servers to {IMPORT_URL}")
        ads.upload(IMPORT_URL, inventory)
        say("Starting Airflow: database, API server, scheduler, Dag processor, triggerer")
        environment = {
            "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
            # The Dag's own schedule would start a second run as soon as it is unpaused.
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        }
        with LocalAirflow(ROOT / ".airflow-demo", ROOT / "example_dags", environment) as airflow:
            say(f"Airflow answers at {airflow.url}; unpausing and triggering {DAG_ID} of example_dags/{DAG_ID}.py")
            run_id = airflow.trigger(DAG_ID)
            task_instances, samples = show_progress(airflow, ads, run_id)
            run_state = airflow.run_state(DAG_ID, run_id)
            import_task = ads.import_tasks()[-1] if ads.import_tasks() else {}
            as_expected = run_state == "success" and {key: import_task.get(key) for key in EXPECTED} == EXPECTED
            show_result(task_instances, run_state, import_task, samples)
            if not as_expected:
                say(f"The demo did not end as it should: look at the logs in {airflow.home / 'logs'}")
            if os.environ.get("KEEP"):
                say(f"Airflow stays open at {airflow.url}, without a login, until you press Ctrl-C")
                signal.pause()
    return 0 if as_expected else 1


def show_progress(airflow: LocalAirflow, ads: AdsEmulator, run_id: str) -> tuple[list[TaskInstance], list[int]]:
    """
    Print a line for each change of a task's state or of the import, until the run has ended.

    :return: the task instances, and how many processes a deferred one had, every half second.
    """
    started = time.monotonic()
    told: list[str] = []
    samples: list[int] = []
    task_instances: list[TaskInstance] = []
    for task_instances in airflow.watch(DAG_ID, run_id, seconds=240):
        lines = [f"task    {task.task_id:<18}{task.state}" for task in task_instances if task.state]
        lines += [f"import  {task['importTaskId'][:18]}  {task['status']}" for task in ads.import_tasks()]
        for line in lines:
            if line not in told:
                print(f"   {time.monotonic() - started:5.1f} s  {line}", flush=True)
        told += lines
        samples += [len(airflow.processes_of(task)) for task in task_instances if task.state == "deferred"]
    # A worker says that its task defers, and then its process ends.
    return task_instances, list(dropwhile(bool, samples))


def show_result(
    task_instances: list[TaskInstance], run_state: str, import_task: dict[str, Any], samples: list[int]
) -> None:
    """Print the table of tasks, the counts of the import, and what comes next."""
    say(f"The run ended: {run_state}")
    print(f"   {'task':<18}{'state':<10}{'seconds':>8}")
    for task in task_instances:
        print(f"   {task.task_id:<18}{task.state or '':<10}{task.duration or 0:8.1f}")
    print(f"   processes of wait_for_import while it was deferred, every 0.5 s: {' '.join(map(str, samples))}")
    print()
    print(f"   {'import':<18}{import_task.get('name')}")
    print(f"   {'status':<18}{import_task.get('status')}")
    print(f"   {'servers imported':<18}{import_task.get('serverImportSuccess', 0)}")
    print(f"   {'servers failed':<18}{import_task.get('serverImportFailure', 0)}")
    print(f"   {'applications':<18}{import_task.get('applicationImportSuccess', 0)}")
    say("The rows that failed have no identity, a word for a number, or a number out of range, and AWS would reject")
    print("   them too. Next: copy the Dag, change its two marked lines, and schedule it.")


def say(line: str) -> None:
    """Print a step so that it stands out."""
    print(f"\n\033[1m>> {line}\033[0m" if sys.stdout.isatty() else f"\n>> {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
