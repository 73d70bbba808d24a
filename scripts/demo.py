"""Run example Dags on a whole Airflow against the emulator, show what happens as it happens, and what came of it."""

from __future__ import annotations

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
        say("Interrupted; everything that the demo had started is stopped")
        return 130


def run_demo() -> int:
    """Start everything, run the Dags, and stop everything."""
    with AdsEmulator() as ads:
        say(f"The emulator of AWS answers at {ads.endpoint_url}")
        say("Starting Airflow: database, API server, scheduler, Dag processor, triggerer")
        environment = {
            "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
            # A Dag's own schedule would start a second run as soon as it is unpaused.
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        }
        with LocalAirflow(ROOT / ".airflow-demo", ROOT / "example_dags", environment) as airflow:
            say(f"Airflow answers at {airflow.url}")
            as_expected = run_import(airflow, ads) and run_pipeline(airflow, ads)
            if as_expected:
                say("Next: copy a Dag, change its marked lines, and schedule it.")
            else:
                say(f"The demo did not end as it should: look at the logs in {airflow.home / 'logs'}")
            if os.environ.get("KEEP"):
                say(f"Airflow stays open at {airflow.url}, without a login, until you press Ctrl-C")
                signal.pause()
    return 0 if as_expected else 1


def run_import(airflow: LocalAirflow, ads: AdsEmulator) -> bool:
    """Import one file; return whether all is as it should be."""
    ads.import_seconds = 20
    inventory = INVENTORY.read_text()
    servers = len(inventory.splitlines()) - 1
    say(f"Importing {servers} servers from {IMPORT_URL}, with example_dags/example_ads_import.py")
    ads.upload(IMPORT_URL, inventory)
    run_state, _, samples = run_dag(airflow, ads, "example_ads_import")
    print(f"   processes of wait_for_import while it was deferred, every 0.5 s: {' '.join(map(str, samples))}")
    print()
    import_task = ads.import_tasks()[-1] if ads.import_tasks() else {}
    print(f"   {'import':<18}{import_task.get('name')}")
    print(f"   {'status':<18}{import_task.get('status')}")
    print(f"   {'servers imported':<18}{import_task.get('serverImportSuccess', 0)}")
    print(f"   {'servers failed':<18}{import_task.get('serverImportFailure', 0)}")
    print(f"   {'applications':<18}{import_task.get('applicationImportSuccess', 0)}")
    print("   The rows that failed have no identity, a word for a number, or a number out of range.")
    counts = import_task.get("serverImportSuccess"), import_task.get("serverImportFailure")
    return (run_state, counts) == ("success", (294, 6))


def run_pipeline(airflow: LocalAirflow, ads: AdsEmulator) -> bool:
    """Prepare a file, and import its parts; return whether all is as it should be."""
    ads.import_seconds = 4
    before = len(ads.import_tasks())
    dag_id = "example_ads_inventory_pipeline"
    say(f"Preparing and importing {EXPORT_ROWS:,} servers from {EXPORT_URL}, with example_dags/{dag_id}.py")
    ads.upload(EXPORT_URL, make_cmdb_export(EXPORT_ROWS))
    run_state, run_id, _ = run_dag(airflow, ads, dag_id)
    if run_state != "success":
        return False
    report = airflow.xcom(dag_id, run_id, "prepare", "report")
    import_tasks = ads.import_tasks()[before:]
    print(f"   {'part':<16}{'bytes':>10}{'rows':>8}{'imported':>10}{'failed':>8}  status of its import")
    import_tasks.sort(key=lambda import_task: str(import_task["importUrl"]))
    for part, import_task in zip(report["parts"], import_tasks, strict=True):
        counts = f"{import_task['serverImportSuccess']:>10,}{import_task['serverImportFailure']:>8,}"
        name = part["url"].rpartition("/")[2]
        print(f"   {name:<16}{part['size_bytes']:>10,}{part['rows']:>8,}{counts}  {import_task['status']}")
    imported = sum(task["serverImportSuccess"] for task in import_tasks)
    failed = sum(task["serverImportFailure"] for task in import_tasks)
    quarantined = report["rows_quarantined"]
    print()
    print(f"   {report['rows_read']:,} rows = {imported:,} imported + {failed} failed + {quarantined} quarantined")
    print(f"   quarantined, with the reason: {report['quarantine_url']}")
    for result in airflow.xcom(dag_id, run_id, "fetch_failed_records"):
        if result["failed_records"]:
            print(f"   failed at AWS, and why: {result['failed_entries_url'].rpartition('/')[0]}/")
    older = [task["status"] for task in ads.import_tasks()[:before]]
    print(f"   older imports of the inventory: {', '.join(older)}")
    return (imported, failed, quarantined, older) == (5983, 5, 12, ["DELETE_COMPLETE"])


def run_dag(airflow: LocalAirflow, ads: AdsEmulator, dag_id: str) -> tuple[str, str, list[int]]:
    """
    Run a Dag to its end, print a line for each change of a task's state or of an import, and a table of the tasks.

    :return: the run's state and id, and how many processes a deferred task had, every half second.
    """
    run_id = airflow.trigger(dag_id)
    started = time.monotonic()
    told = {f"import  {task['importTaskId'][:18]}  {task['status']}" for task in ads.import_tasks()}
    samples: list[int] = []
    task_instances: list[TaskInstance] = []
    for task_instances in airflow.watch(dag_id, run_id, seconds=240):
        lines = [f"task    {name_of(task):<22}{task.state}" for task in task_instances if task.state]
        lines += [f"import  {task['importTaskId'][:18]}  {task['status']}" for task in ads.import_tasks()]
        for line in lines:
            if line not in told:
                print(f"   {time.monotonic() - started:5.1f} s  {line}", flush=True)
        told.update(lines)
        samples += [len(airflow.processes_of(task)) for task in task_instances if task.state == "deferred"]
    run_state = airflow.run_state(dag_id, run_id)
    say(f"The run ended: {run_state}")
    print(f"   {'task':<22}{'state':<10}{'seconds':>8}")
    for task in task_instances:
        print(f"   {name_of(task):<22}{task.state or '':<10}{task.duration or 0:8.1f}")
    print()
    # A worker says that its task defers, and then its process ends.
    return run_state, run_id, list(dropwhile(bool, samples))


def name_of(task: TaskInstance) -> str:
    """What to call a task instance."""
    return task.task_id if task.map_index < 0 else f"{task.task_id} [{task.map_index}]"


def say(line: str) -> None:
    """Print a step so that it stands out."""
    print(f"\n\033[1m>> {line}\033[0m" if sys.stdout.isatty() else f"\n>> {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
