"""Run two example Dags on a whole Airflow against the emulator, and print their progress and results."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from textwrap import indent

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.inventory.accounting import account_for_rows
from sample_inventories.cmdb_export import make_cmdb_export
from tests.support.airflow import LocalAirflow, TaskInstance

ROOT = Path(__file__).resolve().parents[1]

IMPORT_URL = "s3://migration-inventory/servers.csv"
INVENTORY = ROOT / "sample_inventories" / "servers.csv"
EXPORT_URL = "s3://migration-inventory/cmdb-export.csv"
EXPORT_ROWS = 6_000
PIPELINE = "example_ads_inventory_pipeline"

#: The states of tasks that the demo prints.
SHOWN_STATES = {"running", "deferred", "success", "failed", "up_for_retry", "upstream_failed", "skipped"}


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
                show_pages(airflow, ads)
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()
    return 0 if succeeded else 1


def show_pages(airflow: LocalAirflow, ads: AdsEmulator) -> None:
    """Print the pages that are worth opening."""
    ((run_id,),) = airflow.query("select run_id from dag_run where dag_id = ? order by id desc limit 1", PIPELINE)
    heading("Open these pages. None of them asks for a login.")
    print(f"   {'Every row of the run':<22}{airflow.page(PIPELINE, run_id)}")
    print(f"   {'The last runs':<22}{airflow.page(PIPELINE)}")
    print(f"   {'The emulated AWS':<22}{ads.endpoint_url}/")
    heading("Press Ctrl-C to stop.")


def run_import(airflow: LocalAirflow, ads: AdsEmulator) -> bool:
    """Import one file; return True if the result is as expected."""
    ads.import_seconds = 20
    dag_id = "example_ads_import"
    heading(f"Importing 300 servers from {IMPORT_URL} with example_dags/{dag_id}.py")
    ads.upload(IMPORT_URL, INVENTORY.read_text())
    run = run_dag(airflow, ads, dag_id)
    if run.state != "success":
        return False
    summary = airflow.xcom(dag_id, run.run_id, "wait_for_import")
    imported, failed = summary["serverImportSuccess"], summary["serverImportFailure"]
    most = max(run.processes, default=None)
    print(f"   {imported} imported, {failed} failed (without an identity, or with an invalid number)")
    print(f"   {most} worker processes held by wait_for_import while it was deferred ({len(run.processes)} samples)\n")
    run.print_tasks()
    return (imported, failed, most) == (294, 6, 0)


def run_pipeline(airflow: LocalAirflow, ads: AdsEmulator) -> bool:
    """Prepare an export and import its parts; return True if the result is as expected."""
    # All four parts are imported before the first poll, which comes after 15 seconds.
    ads.import_seconds = 3
    heading(f"Preparing and importing {EXPORT_ROWS:,} servers from {EXPORT_URL} with example_dags/{PIPELINE}.py")
    ads.upload(EXPORT_URL, make_cmdb_export(EXPORT_ROWS))
    run = run_dag(airflow, ads, PIPELINE)
    if run.state != "success":
        return False
    report = airflow.xcom(PIPELINE, run.run_id, "prepare", "report")
    import_tasks = airflow.xcom(PIPELINE, run.run_id, "import_files", "import_task")
    older = airflow.xcom(PIPELINE, run.run_id, "delete_older_imports", "deletion")["import_tasks"]
    rows = account_for_rows(report, import_tasks)
    print(indent(rows, "   "))
    print(f"\n   {'imported':>8}{'failed':>8}{'rows':>8}{'bytes':>10}  part")
    for part, task in zip(report["parts"], import_tasks, strict=True):
        counts = f"{task['serverImportSuccess']:>8,}{task['serverImportFailure']:>8,}{part['rows']:>8,}"
        print(f"   {counts}{part['size_bytes']:>10,}  {part['url'].rpartition('/')[2]}  {task['status']}")
    print(f"\n   {report['rows_quarantined']:>8} quarantined  {report['quarantine_url']}")
    for result in airflow.xcom(PIPELINE, run.run_id, "fetch_failed_records"):
        if result["failed_records"]:
            print(f"   {result['failed_records']:>8} failed       {result['failed_entries_url']}")
    for task in older:
        print(f"   {task['status']}: {task['name']}, which the new imports replace")
    print()
    run.print_tasks()
    expected = "6,000 rows = 5,983 imported + 5 failed + 12 quarantined"
    return rows.startswith(expected) and [task["status"] for task in older] == ["DELETE_COMPLETE"]


@dataclass(frozen=True)
class Run:
    """
    A run that has ended.

    :param run_id: its id.
    :param state: its state.
    :param task_instances: its task instances.
    :param processes: the number of processes of deferred tasks, sampled every half second.
    """

    run_id: str
    state: str
    task_instances: list[TaskInstance]
    processes: list[int]

    def print_tasks(self) -> None:
        """Print the state and the duration of each task."""
        for task in self.task_instances:
            print(f"   {task.state or 'not run':<10}{task.duration or 0:6.1f} s  {task.task_id}")


def run_dag(airflow: LocalAirflow, ads: AdsEmulator, dag_id: str) -> Run:
    """Run a Dag to its end, and print each change of a task's or an import's state."""
    run_id = airflow.trigger(dag_id)
    started = time.monotonic()
    printed = set(import_lines(ads))
    processes: list[int] = []
    task_instances: list[TaskInstance] = []
    for task_instances in airflow.watch(dag_id, run_id, seconds=240):
        lines = [f"{task.state:<12}{task.task_id}" for task in task_instances if task.state in SHOWN_STATES]
        for line in [*lines, *import_lines(ads)]:
            if line not in printed:
                print(f"   {time.monotonic() - started:5.1f} s  {line}", flush=True)
                printed.add(line)
        processes += [len(airflow.processes_of(task)) for task in task_instances if task.state == "deferred"]
    # The worker reports the deferral before its process ends.
    run = Run(run_id, airflow.run_state(dag_id, run_id), task_instances, list(dropwhile(bool, processes)))
    heading(f"{run.state.capitalize()}: {dag_id}")
    if run.state != "success":
        run.print_tasks()
    return run


def import_lines(ads: AdsEmulator) -> list[str]:
    """Return a line with the status, the counts and the name of each import."""
    lines = []
    for task in ads.import_tasks():
        counts = f"{task.get('serverImportSuccess') or 0:,} imported, {task.get('serverImportFailure') or 0:,} failed. "
        name = f"{str(task['importUrl']).rpartition('/')[2]} ({task['importTaskId'][:20]})"
        lines.append(f"{task['status']}: {counts if str(task['status']).startswith('IMPORT_C') else ''}{name}")
    return lines


def heading(line: str) -> None:
    """Print a line that stands out."""
    print(f"\n\033[1m>> {line}\033[0m" if sys.stdout.isatty() else f"\n>> {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
