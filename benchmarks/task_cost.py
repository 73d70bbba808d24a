"""
Measure what an import costs the workers of a whole Airflow, for five ways in which a Dag can wait for it.

Each import takes 30 seconds from its own start and is polled every 5. With ``one_sensor``, a sensor waits for a batch
of imports that a mapped task starts; with ``one_task``, a task starts the batch and waits for it. With the other ways
there are as many imports as Airflow has worker slots, so no task waits for a slot. The figures are per import:

- processes: how many times a worker started to execute a task, from Airflow's audit log. Each has its own process.
- CPU: seconds used by the executor's workers and the processes that they started, as the kernel counts them, from one
  moment at which all workers are idle to the next. It includes everything that a task's process does from fork to end,
  such as imports, and its supervisor's work: the fork, heartbeats, logs and API calls. It excludes API server,
  scheduler, Dag processor and triggerer, and what a worker does before its first task, for which an uncounted run comes
  first.
- slot: seconds from the start of a task's execution until the task ended or was deferred, from the audit log. It is
  longer if more slots share a core.

With a poking sensor, longer imports cost more; with the other ways they do not. On a busy machine the same work takes
more CPU. The exit status is 1 if a run fails, or if a number of imports or processes is not the expected one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow_provider_ads.emulator import AdsEmulator
from tests.support.airflow import TIMEOUT, LocalAirflow

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]

#: Airflow's worker slots, and the number of imports except in the batch.
SLOTS = 4

IMPORT_TIME = timedelta(seconds=30)

HEADINGS = ("imports", "processes", "CPU s", "slot s")

#: Pairs of Dags to compare.
RATIOS = (
    ("poking_sensor", "one_sensor"),
    ("deferrable_sensor", "one_sensor"),
    ("waiting_operator", "one_sensor"),
    ("one_sensor", "one_task"),
)


@dataclass(frozen=True)
class Cost:
    """
    The cost of a run.

    :param imports: number of imports that it started.
    :param processes: number of processes that executed tasks.
    :param cpu: seconds of CPU of the workers.
    :param slot: sum of the seconds for which worker slots were occupied.
    """

    imports: int
    processes: int
    cpu: float
    slot: float

    def per_import(self) -> tuple[float, float, float]:
        """Return processes, CPU and slot per import."""
        return self.processes / self.imports, self.cpu / self.imports, self.slot / self.imports


def main() -> int:
    """Measure all ways, print a table and verdicts, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.task_cost", description=__doc__)
    parser.add_argument("--batch", type=int, default=50, help="imports that one sensor or one task waits for")
    batch = parser.parse_args().batch
    if sys.platform != "linux":
        parser.error("needs Linux, which counts the CPU time of processes that have ended")
    # The expected imports and processes of each Dag.
    expected = {
        "poking_sensor": (SLOTS, 2 * SLOTS),
        "deferrable_sensor": (SLOTS, 3 * SLOTS),
        "waiting_operator": (SLOTS, 2 * SLOTS),
        "one_sensor": (batch, batch + 2),
        "one_task": (batch, 2),
    }
    costs = {}
    print_row("per import", HEADINGS)
    # On its own, the emulator would process one import at a time.
    with AdsEmulator(import_seconds=3600) as ads:
        environment = {
            "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
            "AIRFLOW__CORE__PARALLELISM": str(SLOTS),
            # Airflow's default; LocalAirflow has more heartbeats, which would take CPU.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
            "BENCHMARK_BATCH": str(batch),
            "BENCHMARK_FILES": str(SLOTS),
        }
        with LocalAirflow(ROOT / ".airflow-benchmark", ROOT / "benchmarks" / "dags", environment) as airflow:
            # A poking sensor occupies all workers at the same time, so this gives each worker its first task.
            measure(airflow, ads, "poking_sensor")
            for dag_id in expected:
                cost = costs[dag_id] = measure(airflow, ads, dag_id)
                print_row(dag_id, (str(cost.imports), *(f"{figure:.3f}" for figure in cost.per_import())))
    for dag_id, cheaper in RATIOS:
        figures = zip(costs[dag_id].per_import(), costs[cheaper].per_import(), strict=True)
        print_row(f"{dag_id} / {cheaper}", ("", *(f"{figure / least:.2f}" for figure, least in figures)))
    print()
    verdicts = {
        f"{dag_id}: {imports} imports, {processes} processes": (cost.imports, cost.processes) == (imports, processes)
        for (dag_id, cost), (imports, processes) in zip(costs.items(), expected.values(), strict=True)
    }
    for verdict, holds in verdicts.items():
        print("ok    " if holds else "FAILED", verdict)
    return 0 if all(verdicts.values()) else 1


def measure(airflow: LocalAirflow, ads: AdsEmulator, dag_id: str) -> Cost:
    """
    Run a Dag, and end each import that it starts after :data:`IMPORT_TIME`.

    :raises RuntimeError: the run failed.
    """
    imports_before = len(ads.import_tasks())
    cpu_before = cpu_of_workers(airflow)
    run_id = airflow.trigger(dag_id)
    for _ in airflow.watch(dag_id, run_id, seconds=1200):
        for task in ads.import_tasks():
            if task["status"] == "IMPORT_IN_PROGRESS" and datetime.now(UTC) - task["importRequestTime"] >= IMPORT_TIME:
                ads.update_import_task(task["importTaskId"], status="IMPORT_COMPLETE")
    if airflow.run_state(dag_id, run_id) != "success":
        raise RuntimeError(f"The run of {dag_id} failed: see the logs in {airflow.home / 'logs'}")
    cpu = cpu_of_workers(airflow)
    events = airflow.query("select event, dttm from log where dag_id = ? and run_id = ?", dag_id, run_id)
    started = [datetime.fromisoformat(at) for event, at in events if event == "running"]
    ended = [datetime.fromisoformat(at) for event, at in events if event in {"deferred", "success"}]
    # The sum is right even if a start and an end that are paired here belong to different tasks.
    occupied = sum((end - start for start, end in zip(started, ended, strict=True)), timedelta())
    return Cost(
        imports=len(ads.import_tasks()) - imports_before,
        processes=len(started),
        # A worker that died has no CPU time any more, which is a KeyError here.
        cpu=sum(cpu[pid] - before for pid, before in cpu_before.items()),
        slot=occupied.total_seconds(),
    )


def cpu_of_workers(airflow: LocalAirflow) -> dict[int, float]:
    """
    Wait until all workers are idle; return the seconds of CPU of each, including the processes that it started.

    :raises TimeoutError: some are still busy.
    """
    deadline = time.monotonic() + TIMEOUT
    while len(workers := airflow.idle_workers()) < SLOTS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Airflow's workers are still busy: see the logs in {airflow.home / 'logs'}")
        time.sleep(0.5)
    # User and system time, first of the worker, then of the processes that it started and that have ended.
    return {worker.pid: sum(worker.cpu_times()[:4]) for worker in workers}


def print_row(name: str, cells: Sequence[str]) -> None:
    """Print a row of the table immediately."""
    print(f"{name:30}", *(f"{cell:>9}" for cell in cells), sep="  ", flush=True)


if __name__ == "__main__":
    sys.exit(main())
