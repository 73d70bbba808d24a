"""
Whatever is killed, and whenever: one intention, one import.

Few kills in ``make test``, at least 200 with ``make chaos``.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import psutil
import pytest
from airflow.providers.amazon.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_ads.emulator import AdsEmulator
from scripts.local_airflow import LocalAirflow
from tests.e2e.chaos.points import AFTER, BEFORE, BETWEEN

pytestmark = pytest.mark.skipif(
    not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 has neither the API server nor the Dag processor of its own"
)

HERE = Path(__file__).parent
MODES = ("not_waiting", "sync", "deferrable")

#: Kills at each point, and twice as many of tasks that halt.
KILLS = int(os.environ.get("CHAOS_KILLS", "1"))

#: Seconds after the last kill until every task has ended.
PATIENCE = 120


class Chaos:
    """
    Runs of Dags, and kills among them.

    :param airflow: where they run.
    :param ads: what they call.
    :param folder: where processes leave their ids when they halt.
    """

    def __init__(self, airflow: LocalAirflow, ads: AdsEmulator, folder: Path) -> None:
        self.airflow = airflow
        self.ads = ads
        self.folder = folder
        self.runs: dict[str, list[tuple[str, str]]] = {}
        self.kills: Counter[str] = Counter()
        self.last_job = {"SchedulerJob": 0, "TriggererJob": 0}

    def start_runs(self, point: str, count: int, modes: tuple[str, ...] = MODES) -> None:
        """Start runs that belong to a point, in turn in every mode."""
        for _, mode in zip(range(count), cycle(modes), strict=False):
            run_id = self.airflow.trigger(mode, halt=point)
            self.runs.setdefault(point, []).append((mode, run_id))

    def kill_halting_tasks(self, point: str, count: int) -> None:
        """Start runs whose first try halts at a point, and kill each of them there."""
        if point == BETWEEN:
            # The answers of other runs would be held back too.
            self.wait_until(lambda: not self.unfinished(), "the runs before have ended")
            self.ads.inject("hold", operation="StartImportTask")
        self.start_runs(point, count)
        deadline = time.monotonic() + 60 + 10 * count
        while self.kills[point] < count:
            assert time.monotonic() < deadline, f"{self.kills[point]} of {count} tasks were killed {point}"
            halting = list(self.folder.iterdir())
            if not halting and not self.unfinished():
                # A first try that Airflow itself took for dead does not get there.
                self.start_runs(point, count - self.kills[point])
            # Not every call that was announced has arrived yet.
            if point != BETWEEN or self.ads.held() == self.kills[point] + len(halting):
                for path in halting:
                    os.kill(int(path.name), signal.SIGKILL)
                    path.unlink()
                    self.kills[point] += 1
            time.sleep(0.1)
        self.ads.clear_faults()

    def kill_component(self, name: str) -> None:
        """Kill the scheduler or the triggerer, and start it again."""
        self.airflow.kill_component(name)
        self.remember({"scheduler": "SchedulerJob", "triggerer": "TriggererJob"}[name])
        self.airflow.start_component(name)

    def remember(self, *job_types: str) -> None:
        """Remember what is dead, to tell it from what starts now."""
        for job_type in job_types:
            ((self.last_job[job_type],),) = self.airflow.query("select max(id) from job where job_type = ?", job_type)

    def kill_triggerer(self, point: str, count: int) -> None:
        """Kill the triggerer while it has triggers to run."""
        self.ads.import_seconds = 3600
        self.start_runs(point, 3, ("deferrable",))
        for _ in range(count):
            self.wait_until(
                lambda: self.airflow.query(
                    "select 1 from trigger where triggerer_id > ?", self.last_job["TriggererJob"]
                ),
                "the triggerer has triggers to run",
            )
            self.kill_component("triggerer")
            self.kills[point] += 1
        self.ads.import_seconds = 0.2

    def kill_scheduler(self, point: str, count: int) -> None:
        """Kill the scheduler while tasks are queued or running."""
        for _ in range(count):
            self.start_runs(point, 2)
            self.wait_until(self.tasks_at_work, "a task is queued or running")
            self.kill_component("scheduler")
            self.kills[point] += 1

    def kill_everything(self, point: str, count: int) -> None:
        """Kill every process of Airflow while tasks are queued or running."""
        for _ in range(count):
            self.start_runs(point, 3)
            self.wait_until(self.tasks_at_work, "a task is queued or running")
            self.airflow.kill()
            self.remember(*self.last_job)
            self.airflow.start_components()
            self.kills[point] += 1

    def kill_at_random(self, point: str, count: int) -> None:
        """Kill tasks, the triggerer and the scheduler at random instants."""
        instants = random.Random(count)
        while self.kills[point] < count:
            self.start_runs(point, 1, (instants.choice(MODES),))
            time.sleep(instants.uniform(0, 2))
            target = instants.choice(["task", "task", "task", "triggerer", "scheduler"])
            if target != "task":
                self.kill_component(target)
                self.kills[point] += 1
                continue
            for process in self.airflow.processes():
                with suppress(psutil.Error):
                    if " ".join(process.cmdline()).startswith("airflow worker -- 0"):
                        process.kill()
                        self.kills[point] += 1
                        break

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

    def unfinished(self) -> list[str]:
        """The runs that have not ended."""
        rows = self.airflow.query("select dag_id, run_id, state from dag_run where state not in ('success', 'failed')")
        return [" ".join(map(str, row)) for row in rows]


@pytest.fixture
def chaos(tmp_path: Path) -> Iterator[Chaos]:
    """An Airflow that soon notices what was killed."""
    folder = tmp_path / "halting"
    folder.mkdir()
    dags = tmp_path / "dags"
    dags.mkdir()
    shutil.copy(HERE / "dags.py", dags)
    with AdsEmulator(import_seconds=0.2) as ads:
        ads.upload("s3://inventory/inventory.csv", "ExternalId\n1\n")
        environment = {
            "AIRFLOW_CONN_AWS_DEFAULT": ads.airflow_connection,
            "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "5",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
            "CHAOS_FOLDER": str(folder),
            "PYTHONPATH": str(HERE.parents[2]),
        }
        with LocalAirflow(tmp_path / "airflow", dags, environment) as airflow:
            yield Chaos(airflow, ads, folder)
        assert airflow.processes() == []


def test_one_intention_starts_one_import(chaos: Chaos, capsys: pytest.CaptureFixture[str]) -> None:
    chaos.kill_halting_tasks(BEFORE, 2 * KILLS)
    chaos.kill_halting_tasks(BETWEEN, 2 * KILLS)
    chaos.kill_halting_tasks(AFTER, 2 * KILLS)
    chaos.kill_triggerer("the triggerer, while waits are pending", KILLS)
    chaos.kill_scheduler("the scheduler, while tasks are at work", KILLS)
    chaos.kill_everything("everything, while tasks are at work", KILLS)
    chaos.kill_at_random("at random: task, triggerer or scheduler", KILLS)

    last_kill = time.monotonic()
    while chaos.unfinished() and time.monotonic() < last_kill + PATIENCE:
        time.sleep(0.5)
    unfinished = chaos.unfinished()
    waited = time.monotonic() - last_kill

    started = Counter(task["name"] for task in chaos.ads.import_tasks())
    duplicates = lost = 0
    with capsys.disabled():
        print(f"\n{'kill point':<46}{'kills':>6}{'intentions':>12}{'imports':>9}{'duplicates':>12}{'lost':>6}")
        for point, runs in chaos.runs.items():
            counts = [started[f"{mode} {run_id}"] for mode, run_id in runs]
            twice, never = sum(count > 1 for count in counts), counts.count(0)
            print(f"{point:<46}{chaos.kills[point]:>6}{len(runs):>12}{sum(counts):>9}{twice:>12}{never:>6}")
            duplicates += twice
            lost += never
        print(f"{chaos.kills.total()} kills; {len(unfinished)} runs had not ended {waited:.0f} s after the last one")
    assert min(chaos.kills.values()) >= KILLS
    assert (duplicates, lost, unfinished) == (0, 0, [])
    states = chaos.airflow.query("select distinct state from dag_run")
    assert states == [("success",)]
