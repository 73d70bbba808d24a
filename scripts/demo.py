"""Run two example Dags on a whole Airflow against the emulator, and print their progress and results."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from itertools import dropwhile
from pathlib import Path

from airflow_provider_ads.emulator import AdsEmulator
from sample_inventories.cmdb_export import make_cmdb_export
from tests.support.airflow import LocalAirflow, TaskInstance

ROOT = Path(__file__).resolve().parents[1]

IMPORT_URL = "s3://migration-inventory/servers.csv"
INVENTORY = ROOT / "sample_inventories" / "servers.csv"
EXPORT_URL = "s3://migration-inventory/cmdb-export.csv"
EXPORT_ROWS = 6_000


def main() -> int:
    """Run the demo; return the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run_demo()
    except KeyboardInterrupt:
        heading("Interrupted. All processes of the demo have ended.")
        return 130


def run_demo() -> int:
    """Start the emulator and Airflow, run the Dags, and stop everything."""
    with AdsEmulator() as ads:
        heading(f"Started the AWS emulator at {ads.endpoint_url}")
        heading("Starting Airflow (database, API server, scheduler, Dag processor, triggerer)")
        environment = {
            "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
            "AIRFLOW__AWS_APPLICATION_DISCOVERY__IMPORTS_TAB": "True",
            # Otherwise unpausing a Dag also starts a scheduled run.
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        }
        with LocalAirflow(ROOT / ".airflow-demo", ROOT / "example_dags", environment) as airflow:
            heading(f"Started Airflow at {airflow.url}")
            succeeded = run_import(airflow, ads) and run_pipeline(airflow, ads)
            if succeeded:
                heading("The demo succeeded. Next: copy a Dag, change the marked lines, and schedule it.")
            else:
                heading(f"The demo failed. See the logs in {airflow.home / 'logs'}")
            if os.environ.get("KEEP"):
                heading(f"Airflow's UI is at {airflow.url}, without a login. Press Ctrl-C to stop.")
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()
    return 0 if succeeded else 1


def run_import(airflow: LocalAirflow, ads: AdsEmulator) -> bool:
    """Import one file; return True if the result is as expected."""
    ads.import_seconds = 20
    heading(f"Importing 300 servers from {IMPORT_URL} with example_dags/example_ads_import.py")
    ads.upload(IMPORT_URL, INVENTORY.read_text())
    run_state, _, processes = run_dag(airflow, ads, "example_ads_import")
    import_task = ads.import_tasks()[-1] if ads.import_tasks() else {}
    counts = import_task.get("serverImportSuccess"), import_task.get("serverImportFailure")
    print(f"   {'status':<18}{import_task.get('status')}")
    print(f"   {'servers imported':<18}{counts[0]}")
    print(f"   {'servers failed':<18}{counts[1]}   without an identity, or with an invalid number")
    print(f"   {'applications':<18}{import_task.get('applicationImportSuccess')}")
    most = max(processes, default=None)
    print(f"\n   Worker processes of wait_for_import while it was deferred: {most} ({len(processes)} samples)")
    return (run_state, counts, most) == ("success", (294, 6), 0)


def run_pipeline(airflow: LocalAirflow, ads: AdsEmulator) -> bool:
    """Prepare an export and import its parts; return True if the result is as expected."""
    # All four parts are imported before the first poll, which comes after 15 seconds.
    ads.import_seconds = 3
    before = len(ads.import_tasks())
    dag_id = "example_ads_inventory_pipeline"
    heading(f"Preparing and importing {EXPORT_ROWS:,} servers from {EXPORT_URL} with example_dags/{dag_id}.py")
    ads.upload(EXPORT_URL, make_cmdb_export(EXPORT_ROWS))
    run_state, run_id, _ = run_dag(airflow, ads, dag_id)
    if run_state != "success":
        return False
    report = airflow.xcom(dag_id, run_id, "prepare", "report")
    import_tasks = sorted(ads.import_tasks()[before:], key=lambda task: str(task["importUrl"]))
    print(f"   {'part':<16}{'bytes':>10}{'rows':>8}{'imported':>10}{'failed':>8}  status")
    for part, task in zip(report["parts"], import_tasks, strict=True):
        counts = f"{task['serverImportSuccess']:>10,}{task['serverImportFailure']:>8,}"
        name = part["url"].rpartition("/")[2]
        print(f"   {name:<16}{part['size_bytes']:>10,}{part['rows']:>8,}{counts}  {task['status']}")
    imported = sum(task["serverImportSuccess"] for task in import_tasks)
    failed = sum(task["serverImportFailure"] for task in import_tasks)
    quarantined = report["rows_quarantined"]
    older = [task["status"] for task in ads.import_tasks()[:before]]
    print(f"\n   {report['rows_read']:,} rows = {imported:,} imported + {failed} failed + {quarantined} quarantined")
    print(f"   {'quarantined rows':<18}{report['quarantine_url']}")
    for result in airflow.xcom(dag_id, run_id, "fetch_failed_records"):
        if result["failed_records"]:
            print(f"   {'failed rows':<18}{result['failed_entries_url']}")
    print(f"   {'older import':<18}{', '.join(older)}")
    return (imported, failed, quarantined, older) == (5983, 5, 12, ["DELETE_COMPLETE"])


def run_dag(airflow: LocalAirflow, ads: AdsEmulator, dag_id: str) -> tuple[str, str, list[int]]:
    """
    Run a Dag to its end; print each change of a task's or an import's state, and a table of the tasks.

    :return: the run's state, its id, and the number of processes of deferred tasks, sampled every half second.
    """
    run_id = airflow.trigger(dag_id)
    started = time.monotonic()
    printed = set(import_lines(ads))
    processes: list[int] = []
    task_instances: list[TaskInstance] = []
    for task_instances in airflow.watch(dag_id, run_id, seconds=240):
        lines = [f"task    {task.task_id:<22}{task.state}" for task in task_instances if task.state]
        for line in [*lines, *import_lines(ads)]:
            if line not in printed:
                print(f"   {time.monotonic() - started:5.1f} s  {line}", flush=True)
                printed.add(line)
        processes += [len(airflow.processes_of(task)) for task in task_instances if task.state == "deferred"]
    run_state = airflow.run_state(dag_id, run_id)
    heading(f"{run_state.capitalize()}: {dag_id}")
    print(f"   {'task':<22}{'state':<10}{'seconds':>8}")
    for task in task_instances:
        print(f"   {task.task_id:<22}{task.state or '':<10}{task.duration or 0:8.1f}")
    print()
    # The worker reports the deferral before its process ends.
    return run_state, run_id, list(dropwhile(bool, processes))


def import_lines(ads: AdsEmulator) -> list[str]:
    """Return a line with the id and the status of each import."""
    return [f"import  {task['importTaskId'][:20]:<22}{task['status']}" for task in ads.import_tasks()]


def heading(line: str) -> None:
    """Print a line that stands out."""
    print(f"\n\033[1m>> {line}\033[0m" if sys.stdout.isatty() else f"\n>> {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
