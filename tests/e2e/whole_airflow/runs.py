"""Dag runs, repeated if a known race condition in Airflow spoiled them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

from airflow_provider_ads.emulator import AdsEmulator
from tests.support.airflow import LocalAirflow, TaskInstance

__all__ = ["Run", "Runs", "end_imports_once_deferred"]


class Run:
    """
    A finished Dag run.

    :param airflow: the Airflow that it ran on.
    :param dag_id: the id of the Dag.
    :param run_id: the id of the run.
    """

    def __init__(self, airflow: LocalAirflow, dag_id: str, run_id: str) -> None:
        self.airflow = airflow
        self.dag_id = dag_id
        self.run_id = run_id
        self.state = airflow.run_state(dag_id, run_id)
        self.task_instances = airflow.task_instances(dag_id, run_id)

    def task(self, task_id: str) -> TaskInstance:
        """Return the task instance of a task that is not mapped."""
        (found,) = [task for task in self.task_instances if task.task_id == task_id]
        return found

    def events(self, task_id: str) -> list[str]:
        """Return the entries of Airflow's audit log about a task, oldest first."""
        return self.airflow.events(self.dag_id, self.run_id, task_id)

    def states(self) -> dict[str, str | None]:
        """Return the states of the tasks that are not mapped."""
        return {task.task_id: task.state for task in self.task_instances}

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return an XCom of a task."""
        return self.airflow.xcom(self.dag_id, self.run_id, task_id, key, map_index)

    def log(self, task_id: str) -> str:
        """Return everything that workers and the triggerer logged for a task."""
        return task_log(self.airflow, self.dag_id, self.run_id, task_id)


class Runs:
    """
    Run Dags in the background.

    Airflow 3.0 to 3.3 can mistake a task that returns from a deferral or a rescheduling for one that was killed, if
    the scheduler does not know yet that its worker ended (https://github.com/apache/airflow/issues/71580). On a busy
    machine, a worker can also fail to reach the API server before its task starts. Such a run proves nothing about
    the provider, so it is repeated.

    :param airflow: the Airflow that runs the Dags.
    :param threads: the threads that watch the runs.
    """

    def __init__(self, airflow: LocalAirflow, threads: ThreadPoolExecutor) -> None:
        self.airflow = airflow
        self.submit = threads.submit
        # Many simultaneous requests would keep the API server from answering the tasks in time.
        self._triggering = Lock()

    def start(
        self,
        dag_id: str,
        conf: Callable[[], dict[str, Any]] = dict,
        while_running: Callable[[str, list[TaskInstance]], Any] = lambda run_id, task_instances: None,
    ) -> Future[Run]:
        """Run a Dag in the background; see :meth:`run`."""
        return self.submit(self.run, dag_id, conf, while_running)

    def run(
        self,
        dag_id: str,
        conf: Callable[[], dict[str, Any]] = dict,
        while_running: Callable[[str, list[TaskInstance]], Any] = lambda run_id, task_instances: None,
    ) -> Run:
        """
        Run a Dag to its end.

        :param conf: returns the configuration of a new run.
        :param while_running: is called repeatedly with the run id and the task instances.
        """
        for _ in range(3):
            with self._triggering:
                run_id = self.airflow.trigger(dag_id, **conf())
            for task_instances in self.airflow.watch(dag_id, run_id, seconds=600):
                while_running(run_id, task_instances)
                # More frequent queries for all runs would keep the machine busy.
                time.sleep(1)
            if not self._is_spoiled(dag_id, run_id):
                return Run(self.airflow, dag_id, run_id)
        raise AssertionError(f"Airflow lost track of a queued task of {dag_id} three times in a row.")

    def _is_spoiled(self, dag_id: str, run_id: str) -> bool:
        return bool(
            self.airflow.query(
                "select 1 from log where dag_id = ? and run_id = ? and event = ? and extra like ?",
                dag_id,
                run_id,
                "state mismatch",
                "%but the task instance's state attribute is queued%",
            )
        )


def task_log(airflow: LocalAirflow, dag_id: str, run_id: str, task_id: str) -> str:
    """Return everything that workers and the triggerer have logged for a task so far."""
    folder = airflow.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
    return "".join(path.read_text() for path in sorted(folder.rglob("*.log*")))


def end_imports_once_deferred(ads: AdsEmulator, *task_ids: str) -> Callable[[str, list[TaskInstance]], None]:
    """Return a callback for :meth:`Runs.run` that ends an emulator's imports once these tasks are deferred."""

    def end(run_id: str, task_instances: list[TaskInstance]) -> None:
        if {task.task_id for task in task_instances if task.state == "deferred"} >= set(task_ids):
            ads.import_seconds = 0.01

    return end
