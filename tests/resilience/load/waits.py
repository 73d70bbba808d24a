"""Runs of Dags in which hundreds of tasks are deferred at once, and what such a run leaves behind."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import boto3

from airflow_provider_ads.emulator import AdsEmulator
from tests.resilience.load.blocking import CAUSES, Blocking, Span, blockings
from tests.resilience.load.notes import read_notes
from tests.support.airflow import LocalAirflow, TaskInstance

__all__ = ["CONNECTIONS", "FILES", "TASKS", "Load", "Waits"]

TASKS = int(os.environ.get("LOAD_TASKS", "300"))

#: The Airflow connections that the waits use in turn.
CONNECTIONS = ("aws_a", "aws_b", "aws_c")

#: The run of Airflow's own sensor.
FILES = "Airflow's own sensor"

#: Seconds for which all tasks are deferred before the first wait ends, and then from one end to the next.
QUIET = 30.0
FROM_END_TO_END = 0.3

#: Seconds that a run may take: two executions of each task, on a machine that may have much else to do.
PATIENCE = 600.0 + 20 * TASKS

#: Seconds of an import that goes on until it is told to end.
FOR_EVER = 1_000_000.0


@dataclass(frozen=True)
class Waits:
    """
    A run that has ended, in which all tasks were deferred at once.

    :param airflow: where it ran.
    :param dag_id: its Dag.
    :param run_id: its id.
    :param span: from when to when it ran.
    :param imports: what each task waited for, by its map index: the import's id and name.
    """

    airflow: LocalAirflow
    dag_id: str
    run_id: str
    span: Span
    imports: list[dict[str, Any]]

    def tasks(self) -> list[TaskInstance]:
        """The tasks that waited."""
        return [task for task in self.airflow.task_instances(self.dag_id, self.run_id) if task.task_id == "wait"]

    def results(self) -> dict[int, dict[str, Any]]:
        """What each task returned, by its map index."""
        rows = self.airflow.query(
            "select map_index, value from xcom where dag_id = ? and run_id = ? and task_id = 'wait' and key = ?",
            self.dag_id,
            self.run_id,
            "return_value",
        )
        return {map_index: json.loads(value) for map_index, value in rows}

    def worker_log(self, map_index: int) -> str:
        """What workers wrote into a task's log."""
        return (self._folder(map_index) / "attempt=1.log").read_text()

    def trigger_logs(self, map_index: int) -> dict[int, str]:
        """What triggerers wrote into a task's log, by the id of the triggerer's job."""
        files = self._folder(map_index).glob("attempt=1.log.trigger.*.log")
        return {int(path.name.split(".")[-2]): path.read_text() for path in files}

    def logs(self, map_index: int) -> list[str]:
        """A task's log, which is in several files."""
        return [self.worker_log(map_index), *self.trigger_logs(map_index).values()]

    def misplaced_lines(self, map_index: int) -> list[str]:
        """
        Lines of a task's trigger that Airflow wrote into the triggerer's own log.

        Airflow's ``TriggerRunnerSupervisor`` closes a trigger's log when it hears that the trigger has ended, and when
        it is busy that is before it has read the last lines, which come on another way.
        """
        place = f" map_index={map_index} run_id={self.run_id} task_id=wait "
        lines = self.airflow.log_file("triggerer").read_text(errors="replace").splitlines(keepends=True)
        return [line for line in lines if place in line and "[airflow_provider_ads." in line]

    def seconds_deferred(self) -> list[float]:
        """For how many seconds each task was deferred."""
        rows = self.airflow.query(
            "select event, map_index, dttm from log where dag_id = ? and run_id = ? and task_id = 'wait' order by id",
            self.dag_id,
            self.run_id,
        )
        # The last time that it was running is the one after the deferral.
        times = {(event, map_index): datetime.fromisoformat(time) for event, map_index, time in rows}
        return [(times["running", index] - times["deferred", index]).total_seconds() for index in range(TASKS)]

    def first_looks(self) -> Iterator[tuple[int, str, float]]:
        """For each log of a triggerer: the triggerer's job, the connection, and when the wait first saw its import."""
        for index in range(len(self.imports)):
            for job, text in self.trigger_logs(index).items():
                lines = map(json.loads, text.splitlines())
                if saw := next((line for line in lines if line["event"].startswith("Import ")), None):
                    time = datetime.fromisoformat(saw["timestamp"]).timestamp()
                    yield job, CONNECTIONS[index % len(CONNECTIONS)], time

    def _folder(self, map_index: int) -> Path:
        run = self.airflow.home / "logs" / f"dag_id={self.dag_id}" / f"run_id={self.run_id}"
        return run / "task_id=wait" / f"map_index={map_index}"


