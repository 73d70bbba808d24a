"""The run: imports in hundreds of mapped tasks, and what is killed on the way."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.resilience.distributed.account import Account
from tests.resilience.distributed.imports import IMPORTS, POLL_INTERVAL
from tests.support.airflow import LocalAirflow
from tests.support.redis import LocalRedis

__all__ = ["FOR_EVER", "SLOTS", "TRIGGERERS", "WORKERS", "Kill", "Run"]

TRIGGERERS = ("triggerer-1", "triggerer-2")

WORKERS = ("worker-1", "worker-2")

#: Tasks that a worker executes at the same time.
SLOTS = 4

#: Seconds of an import that goes on until it is told to end.
FOR_EVER = 1_000_000.0

#: From one end of an import to the next in the same account.
FROM_END_TO_END = 0.6

#: Seconds for which a worker and the broker stay away. A triggerer does so until the other has taken over.
AWAY = 3.0

#: Seconds that anything here may take, on a machine that may have much else to do.
PATIENCE = 300.0 + 4 * IMPORTS

RUN_ID = "night"

#: The names of mapped task instances: Dag, task and index.
Instance = tuple[str, str, int]


@dataclass
class Kill:
    """
    A kill, and what came of it. Times are in seconds.

    :param victim: what was killed.
    :param time: when, by the monotonic clock.
    :param took: how much it took along.
    :param what: of what it took so much.
    :param is_back: tells whether it is at work again.
    :param is_made_good: tells whether everything that it took along goes on elsewhere.
    :param back: after how long it was.
    :param made_good: after how long it was.
    """

    victim: str
    time: float
    took: int
    what: str
    is_back: Callable[[], object]
    is_made_good: Callable[[], object]
    back: float | None = None
    made_good: float | None = None

    def follow(self) -> None:
        """Look whether it is back and made good."""
        after = time.monotonic() - self.time
        if self.back is None and self.is_back():
            self.back = after
        if self.made_good is None and self.is_made_good():
            self.made_good = after


@dataclass
class Run:
    """
    The runs of the Dags, which are one for us.

    :param airflow: where they run.
    :param broker: what the scheduler hands tasks to, and the workers take them from.
    :param accounts: where imports are, by Dag.
    :ivar kills: what was killed, in this order.
    :ivar shares: at some moments, how many waits each triggerer had.
    :ivar looks: how often triggerers would have looked at an import, had each wait done so for itself.
    :ivar seconds: how long it all took.
    :ivar figures: what is to be printed.
    """

    airflow: LocalAirflow
    broker: LocalRedis
    accounts: Mapping[str, Account]
    kills: list[Kill] = field(default_factory=list)
    shares: dict[str, Counter[str]] = field(default_factory=dict)
    looks: float = 0.0
    seconds: float = 0.0
    figures: list[str] = field(default_factory=list)
    _looked: float = field(default_factory=time.monotonic)

    def happen(self) -> None:
        """Start the Dags, kill one thing after the other, and wait for the end."""
        self._until(lambda: all(self._readies(name) for name in WORKERS), "the workers are ready")
        began = time.monotonic()
        for dag_id in self.accounts:
            self.airflow.trigger(dag_id, RUN_ID)

        self._until(lambda: self.started() >= 0.15 * IMPORTS, "some imports are started")
        self._kill_a_worker_between_call_and_answer(WORKERS[0])

        self._until(lambda: self.started() >= 0.4 * IMPORTS and self._queued(), "tasks are queued")
        self._kill_the_broker()

        self._until(lambda: self.waits().total() >= 0.6 * IMPORTS, "most imports are waited for")
        self._kill_a_triggerer(TRIGGERERS[0])

        self._until(lambda: self.waits().total() == IMPORTS, "all imports are waited for")
        self.shares["all wait"] = self.waits()
        for account in self.accounts.values():
            account.import_seconds = FROM_END_TO_END
        self._until(lambda: self.ended() >= IMPORTS / 3, "a third of the imports have ended")
        self._kill_a_triggerer(TRIGGERERS[1])

        self._until(self._queued, "tasks are queued")
        self._kill_the_broker()

        self._until(lambda: not self._count("dag_run where state not in ('success', 'failed')"), "the runs have ended")
        self._until(lambda: all(kill.back and kill.made_good for kill in self.kills), "all is well again")
        self.seconds = time.monotonic() - began
        self.figures = list(self._figures())

    def imports(self) -> list[dict[str, Any]]:
        """The import tasks of all accounts."""
        return [task for account in self.accounts.values() for task in account.import_tasks()]

    def started(self) -> int:
        """How many imports there are."""
        return len(self.imports())

    def ended(self) -> int:
        """How many imports have ended."""
        return sum(task["status"] != "IMPORT_IN_PROGRESS" for task in self.imports())

    def waits(self) -> Counter[str]:
        """How many waits each triggerer has."""
        rows = self.airflow.query(
            "select job.hostname, count(*) from trigger join job on job.id = trigger.triggerer_id group by 1"
        )
        return Counter(dict(rows))

    def states(self) -> dict[Instance, str]:
        """The states of all task instances."""
        return {tuple(row[:3]): row[3] for row in self._instances("state")}

    def tries(self) -> dict[Instance, int]:
        """Which try each task instance is at."""
        return {tuple(row[:3]): row[3] for row in self._instances("try_number")}

    def values(self, key: str) -> dict[Instance, Any]:
        """What task instances returned or pushed."""
        rows = self.airflow.query("select dag_id, task_id, map_index, value from xcom where key = ?", key)
        return {tuple(row[:3]): row[3] for row in rows}

    def calls(self, operation: str) -> Counter[str]:
        """How often each component has called an operation."""
        calls: Counter[str] = Counter()
        for account in self.accounts.values():
            calls.update({caller: count for (caller, called), count in account.callers.items() if called == operation})
        return calls

    # -- kills -----------------------------------------------------------------------------------------------

    def _kill_a_worker_between_call_and_answer(self, name: str) -> None:
        """Kill a worker, all of whose tasks have started an import and do not know it yet."""
        for account in self.accounts.values():
            account.inject("hold", operation="StartImportTask")
        held = SLOTS * len(WORKERS)
        self._until(lambda: sum(account.held() for account in self.accounts.values()) == held, "calls are held back")
        rows = self._instances("try_number", f"and state = 'running' and hostname = '{name}'")
        lost = {tuple(row[:3]): row[3] for row in rows}
        readies = self._readies(name)

        def go_on_elsewhere() -> bool:
            tries, states = self.tries(), self.states()
            return all(tries[key] > lost[key] and states[key] in {"deferred", "success", "failed"} for key in lost)

        self.airflow.kill_machine(name)
        self._killed(name, len(lost), "tries", lambda: self._readies(name) > readies, go_on_elsewhere)
        for account in self.accounts.values():
            account.clear_faults()
        time.sleep(AWAY)
        self.airflow.start_component(name)

    def _kill_the_broker(self) -> None:
        """Kill the broker, with all that it holds."""
        held = self._queued()
        self.broker.kill()
        killed_at = time.time()

        def are_queued_anew() -> bool:
            return not self._count(f"task_instance where state = 'queued' and queued_dttm < to_timestamp({killed_at})")

        def somebody_works() -> object:
            return self._count(f"log where event = 'running' and dttm > to_timestamp({killed_at + AWAY})")

        self._killed("broker", held, "messages", somebody_works, are_queued_anew)
        time.sleep(AWAY)
        self.broker.start()

    def _kill_a_triggerer(self, name: str) -> None:
        """Kill a triggerer that has waits, and start it again when another has taken them over."""
        moment = f"{name} killed"
        self.shares[f"before {moment}"] = before = self.waits()
        self.airflow.kill_machine(name)
        jobs = f"job where job_type = 'TriggererJob' and hostname = '{name}'"
        ((last,),) = self.airflow.query(f"select max(id) from {jobs}")
        kill = self._killed(
            name,
            before[name],
            "waits",
            partial(self._count, f"{jobs} and id > {last}"),
            lambda: not self._count(f"trigger where triggerer_id = {last}"),
        )
        self._until(lambda: kill.made_good, "another triggerer has taken over")
        self.shares[f"after {moment}"] = self.waits()
        self.airflow.start_component(name)

    def _killed(
        self, victim: str, took: int, what: str, is_back: Callable[[], object], is_made_good: Callable[[], object]
    ) -> Kill:
        self.kills.append(Kill(victim, time.monotonic(), took, what, is_back, is_made_good))
        return self.kills[-1]

    # -- looking ---------------------------------------------------------------------------------------------

    def _until(self, true: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            self.airflow.check_components()
            now = time.monotonic()
            self.looks += self.waits().total() * (now - self._looked) / POLL_INTERVAL
            self._looked = now
            for kill in self.kills:
                kill.follow()
            if true():
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"Not after {PATIENCE:.0f} s: {what}. {Counter(self.states().values())}")
            time.sleep(0.5)

    def _queued(self) -> int:
        """How many messages wait in the broker for a worker."""
        queued = self.broker.client.llen("default")
        assert isinstance(queued, int)
        return queued

    def _readies(self, worker: str) -> int:
        """How often a worker has said that it is ready."""
        return self.airflow.log_file(worker).read_text(errors="replace").count(" ready.")

    def _instances(self, column: str, condition: str = "") -> list[tuple[Any, ...]]:
        return self.airflow.query(
            f"select dag_id, task_id, map_index, {column} from task_instance where map_index >= 0 {condition}"
        )

    def _count(self, rows: str) -> int:
        ((count,),) = self.airflow.query(f"select count(*) from {rows}")
        return int(count)

    def _figures(self) -> Iterator[str]:
        started = Counter(task["name"] for task in self.imports())
        yield (
            f"{IMPORTS} imports in {len(self.accounts)} accounts, {len(WORKERS)} workers with {SLOTS} slots, "
            f"{len(TRIGGERERS)} triggerers: {self.seconds:.0f} s"
        )
        twice = sum(count > 1 for count in started.values())
        yield (
            f"imports {self.started()}, names {len(started)}, doubled {twice}, lost {IMPORTS - len(started)}; "
            + _list(Counter(task["status"] for task in self.imports()))
        )
        yield f"tasks: {_list(Counter(f'{task_id} {state}' for (_, task_id, _), state in self.states().items()))}"
        yield f"{'killed':14}{'at s':>6}{'took along':>16}{'back after s':>14}{'made good after s':>19}"
        began = time.monotonic() - self.seconds
        for kill in self.kills:
            took = f"{kill.took} {kill.what}"
            yield f"{kill.victim:14}{kill.time - began:6.0f}{took:>16}{kill.back:14.0f}{kill.made_good:19.0f}"
        for moment, shares in self.shares.items():
            yield f"waits, {moment}: {_list(shares)}"
        for operation in ("StartImportTask", "DescribeImportTasks"):
            yield f"{operation} by {_list(self.calls(operation))}"
        yield f"looks in the triggerers, had each wait made a call of its own: {self.looks:.0f}"
        yield (
            f"tries beyond the first {sum(self.tries().values()) - len(self.tries())}; adopted imports {self.adopted()}"
        )
        rows = self.airflow.query(
            "select event, extra from log where event in "
            "('state mismatch', 'heartbeat timeout', 'stuck in queued reschedule', 'stuck in queued tries exceeded')"
        )
        seen = Counter(f"{event}{_mismatch(extra)}" for event, extra in rows)
        # https://github.com/apache/airflow/issues/71580
        taken_for_killed = sum(count for event, count in seen.items() if event.startswith("state mismatch: success"))
        yield f"Airflow's audit log: {_list(seen)}; tasks back from a deferral taken for killed {taken_for_killed}"

    def adopted(self) -> int:
        """How many tries have found the import that an earlier try has started."""
        logs = (self.airflow.home / "logs").rglob("attempt=*.log")
        return sum("Adopted: an earlier try" in log.read_text(errors="replace") for log in logs)


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))


def _mismatch(extra: str) -> str:
    """What the executor said of a task, and what Airflow took the task for."""
    found = re.search(r"finished with state (\w+), but the task instance's state attribute is (\w+)", extra)
    return f": {found[1]}, {found[2]}" if found else ""
