"""Kill what executes Dag runs: tasks, components of Airflow, machines, and the broker."""

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

from tests.resilience.kill_points import HALT_FOLDER, KillPoint, Moment, Victim
from tests.support.airflow import LocalAirflow
from tests.support.recording_emulator import RecordingEmulator

__all__ = ["DagRun", "DagRunKiller", "Kill", "Killer", "in_turn", "wait_until"]

#: Timeout in seconds for a condition, on a machine that may be busy.
TIMEOUT = 300


class Kill(NamedTuple):
    """
    One kill.

    :param point: the kill point.
    :param name: the Dag whose task was killed, or the name of the component.
    :param intentions: the intentions that the victim was carrying out, if they are known.
    """

    point: KillPoint
    name: str
    intentions: tuple[Any, ...] = ()


class Killer:
    """
    Kills components of Airflow and remembers each kill.

    :param airflow: the Airflow.
    :ivar kills: all kills, oldest first.
    """

    def __init__(self, airflow: LocalAirflow) -> None:
        self.airflow = airflow
        self.kills: list[Kill] = []

    def kills_at(self, point: KillPoint) -> Counter[str]:
        """Return the number of kills at a kill point by what was killed."""
        return Counter(kill.name for kill in self.kills if kill.point == point)

    def kill_component(self, point: KillPoint, name: str) -> None:
        """Kill a component or everything, and start it again."""
        if name == Victim.EVERYTHING:
            self.airflow.kill()
            self.record(Kill(point, name))
            self.airflow.start_components()
        else:
            self.airflow.kill_component(name)
            self.record(Kill(point, name))
            self.airflow.start_component(name)

    def kill_machine(
        self, point: KillPoint, name: str, intentions: Sequence[Any], before_restart: Callable[[], object]
    ) -> None:
        """Kill a component with every process that it started, and start it again after a call of a function."""
        self.airflow.kill_machine(name)
        self.record(Kill(point, name, tuple(intentions)))
        before_restart()
        self.airflow.start_component(name)

    def record(self, kill: Kill) -> None:
        """Remember a kill."""
        self.kills.append(kill)


class DagRun(NamedTuple):
    """A Dag run and its configuration."""

    dag_id: str
    run_id: str
    conf: dict[str, Any]