class Load:
    """
    An Airflow and its runs, by what is special about each.

    :param airflow: where they run.
    :param ads: where imports are.
    :param folder: for files that are waited for, and what the triggerer notes.
    """

    def __init__(self, airflow: LocalAirflow, ads: AdsEmulator, folder: Path) -> None:
        self.airflow = airflow
        self.ads = ads
        self.folder = folder
        self.waits: dict[str, Waits] = {}

    def wait_for_imports(self, name: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        """
        Start imports and wait for each in a task of its own; they end one after the other.

        :param meanwhile: is called when they have begun to end.
        """
        self.ads.import_seconds = FOR_EVER
        discovery = boto3.client(
            "discovery",
            region_name=self.ads.home_region,
            endpoint_url=self.ads.endpoint_url,
            aws_access_key_id="emulator",
            aws_secret_access_key="emulator",
        )
        imports = []
        for number in range(TASKS):
            task = discovery.start_import_task(name=f"{name} {number}", importUrl="s3://inventory/inventory.csv")[
                "task"
            ]
            imports.append({"importTaskId": task["importTaskId"], "name": task["name"]})

        def end() -> None:
            self.ads.import_seconds = FROM_END_TO_END
            meanwhile()

        arguments = [
            {"import_task_id": task["importTaskId"], "aws_conn_id": CONNECTIONS[index % len(CONNECTIONS)]}
            for index, task in enumerate(imports)
        ]
        self._run(name, "imports", arguments, end, imports)

    def wait_for_files(self) -> None:
        """Wait for files with Airflow's own sensor; they appear one after the other."""
        paths = [self.folder / f"file-{number}" for number in range(TASKS)]

        def end() -> None:
            for path in paths:
                path.touch()
                time.sleep(FROM_END_TO_END)

        self._run(FILES, "files", [{"filepath": str(path)} for path in paths], end, [])

    def kill_the_triggerer_half_way(self) -> None:
        """Kill the triggerer when half of the imports of a run have ended, and start another."""
        while sum(task["status"] == "IMPORT_IN_PROGRESS" for task in self.ads.import_tasks()) > TASKS / 2:
            time.sleep(FROM_END_TO_END)
        self.airflow.kill_component("triggerer")
        self.airflow.start_component("triggerer")

    def blockings(self, name: str) -> list[Blocking]:
        """The warnings in a run that the event loop of the triggerer was blocked."""
        began, ended = self.waits[name].span
        found = blockings(self.airflow, read_notes(self.folder / "notes"), self._loading())
        return [blocking for blocking in found if began <= blocking.time <= ended]

    def figures(self) -> Iterator[str]:
        """A table of all runs, and each warning."""
        blocked_by = [f"by {cause}" for cause in CAUSES]
        headings = ["tasks", "deferred s, median", "longest", "log lines", "misplaced", "loop blocked", *blocked_by]
        yield "  ".join([f"{'':20}", *headings])
        for name, waits in self.waits.items():
            seconds = waits.seconds_deferred()
            blocked = Counter(blocking.cause for blocking in self.blockings(name))
            cells = [
                TASKS,
                round(median(seconds)),
                round(max(seconds)),
                sum(text.count("\n") for index in range(TASKS) for text in waits.logs(index)),
                sum(len(waits.misplaced_lines(index)) for index in range(TASKS)),
                blocked.total(),
                *(blocked[cause] for cause in CAUSES),
            ]
            aligned = (f"{cell:>{len(heading)},}" for cell, heading in zip(cells, headings, strict=True))
            yield "  ".join([f"{name:20}", *aligned])
        for name in self.waits:
            for blocking in self.blockings(name):
                yield f"{name}: event loop blocked for {blocking}"

    def _run(
        self, name: str, dag_id: str, arguments: list[dict[str, Any]], end: Callable[[], None], imports: list[Any]
    ) -> None:
        began = time.time()
        run_id = self.airflow.trigger(dag_id, waits=arguments)
        ending = False
        for tasks in self.airflow.watch(dag_id, run_id, PATIENCE):
            states = Counter(task.state for task in tasks if task.task_id == "wait")
            assert not states["failed"], f"{name}: {states}"
            if states["deferred"] == TASKS and not ending:
                ending = True
                time.sleep(QUIET)
                end()
        self.waits[name] = Waits(self.airflow, dag_id, run_id, (began, time.time()), imports)

    def _loading(self) -> list[Span]:
        """From when to when triggerers got ready for their first looks with every connection."""
        first: dict[int, dict[str, float]] = {}
        for waits in self.waits.values():
            for job, connection, time_of_look in waits.first_looks():
                looks = first.setdefault(job, {})
                looks[connection] = min(looks.get(connection, time_of_look), time_of_look)
        started = self.airflow.query("select id, start_date from job where job_type = 'TriggererJob'")
        return [
            (datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp(), max(first[job].values()))
            for job, start in started
            if job in first
        ]
