"""
What an import costs the workers of a whole Airflow, by the way in which a Dag waits for it.

Each import takes 30 seconds from its own start, whatever else is imported, and is looked at every 5. One sensor waits
for a batch of imports; in the other ways there are as many imports as Airflow has worker slots, so that no wait has to
wait for a slot. The figures are for one import:

- processes: how often a worker took up a task, by Airflow's audit log. Each time is a process of its own.
- CPU: what the executor's workers took and the processes that they had started, by the kernel's account, from when all
  of them were idle to when they are again. It is all that a task's process takes from its fork to its end, what it
  imports included, and all that its supervisor takes for it: the fork, heartbeats, logs, and calls of the API. It is
  neither what API server, scheduler, Dag processor and triggerer take, nor what a worker takes before its first task,
  for which there is a first run that does not count.
- slot: seconds from when a worker took up a task until the task had ended or was deferred, by the audit log. The more
  slots share a core, the longer.

A poking sensor takes the more the longer an import takes; the other ways do not. The same work takes more CPU on a
machine that is busy with something else. Exits with 1 if a run failed, or a number of imports or processes is not what
it should be.
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
from tests.support.airflow import PATIENCE, LocalAirflow

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]

#: Worker slots of Airflow, and imports of each way but the batch.
SLOTS = 4

IMPORT_TIME = timedelta(seconds=30)

HEADINGS = ("imports", "processes", "CPU s", "slot s")


@dataclass(frozen=True)
class Cost:
    """
    What a run took.

    :param imports: imports that it started.
    :param processes: worker processes.
    :param cpu: seconds of CPU of the workers.
    :param slot: seconds that worker slots were held, all together.
    """

    imports: int
    processes: int
    cpu: float
    slot: float

    def for_one(self) -> tuple[float, float, float]:
        """Return processes, CPU and slot for one import."""
        return self.processes / self.imports, self.cpu / self.imports, self.slot / self.imports


def main() -> int:
    """Measure all, print a table and verdicts, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.task_cost", description=__doc__)
    parser.add_argument("--batch", type=int, default=50, help="imports that one sensor waits for")
    batch = parser.parse_args().batch
    if sys.platform != "linux":
        parser.error("Only Linux tells what processes took that have ended")
    # The imports and processes of each Dag, as they should be.
    expected = {
        "poking_sensor": (SLOTS, 2 * SLOTS),
        "deferrable_sensor": (SLOTS, 3 * SLOTS),
        "waiting_operator": (SLOTS, 2 * SLOTS),
        "one_sensor": (batch, batch + 2),
    }
    costs = {}
    print_row("for one import", HEADINGS)
    # Left alone it would end one import after the other.
    with AdsEmulator(import_seconds=3600) as ads:
        environment = {
            "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
            "AIRFLOW__CORE__PARALLELISM": str(SLOTS),
            # Airflow's default, because every heartbeat takes CPU.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
            "BENCHMARK_BATCH": str(batch),
            "BENCHMARK_FILES": str(SLOTS),
        }
        with LocalAirflow(ROOT / ".airflow-benchmark", ROOT / "benchmarks" / "dags", environment) as airflow:
            # It holds all workers at once, so each of them has its first task.
            measure(airflow, ads, "poking_sensor")
            for dag_id in expected:
                cost = costs[dag_id] = measure(airflow, ads, dag_id)
                print_row(dag_id, (str(cost.imports), *(f"{figure:.2f}" for figure in cost.for_one())))
    least = costs["one_sensor"].for_one()
    for dag_id in list(expected)[:-1]:
        ratios = (figure / of_one for figure, of_one in zip(costs[dag_id].for_one(), least, strict=True))
        print_row(f"{dag_id} / one_sensor", ("", *(f"{ratio:.2f}" for ratio in ratios)))
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
    Run a Dag, and end each import that it starts when it is time.

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
        raise RuntimeError(f"The run of {dag_id} failed: look at the logs in {airflow.home / 'logs'}")
    cpu = cpu_of_workers(airflow)
    events = airflow.query("select event, dttm from log where dag_id = ? and run_id = ?", dag_id, run_id)
    taken_up = [datetime.fromisoformat(at) for event, at in events if event == "running"]
    let_go = [datetime.fromisoformat(at) for event, at in events if event in {"deferred", "success"}]
    # Whichever of them belong together, the sum is the same.
    held = sum((end - start for start, end in zip(taken_up, let_go, strict=True)), timedelta())
    return Cost(
        imports=len(ads.import_tasks()) - imports_before,
        processes=len(taken_up),
        # A worker that died would have taken its account with it, and is missed here.
        cpu=sum(cpu[pid] - before for pid, before in cpu_before.items()),
        slot=held.total_seconds(),
    )


def cpu_of_workers(airflow: LocalAirflow) -> dict[int, float]:
    """
    Wait until all workers are idle; return the seconds of CPU of each and of what it had started, by process.

    :raises TimeoutError: they are not idle in time.
    """
    deadline = time.monotonic() + PATIENCE
    while len(workers := airflow.idle_workers()) < SLOTS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Airflow's workers are busy: look at the logs in {airflow.home / 'logs'}")
        time.sleep(0.5)
    # User and system, and then both of the processes that have ended.
    return {worker.pid: sum(worker.cpu_times()[:4]) for worker in workers}


def print_row(name: str, cells: Sequence[str]) -> None:
    """Print a row of the table, at once."""
    print(f"{name:30}", *(f"{cell:>9}" for cell in cells), sep="  ", flush=True)


if __name__ == "__main__":
    sys.exit(main())
