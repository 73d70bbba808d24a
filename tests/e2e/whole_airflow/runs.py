"""Runs of Dags, repeated where a race of Airflow's own spoilt them."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from tests.support.airflow import LocalAirflow, TaskInstance

__all__ = ["Run", "Runs"]


class Run:
    """
    A run of a Dag that has ended.

    :param airflow: where it ran.
    :param dag_id: the Dag.
    :param run_id: the run.
    """

    def __init__(self, airflow: LocalAirflow, dag_id: str, run_id: str) -> None:
        self.airflow = airflow
        self.dag_id = dag_id
        self.run_id = run_id
        self.state = airflow.run_state(dag_id, run_id)
        self.task_instances = airflow.task_instances(dag_id, run_id)

    def task(self, task_id: str, map_index: int = -1) -> TaskInstance:
        """The task instance of that name."""
        (found,) = [task for task in self.task_instances if (task.task_id, task.map_index) == (task_id, map_index)]
        return found

    def events(self, task_id: str, map_index: int = -1) -> list[str]:
        """What Airflow's audit log says of a task instance, oldest first."""
        return self.airflow.events(self.dag_id, self.run_id, task_id, map_index)

    def states(self) -> dict[str, str | None]:
        """The states of the tasks that are not mapped."""
        return {task.task_id: task.state for task in self.task_instances}

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """What a task returned or pushed."""
        return self.airflow.xcom(self.dag_id, self.run_id, task_id, key, map_index)

    def log(self, task_id: str) -> str:
        """What every process logged about a task."""
        folder = self.airflow.home / "logs" / f"dag_id={self.dag_id}" / f"run_id={self.run_id}"
        files = sorted(path for path in folder.rglob("*.log*") if f"task_id={task_id}" in path.parts)
        return "".join(path.read_text() for path in files)


class Runs:
    """
    Runs Dags on one Airflow.

    Airflow 3.0 to 3.3 may take a task that comes back from a deferral or a rescheduling for one that was killed, when
    the scheduler has not heard yet that its worker ended (https://github.com/apache/airflow/issues/71580). Such a
    run says nothing about the provider, so it is counted and repeated.

    :param airflow: where they run.
    """

    def __init__(self, airflow: LocalAirflow) -> None:
        self.airflow = airflow
        self.count = 0
        self.mismatches = 0
        # Airflow's API server locks itself out of SQLite when many runs are asked for at the same moment.
        self._triggering = Lock()

    def run(
        self,
        dag_id: str,
        conf: Callable[[], dict[str, Any]] = dict,
        while_running: Callable[[str, list[TaskInstance]], None] = lambda run_id, task_instances: None,
        seconds: float = 900,
    ) -> Run:
        """
        Run a Dag to its end.

        :param conf: makes the configuration of a run.
        :param while_running: is called with the run's id and its task instances, twice a second.
        :param seconds: how long a run may take.
        """
        for _ in range(3):
            with self._triggering:
                run_id = self.airflow.trigger(dag_id, **conf())
            for task_instances in self.airflow.watch(dag_id, run_id, seconds):
                while_running(run_id, task_instances)
            run = Run(self.airflow, dag_id, run_id)
            self.count += 1
            ((mismatches,),) = self.airflow.query(
                "select count(*) from log where dag_id = ? and run_id = ? and event = ? and extra like ?",
                dag_id,
                run_id,
                "state mismatch",
                "%finished with state success, but the task instance's state attribute is queued%",
            )
            if not mismatches:
                return run
            self.mismatches += 1
        raise AssertionError(f"Airflow took a deferred task of {dag_id} for one that was killed, three times in a row")