class DagRunKiller(Killer):
    """
    Starts Dag runs and kills what executes them.

    :param airflow: the Airflow that executes the runs.
    :param ads: the emulator that they call.
    :param make_conf: returns the configuration of a run of a Dag.
    :ivar runs: the runs by kill point.
    """

    def __init__(
        self, airflow: LocalAirflow, ads: RecordingEmulator, make_conf: Callable[[str], dict[str, Any]]
    ) -> None:
        super().__init__(airflow)
        self.ads = ads
        self.make_conf = make_conf
        self.runs: dict[KillPoint, list[DagRun]] = {}
        self._dead_jobs = {"SchedulerJob": 0, "TriggererJob": 0}

    def start_runs(self, point: KillPoint, dags: Sequence[str]) -> None:
        """Start runs that belong to a kill point. Their first attempts halt there if the victim is a task."""
        halt = point.moment if point.victim is Victim.TASK else Moment.NEVER
        for dag_id in dags:
            conf = self.make_conf(dag_id)
            run_id = self.airflow.trigger(dag_id, halt=halt, **conf)
            self.runs.setdefault(point, []).append(DagRun(dag_id, run_id, conf))

    def kill_halting_tasks(self, moment: Moment, dags: Sequence[str]) -> None:
        """Start runs whose first attempt halts at a moment, and kill each of them there."""
        point = KillPoint(Victim.TASK, moment)
        self.start_runs(point, dags)
        folder = Path(self.airflow.environment[HALT_FOLDER])
        deadline = time.monotonic() + 180 + 20 * len(dags)
        while remaining := Counter(dags) - self.kills_at(point):
            assert time.monotonic() < deadline, f"{remaining.total()} of {len(dags)} kills missing: {point}"
            halting = list(folder.iterdir())
            if not halting and not self.unfinished():
                # Airflow itself has declared some first attempts dead before they reached the kill point.
                self.start_runs(point, list(remaining.elements()))
            for path in halting:
                process_id, dag_id = path.name.split()
                os.kill(int(process_id), signal.SIGKILL)
                path.unlink()
                self.record(Kill(point, dag_id))
            time.sleep(0.2)

    def kill_triggerer(self, count: int, dags: Sequence[str]) -> None:
        """Kill the triggerer while the tasks of these Dags are deferred."""
        # Retries that wait on a worker would occupy every slot while nothing ends.
        self.wait_for_runs()
        point = KillPoint(Victim.TRIGGERER, Moment.WAITING)
        with self._nothing_ends():
            self.start_runs(point, dags)
            for _ in range(count):
                wait_until(self._new_triggerer_is_busy, "the triggerer runs triggers")
                self.kill_component(point, Victim.TRIGGERER)

    def kill_while_busy(self, victim: Victim, count: int, dags: Sequence[str]) -> None:
        """Kill the scheduler or everything while tasks are queued or running; start new runs for each kill."""
        point = KillPoint(victim, Moment.BUSY)
        for _ in range(count):
            self.start_runs(point, dags)
            wait_until(self._new_scheduler_is_busy, "a task is queued or running")
            self.kill_component(point, victim)

    def kill_at_random(self, count: int, dags: Sequence[str]) -> None:
        """Kill tasks, the triggerer and the scheduler at random moments while these Dags run."""
        point = KillPoint(Victim.ANY, Moment.RANDOM)
        choices = random.Random(count)
        while self.kills_at(point).total() < count:
            self.start_runs(point, [choices.choice(dags)])
            time.sleep(choices.uniform(0, 2))
            victim = choices.choice([*3 * [Victim.TASK], Victim.TRIGGERER, Victim.SCHEDULER])
            if victim is Victim.TASK:
                self._kill_a_task(point)
            else:
                self.kill_component(point, victim)

    def wait_for_runs(self) -> None:
        """Wait until all runs have ended."""
        wait_until(lambda: not self.unfinished(), "all runs have ended", obstacle=self.unfinished)

    def unfinished(self) -> object:
        """Return the runs that have not ended, with the states of their tasks."""
        return self.airflow.query(
            "select dag_id, run_id, task_instance.state from dag_run left join task_instance using (dag_id, run_id) "
            "where dag_run.state not in ('success', 'failed')"
        )

    def _new_scheduler_is_busy(self) -> object:
        return self.airflow.query(
            "select 1 from task_instance where state in ('queued', 'running') and queued_by_job_id > ?",
            self._dead_jobs["SchedulerJob"],
        )

    def _new_triggerer_is_busy(self) -> object:
        return self.airflow.query("select 1 from trigger where triggerer_id > ?", self._dead_jobs["TriggererJob"])

    def _kill_a_task(self, point: KillPoint) -> None:
        for process in self.airflow.processes():
            with suppress(psutil.Error):
                title, _, task_instance_id = " ".join(process.cmdline()).strip().partition(" -- ")
                if title == "airflow worker" and task_instance_id.startswith("0"):
                    process.kill()
                    # If Airflow had already declared the attempt dead, its id is in the history.
                    ((dag_id,),) = self.airflow.query(
                        "select dag_id from task_instance where replace(id, '-', '') = ?1 union "
                        "select dag_id from task_instance_history where replace(task_instance_id, '-', '') = ?1",
                        UUID(task_instance_id).hex,
                    )
                    self.record(Kill(point, dag_id))
                    return

    def record(self, kill: Kill) -> None:
        super().record(kill)
        for job_type in self._dead_jobs:
            if kill.name in (Victim.EVERYTHING, job_type.removesuffix("Job").lower()):
                # The ids of the jobs that start from now on are greater.
                ((newest,),) = self.airflow.query("select max(id) from job where job_type = ?", job_type)
                self._dead_jobs[job_type] = newest

    @contextmanager
    def _nothing_ends(self) -> Iterator[None]:
        """Let no import and no deletion end."""
        before = self.ads.import_seconds, self.ads.delete_seconds
        self.ads.import_seconds = self.ads.delete_seconds = 3600
        try:
            yield
        finally:
            self.ads.import_seconds, self.ads.delete_seconds = before


def wait_until(
    condition: Callable[[], object],
    description: str,
    seconds: float = TIMEOUT,
    obstacle: Callable[[], object] = str,
) -> None:
    """Wait until a condition holds; its description and obstacle are for the error if it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not after {seconds:.0f} s: {description}. {obstacle()}"
        time.sleep(0.2)


def in_turn(dags: Sequence[str], count: int) -> list[str]:
    """Return this many Dags, starting over after the last one."""
    return list(islice(cycle(dags), count))
