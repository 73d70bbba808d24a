"""A wait in the triggerer holds no worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import dropwhile
from threading import Event, Thread
from typing import Any

import psutil
import pytest

from airflow_provider_ads.emulator import AdsEmulator
from tests.e2e.whole_airflow.runs import Runs
from tests.support.airflow import LocalAirflow, TaskInstance


def test_a_deferred_wait_holds_no_process(
    airflow: LocalAirflow, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    samples: list[int] = []

    def sample(run_id: str, task_instances: list[TaskInstance]) -> None:
        samples.extend(len(airflow.processes_of(task)) for task in task_instances if task.state == "deferred")

    assert runs.run("one_wait", while_running=sample).state == "success"
    with capsys.disabled():
        print(f"\nprocesses of a deferred task, sampled every 0.5 s: {samples}")
    # A worker says that its task defers, and then its process ends.
    waiting = list(dropwhile(bool, samples))
    assert len(waiting) > 8
    assert set(waiting) == {0}


def test_twenty_imports_and_one_wait_take_22_worker_processes(
    airflow: LocalAirflow, runs: Runs, aws: dict[str, AdsEmulator], capsys: pytest.CaptureFixture[str]
) -> None:
    ads = aws["aws_slow"]

    def end_the_imports_once_deferred(run_id: str, task_instances: list[TaskInstance]) -> None:
        if any((task.task_id, task.state) == ("wait", "deferred") for task in task_instances):
            ads.import_seconds = 0.01

    def imports_that_last() -> dict[str, Any]:
        ads.import_seconds = 3600
        return {}

    with sampled_workers(airflow) as workers:
        run = runs.run("one_wait_for_a_batch", imports_that_last, end_the_imports_once_deferred)
    imports_that_last()
    tasks = {task.id: task.task_id for task in run.task_instances}
    processes = Counter(tasks[task_instance_id] for task_instance_id, _ in workers if task_instance_id in tasks)
    with capsys.disabled():
        print(f"\nworker processes of 20 mapped imports and one wait: {dict(processes)}")
    assert run.state == "success"
    assert run.events("wait") == ["running", "deferred", "running", "success"]
    assert [run.events("start", index) for index in range(20)] == [["running", "success"]] * 20
    assert processes == {"start": 20, "wait": 2}
    ids = [run.xcom("start", map_index=index) for index in range(20)]
    assert [summary["importTaskId"] for summary in run.xcom("wait")] == ids


@contextmanager
def sampled_workers(airflow: LocalAirflow) -> Iterator[set[tuple[str, int]]]:
    """Collect, all the time, the task instances that processes work on: their ids, and the processes'."""
    workers: set[tuple[str, int]] = set()
    stop = Event()

    def sample() -> None:
        while not stop.wait(0.05):
            for process in airflow.processes():
                with suppress(psutil.Error):
                    title, _, task_instance_id = " ".join(process.cmdline()).strip().partition(" -- ")
                    if title == "airflow worker":
                        workers.add((task_instance_id, process.pid))

    sampler = Thread(target=sample)
    sampler.start()
    try:
        yield workers
    finally:
        stop.set()
        sampler.join()
