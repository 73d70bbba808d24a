"""Runs of Dags, and kills among them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psutil

from tests.resilience.chaos.points import BETWEEN
from tests.resilience.chaos.recording import RecordingEmulator
from tests.support.airflow import LocalAirflow

__all__ = ["KILLS", "Chaos", "Started", "in_turn"]

#: Kills at each point, and some times as many of tasks that halt.
KILLS = int(os.environ.get("CHAOS_KILLS", "1"))

#: Seconds after the last kill until every task has ended.
PATIENCE = 120


class Started(NamedTuple):
    """A run, and its configuration."""

    dag_id: str
    run_id: str
    conf: dict[str, Any]


class Chaos:
    """
    Runs of Dags, and kills among them.

    :param airflow: where they run.
    :param ads: what they call.
    :ivar prepare: makes the configuration of a run, for its Dag and its point.
    :ivar runs: the runs by point.
    :ivar kills: how many there were, by point and by what was killed: a Dag's task, or a component of Airflow.
    """

    def __init__(self, airflow: LocalAirflow, ads: RecordingEmulator) -> None:
        self.airflow = airflow
        self.ads = ads
        self.prepare: Callable[[str, str], dict[str, Any]] = lambda dag_id, point: {}
        self.runs: dict[str, list[Started]] = {}
        self.kills: Counter[tuple[str, str]] = Counter()
        self.last_job = {"SchedulerJob": 0, "TriggererJob": 0}
        self._last_kill = time.monotonic()

    def killed(self, point: str) -> Counter[str]:
        """What was killed at a point, and how often."""
        return Counter({victim: count for (at, victim), count in self.kills.items() if at == point})

    def start_runs(self, point: str, dags: Sequence[str]) -> None:
        """Start runs that belong to a point."""
        for dag_id in dags:
            conf = self.prepare(dag_id, point)
            run_id = self.airflow.trigger(dag_id, halt=point, **conf)
            self.runs.setdefault(point, []).append(Started(dag_id, run_id, conf))

    def kill_halting_tasks(self, point: str, dags: Sequence[str]) -> None:
        """Start runs whose first try halts at a point, and kill each of them there."""
        if point == BETWEEN:
            # The answers of other runs would be held back too.
            self.wait_until(lambda: not self.unfinished(), "the runs before have ended")
            for operation in ("BatchDeleteImportData", "StartImportTask"):
                self.ads.inject("hold", operation=operation)
        self.start_runs(point, dags)
        folder = Path(self.airflow.environment["CHAOS_FOLDER"])
        deadline = time.monotonic() + 60 + 10 * len(dags)
        while left := Counter(dags) - self.killed(point):
            assert time.monotonic() < deadline, f"{left.total()} of {len(dags)} tasks were not killed {point}"
            halting = list(folder.iterdir())
            if not halting and not self.unfinished():
                # A first try that Airflow itself took for dead does not get there.
                self.start_runs(point, list(left.elements()))
            # Not every call that was announced has arrived yet.
            if point != BETWEEN or self.ads.held() == self.killed(point).total() + len(halting):
                for path in halting:
                    process_id, dag_id = path.name.split()
                    os.kill(int(process_id), signal.SIGKILL)
                    path.unlink()
                    self._count(point, dag_id)
            time.sleep(0.1)
        self.ads.clear_faults()

    def kill_triggerer(self, point: str, count: int, dags: Sequence[str]) -> None:
        """Kill the triggerer while it has triggers of these Dags to run."""
        # Retries that wait on a worker would hold all of them while nothing ends.
        self.wait_until(lambda: not self.unfinished(), "the runs before have ended")
        with self._nothing_ends():
            self.start_runs(point, dags)
            for _ in range(count):
                self.wait_until(
                    lambda: self.airflow.query(
                        "select 1 from trigger where triggerer_id > ?", self.last_job["TriggererJob"]
                    ),
                    "the triggerer has triggers to run",
                )
                self._kill_component(point, "triggerer")

    def kill_scheduler(self, point: str, count: int, dags: Sequence[str]) -> None:
        """Kill the scheduler while tasks of these Dags are queued or running, each time anew."""
        for _ in range(count):
            self.start_runs(point, dags)
            self.wait_until(self.tasks_at_work, "a task is queued or running")
            self._kill_component(point, "scheduler")

    def kill_everything(self, point: str, count: int, dags: Sequence[str]) -> None:
        """Kill every process of Airflow while tasks of these Dags are queued or running, each time anew."""
        for _ in range(count):
            self.start_runs(point, dags)
            self.wait_until(self.tasks_at_work, "a task is queued or running")
            self.airflow.kill()
            self._remember(*self.last_job)
            self.airflow.start_components()
            self._count(point, "everything")

    def kill_at_random(self, point: str, count: int, dags: Sequence[str]) -> None:
        """Kill tasks, the triggerer and the scheduler at random instants, while these Dags run by turns."""
        instants = random.Random(count)
        while self.killed(point).total() < count:
            self.start_runs(point, [instants.choice(dags)])
            time.sleep(instants.uniform(0, 2))
            target = instants.choice(["task", "task", "task", "triggerer", "scheduler"])
            if target == "task":
                self._kill_a_task(point)
            else:
                self._kill_component(point, target)

    def settle(self) -> float:
        """Wait until all runs have ended, or long enough; return the seconds since the last kill."""
        while self.unfinished() and time.monotonic() < self._last_kill + PATIENCE:
            time.sleep(0.5)
        return time.monotonic() - self._last_kill

    def unfinished(self) -> list[str]:
        """The runs that have not ended."""
        rows = self.airflow.query("select dag_id, run_id, state from dag_run where state not in ('success', 'failed')")
        return [" ".join(map(str, row)) for row in rows]

    def tasks_at_work(self) -> object:
        """Whether a task is queued or running that was queued by the scheduler of now."""
        return self.airflow.query(
            "select 1 from task_instance where state in ('queued', 'running') and queued_by_job_id > ?",
            self.last_job["SchedulerJob"],
        )

    @staticmethod
    def wait_until(true: Callable[[], object], what: str) -> None:
        """Wait until something is the case."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, f"not yet after {PATIENCE} s: {what}"
            time.sleep(0.1)

    def _kill_a_task(self, point: str) -> None:
        for process in self.airflow.processes():
            with suppress(psutil.Error):
                title, _, task_instance_id = " ".join(process.cmdline()).strip().partition(" -- ")
                if title == "airflow worker" and task_instance_id.startswith("0"):
                    process.kill()
                    # Airflow may have given it up already, and gives the next try another id.
                    rows = self.airflow.query(
                        "select id, dag_id from task_instance "
                        "union select task_instance_id, dag_id from task_instance_history"
                    )
                    self._count(point, next(dag_id for id_, dag_id in rows if UUID(id_) == UUID(task_instance_id)))
                    return

    def _kill_component(self, point: str, name: str) -> None:
        self.airflow.kill_component(name)
        self._remember({"scheduler": "SchedulerJob", "triggerer": "TriggererJob"}[name])
        self.airflow.start_component(name)
        self._count(point, name)

    def _remember(self, *job_types: str) -> None:
        """Remember what is dead, to tell it from what starts now."""
        for job_type in job_types:
            ((self.last_job[job_type],),) = self.airflow.query("select max(id) from job where job_type = ?", job_type)

    def _count(self, point: str, victim: str) -> None:
        self.kills[point, victim] += 1
        self._last_kill = time.monotonic()

    @contextmanager
    def _nothing_ends(self) -> Iterator[None]:
        before = self.ads.import_seconds, self.ads.delete_seconds
        self.ads.import_seconds = self.ads.delete_seconds = 3600
        try:
            yield
        finally:
            self.ads.import_seconds, self.ads.delete_seconds = before


def in_turn(dags: Sequence[str], count: int) -> list[str]:
    """So many Dags, the first ones again after the last."""
    return list(islice(cycle(dags), count))
