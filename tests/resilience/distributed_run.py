"""An Airflow with two workers, two triggerers and a broker, each of which is killed while hundreds of imports run."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.resilience.distributed_imports import ACCOUNTS, CONTENTS, POLL_INTERVAL, Import, component, imports_of
from tests.resilience.kill_points import KillPoint, Moment, Victim
from tests.resilience.kills import Kill, Killer, wait_until
from tests.resilience.parameters import IMPORTS
from tests.support.airflow import LocalAirflow
from tests.support.postgresql import LocalPostgresql
from tests.support.recording_emulator import Call, RecordingEmulator
from tests.support.redis import LocalRedis

__all__ = ["SLOTS", "TRIGGERERS", "WORKERS", "DistributedRun", "distributed_airflow"]

TRIGGERERS = ("triggerer-1", "triggerer-2")
WORKERS = ("worker-1", "worker-2")

#: Tasks that a worker executes at the same time.
SLOTS = 4

WORKER = KillPoint(Victim.WORKER, Moment.BETWEEN)
BROKER = KillPoint(Victim.BROKER, Moment.BUSY)
TRIGGERER = KillPoint(Victim.TRIGGERER, Moment.WAITING)

#: Seconds of an import that runs until the test shortens it.
FOREVER = 1_000_000.0

#: Seconds between the ends of two imports in the same account, once imports can end.
END_INTERVAL = 0.6

#: Seconds until a worker or the broker is started again. A triggerer is started when the other one has taken over.
DOWNTIME = 3.0

#: Seconds for each step, on a machine that may be busy.
TIMEOUT = 300.0 + 4 * IMPORTS

#: The components of this Airflow, with the arguments that start them.
COMPONENTS = {
    "api-server": ["api-server", "--workers", "1"],
    "dag-processor": ["dag-processor"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    **{name: ["triggerer", "--skip-serve-logs"] for name in TRIGGERERS},
    **{
        name: [
            *("celery", "worker", "--skip-serve-logs", "--concurrency", str(SLOTS)),
            *("--celery-hostname", f"{name}@%h", "--pid", f"{name}.pid"),
        ]
        for name in WORKERS
    },
}

#: Makes Airflow notice in seconds what it would notice in minutes. Everything else is as users have it.
SHORT_TIMEOUTS = {
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "2",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
}


@contextmanager
def distributed_airflow(folder: Path) -> Iterator[tuple[LocalAirflow, LocalRedis, dict[str, RecordingEmulator]]]:
    """Start Airflow, its database and broker, and an emulator for each account."""
    here = Path(__file__).parent
    with ExitStack() as running:
        accounts = {name: running.enter_context(RecordingEmulator(import_seconds=FOREVER)) for name in ACCOUNTS}
        for name, account in accounts.items():
            for each in imports_of(name):
                account.upload(each.import_url, CONTENTS[each.status])
        postgresql = running.enter_context(LocalPostgresql())
        broker = running.enter_context(LocalRedis())
        environment = {
            **{f"AIRFLOW_CONN_AWS_{name.upper()}": account.airflow_connection for name, account in accounts.items()},
            "AIRFLOW__CELERY__BROKER_URL": broker.url,
            # Tasks need not import what their worker has imported.
            "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG": json.dumps(
                {"imports": ["airflow_provider_ads.operators", "airflow_provider_ads.sensors"]}
            ),
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": f"{component.__module__}.{component.__name__}",
            # Twice the slots, so that tasks queue in the broker while the workers are busy.
            "AIRFLOW__CORE__PARALLELISM": str(2 * SLOTS * len(WORKERS)),
            **SHORT_TIMEOUTS,
            "PYTHONPATH": str(here.parents[1]),
        }
        with LocalAirflow(folder / "airflow", here / "dags", environment, postgresql.url, COMPONENTS) as airflow:
            yield airflow, broker, accounts
        assert airflow.processes() == []


class DistributedRun(Killer):
    """
    One run of each Dag, and the kills during it.

    :param airflow: the Airflow.
    :param broker: the broker between scheduler and workers.
    :param accounts: the emulators by Dag.
    :ivar quiet_calls: the calls that triggerers made during three poll intervals in which all imports were awaited.
    """

    def __init__(self, airflow: LocalAirflow, broker: LocalRedis, accounts: Mapping[str, RecordingEmulator]) -> None:
        super().__init__(airflow)
        self.broker = broker
        self.accounts = accounts
        self.quiet_calls: list[Call] = []

    def run(self) -> None:
        """Start the Dags, kill one component after the other, and wait until the runs have ended."""
        self._until(lambda: all(self._is_ready(name) for name in WORKERS), "the workers are ready")
        for dag_id in self.accounts:
            self.airflow.trigger(dag_id, "run")

        self._until(lambda: len(self.imports()) >= 0.15 * IMPORTS, "some imports are started")
        self._kill_a_worker_between_calls_and_answers(WORKERS[0])

        self._until(lambda: len(self.imports()) >= 0.4 * IMPORTS and self._messages(), "tasks are queued")
        self._kill_the_broker()

        self._until(lambda: self.waits().total() >= 0.6 * IMPORTS, "most imports are awaited")
        self._kill_a_triggerer(TRIGGERERS[0])

        self._until(lambda: self.waits().total() == IMPORTS, "all imports are awaited")
        began = time.time()
        time.sleep(3 * POLL_INTERVAL)
        self.quiet_calls = [call for call in self.calls() if call.app_id in TRIGGERERS and call.time >= began]

        for account in self.accounts.values():
            account.import_seconds = END_INTERVAL
        self._until(lambda: self._ended() >= IMPORTS / 3, "a third of the imports have ended")
        self._kill_a_triggerer(TRIGGERERS[1])

        self._until(self._messages, "tasks are queued")
        self._kill_the_broker()

        unfinished = "select 1 from dag_run where state not in ('success', 'failed')"
        self._until(lambda: not self.airflow.query(unfinished), "the runs have ended")

    def imports(self) -> list[dict[str, Any]]:
        """Return the import tasks of all accounts."""
        return [task for account in self.accounts.values() for task in account.import_tasks()]

    def calls(self) -> list[Call]:
        """Return the calls of all accounts."""
        return [call for account in self.accounts.values() for call in account.recorded]

    def waits(self) -> Counter[str]:
        """Return the number of waits by triggerer."""
        rows = self.airflow.query(
            "select job.hostname, count(*) from trigger join job on job.id = trigger.triggerer_id group by 1"
        )
        return Counter(dict(rows))

    def _kill_a_worker_between_calls_and_answers(self, name: str) -> None:
        for account in self.accounts.values():
            account.inject("hold", operation="StartImportTask")
        held = SLOTS * len(WORKERS)
        self._until(lambda: sum(account.held() for account in self.accounts.values()) == held, "answers are held back")
        affected = self._imports_of_tasks("where state = 'running' and hostname = ?", name)

        def release_answers() -> None:
            for account in self.accounts.values():
                account.clear_faults()
            time.sleep(DOWNTIME)

        self.kill_machine(WORKER, name, affected, release_answers)

    def _kill_the_broker(self) -> None:
        """Kill the broker, which loses every message, and start it again."""
        affected = self._imports_of_tasks("where state = 'queued'")
        self.broker.kill()
        self.record(Kill(BROKER, "broker", tuple(affected)))
        time.sleep(DOWNTIME)
        self.broker.start()

    def _kill_a_triggerer(self, name: str) -> None:
        """Kill a triggerer, and start it again when the other one has taken over its waits."""
        affected = self._imports_of_tasks(
            "join trigger on trigger.id = trigger_id join job on job.id = triggerer_id where job.hostname = ?", name
        )
        self.kill_machine(
            TRIGGERER,
            name,
            affected,
            before_restart=lambda: self._until(lambda: not self.waits()[name], "the other triggerer has taken over"),
        )

    def _imports_of_tasks(self, condition: str, *parameters: str) -> list[Import]:
        """Return the imports of some task instances."""
        columns = "task_instance.dag_id, task_instance.map_index"
        rows = self.airflow.query(f"select {columns} from task_instance {condition}", *parameters)
        return [Import(*row) for row in rows]

    def _until(self, condition: Callable[[], object], description: str) -> None:
        def holds() -> object:
            self.airflow.check_components()
            return condition()

        wait_until(holds, description, TIMEOUT)

    def _messages(self) -> int:
        """Return the number of tasks that wait in the broker for a worker."""
        messages = self.broker.client.llen("default")
        assert isinstance(messages, int)
        return messages

    def _ended(self) -> int:
        return sum(task["status"] != "IMPORT_IN_PROGRESS" for task in self.imports())

    def _is_ready(self, worker: str) -> bool:
        return " ready." in self.airflow.log_file(worker).read_text(errors="replace")
