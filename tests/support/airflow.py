"""A whole Airflow on this machine, all of its processes and its database, in a folder."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import psycopg2
from cryptography.fernet import Fernet

from tests.support.free_ports import free_ports

__all__ = ["COMPONENTS", "LocalAirflow", "TaskInstance"]

#: Seconds that Airflow may take to become healthy, or to end.
PATIENCE = 120.0

#: Asked of the distribution, because Airflow makes files in the user's home when it is imported.
AIRFLOW_3 = version("apache-airflow").startswith("3.")

#: The arguments of ``airflow`` by what the process is called; Airflow 2 can do without its API.
COMPONENTS = {
    **({"api-server": ["api-server", "--workers", "1"], "dag-processor": ["dag-processor"]} if AIRFLOW_3 else {}),
    "scheduler": ["scheduler"],
    "triggerer": ["triggerer"],
}

#: The kinds of jobs that Airflow's database lists while its processes are healthy.
JOBS = {"SchedulerJob", "TriggererJob"}


@dataclass(frozen=True)
class TaskInstance:
    """
    A row of Airflow's table of task instances.

    :param id: Airflow's own id, which is in the title of the task's process; empty on Airflow 2, which has none.
    :param task_id: the task.
    :param map_index: which of the mapped ones; -1 if the task is not mapped.
    :param state: what Airflow says of it; None before it is scheduled.
    :param duration: seconds from its first start to its end, None before that.
    :param try_number: which try it is.
    """

    id: str
    task_id: str
    map_index: int
    state: str | None
    duration: float | None
    try_number: int


class LocalAirflow:
    """
    Airflow, started and stopped with a ``with`` statement; on Airflow 2 it has no API, and runs can only be triggered.

    :param home: the folder of its settings, logs and SQLite database; what an earlier run left there is removed.
    :param dags_folder: where its Dags are.
    :param environment: further environment variables of its processes.
    :param database_url: a PostgreSQL database, empty; None for SQLite, on which Airflow 2 runs one task at a time.
    :param components: its processes, with the arguments of ``airflow`` that start them.
    """

    def __init__(
        self,
        home: Path,
        dags_folder: Path,
        environment: Mapping[str, str],
        database_url: str | None = None,
        components: Mapping[str, list[str]] = COMPONENTS,
    ) -> None:
        self.home = home.resolve()
        self.components = components
        self._database_url = database_url
        port, worker_log_port, trigger_log_port = free_ports(3)
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url or self._sqlite_url(60),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_log_port),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_log_port),
            # Seconds for which a worker may miss, by a race of Airflow's own, that its task has ended; 5 by default.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            **environment,
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._unpaused: set[str] = set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """
        Create the database, start all components, and wait until they are healthy.

        :raises RuntimeError: a component ended, or they are not healthy in time; the message quotes its log.
        """
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        (self.home / "logs").mkdir(parents=True)
        try:
            self.command("db", "migrate")
            if not self._database_url:
                with contextlib.closing(sqlite3.connect(self.home / "airflow.db")) as database:
                    # So that reading and writing do not wait for each other.
                    database.execute("PRAGMA journal_mode=WAL")
            self.start_components()
        except BaseException:
            self.stop()
            raise

    def start_components(self) -> None:
        """Start all components, and wait until they are healthy."""
        for name in self.components:
            self.start_component(name)
        self._wait_until_healthy()

    def start_component(self, name: str) -> None:
        """
        Start one of the components, ``triggerer`` for example; its output goes to a file of its name.

        Its requests tell AWS that name, and so do those of the processes that it starts.
        """
        environment = {**self.environment, "AWS_SDK_UA_APP_ID": name}
        if name == "api-server" and not self._database_url:
            # It locks itself out when much is asked of it at the same moment. It answers with an error then, and is
            # asked again; the others, which would end, wait until that is over.
            environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = self._sqlite_url(2)
        with self.log_file(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "airflow", *self.components[name]],
                cwd=self.home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A Ctrl-C is for the one who started Airflow, who then stops it in order.
                start_new_session=True,
            )

    def stop(self) -> None:
        """End every process of this Airflow, also what an earlier run in the same folder left behind."""
        for component in self._running.values():
            component.terminate()
        psutil.wait_procs(self.processes(), timeout=10 if self._running else 0)
        self.kill()

    def kill(self) -> None:
        """Kill every process of this Airflow, with SIGKILL, also what an earlier run left behind."""
        while processes := self.processes():
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes, timeout=5)
        for component in self._running.values():
            component.wait()
        self._running.clear()

    def kill_component(self, name: str) -> None:
        """Kill a component, with SIGKILL; what it had started lives on, but for the scheduler's idle workers."""
        component = self._running.pop(name)
        component.kill()
        component.wait()
        for process in self.idle_workers() if name == "scheduler" else []:
            with contextlib.suppress(psutil.Error):
                # They would wait for a task for ever.
                process.kill()

    def kill_machine(self, name: str) -> None:
        """Kill a component and all that it has started, with SIGKILL, as if its machine had gone."""
        session = self._running[name].pid
        self.kill_component(name)
        while processes := [process for process in self.processes() if _session_of(process) == session]:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes, timeout=5)

    def processes(self) -> list[psutil.Process]:
        """
        Every process of this Airflow, or of an earlier one in the same folder.

        They are known by their interpreter and working directory, as Airflow's workers overwrite their environment
        and arguments with their title.
        """
        interpreter = os.path.realpath(sys.executable)
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cwd() == str(self.home) and process.exe() == interpreter:
                    found.append(process)
        return found

    def idle_workers(self) -> list[psutil.Process]:
        """The scheduler's own processes that wait for a task, which each then starts a process for."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if "<idle>" in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def log_file(self, component: str) -> Path:
        """The file that a component's output goes to."""
        return self.home / f"{component}.log"

    def command(self, *arguments: str) -> str:
        """
        Run the ``airflow`` command and return what it printed.

        :raises RuntimeError: it failed; the message quotes what it printed.
        """
        run = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            cwd=self.home,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        if run.returncode:
            raise RuntimeError(f"airflow {' '.join(arguments)} failed:\n{run.stdout}")
        return run.stdout

    def trigger(self, dag_id: str, run_id: str | None = None, **conf: Any) -> str:
        """
        Unpause a Dag, once it is parsed, and run it.

        :param run_id: what the run is called; None for a name of its own.
        :param conf: the run's configuration.
        :return: the run's id.
        :raises RuntimeError: Airflow does not find the Dag in time; the message quotes the errors of Dag files.
        """
        run_id = run_id or f"manual__{datetime.now(UTC).isoformat()}"
        deadline = time.monotonic() + PATIENCE
        while not self.query("select 1 from dag where dag_id = ?", dag_id):
            self.check_components()
            if time.monotonic() > deadline:
                errors = "\n".join(text for (text,) in self.query("select stacktrace from import_error"))
                raise RuntimeError(f"Airflow does not find the Dag {dag_id}. {errors}")
            time.sleep(0.5)
        if not AIRFLOW_3:
            self.command("dags", "unpause", dag_id)
            self.command("dags", "trigger", dag_id, "--run-id", run_id, "--conf", json.dumps(conf))
            return run_id
        if dag_id not in self._unpaused:
            self._api("PATCH", f"/dags/{dag_id}", {"is_paused": False})
            self._unpaused.add(dag_id)
        try:
            self._api("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf, "dag_run_id": run_id})
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise
            # It had been made when it was asked for again.
        return run_id

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task of a run, so that it begins anew."""
        body = {"dry_run": False, "only_failed": False, "dag_run_id": run_id, "task_ids": [task_id]}
        self._api("POST", f"/dags/{dag_id}/clearTaskInstances", body)

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Delete a run, so that another one may have its id."""
        self._api("DELETE", f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}")

    def run_state(self, dag_id: str, run_id: str) -> str:
        """The state of a run: queued, running, success or failed."""
        ((state,),) = self.query("select state from dag_run where dag_id = ? and run_id = ?", dag_id, run_id)
        return str(state)

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """The task instances of a run in the order in which they started."""
        rows = self.query(
            f"select {'id' if AIRFLOW_3 else 'null'}, task_id, map_index, state, duration, try_number "
            "from task_instance where dag_id = ? and run_id = ? "
            "order by start_date is null, start_date, task_id, map_index",
            dag_id,
            run_id,
        )
        return [TaskInstance(str(uuid.UUID(row[0])) if row[0] else "", *row[1:]) for row in rows]

    def events(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[str]:
        """
        What Airflow's audit log says of a task instance, oldest first: running, deferred, success and so on.

        ``running`` stands there for each time that a worker took the task up.
        """
        rows = self.query(
            "select event from log where dag_id = ? and run_id = ? and task_id = ? and map_index = ? order by id",
            dag_id,
            run_id,
            task_id,
            map_index,
        )
        return [event for (event,) in rows]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """What a task returned or pushed."""
        ((value,),) = self.query(
            f"select {'cast(value as text)' if AIRFLOW_3 else 'value'} from xcom "
            "where dag_id = ? and run_id = ? and task_id = ? and map_index = ? and key = ?",
            dag_id,
            run_id,
            task_id,
            map_index,
            key,
        )
        return json.loads(value if isinstance(value, str) else bytes(value))

    def processes_of(self, task_instance: TaskInstance) -> list[psutil.Process]:
        """The processes that work on a task instance."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if task_instance.id in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def kill_task(self, task_instance: TaskInstance) -> bool:
        """
        Kill the process that executes a task instance, with SIGKILL; its supervisor lives on.

        :return: whether there was one.
        """
        for process in self.processes_of(task_instance):
            with contextlib.suppress(psutil.Error):
                if " ".join(process.cmdline()).strip() == f"airflow worker -- {task_instance.id}":
                    process.kill()
                    return True
        return False

    def query(self, statement: str, *parameters: str | int) -> list[tuple[Any, ...]]:
        """Read Airflow's database; a parameter is written as a question mark."""
        if self._database_url:
            url = self._database_url.replace("+psycopg2", "")
            with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
                cursor.execute(statement.replace("?", "%s"), parameters)
                return cursor.fetchall()
        with contextlib.closing(sqlite3.connect(f"file:{self.home / 'airflow.db'}?mode=ro", uri=True)) as database:
            return database.execute(statement, parameters).fetchall()

    def check_components(self) -> None:
        """
        Look whether all components are there that should be.

        :raises RuntimeError: one of them ended; the message quotes its log.
        """
        for name, component in self._running.items():
            if component.poll() is not None:
                raise RuntimeError(f"Airflow's {name} ended:\n{self._tail(name)}")

    def watch(self, dag_id: str, run_id: str, seconds: float) -> Iterator[list[TaskInstance]]:
        """
        Yield the task instances of a run, twice a second, until the run has ended.

        :param seconds: how long the run may take.
        :raises TimeoutError: it took longer.
        :raises RuntimeError: a component of Airflow ended; the message quotes its log.
        """
        deadline = time.monotonic() + seconds
        while True:
            self.check_components()
            ended = self.run_state(dag_id, run_id) in {"success", "failed"}
            yield self.task_instances(dag_id, run_id)
            if ended:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{dag_id} {run_id} did not end in {seconds:.0f} s")
            time.sleep(0.5)

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            self.check_components()
            if not AIRFLOW_3 and {kind for (kind,) in self.query("select job_type from job")} >= JOBS:
                return
            with contextlib.suppress(OSError, ValueError):
                with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=30) as answer:
                    health = json.load(answer)
                if all(health[name]["status"] == "healthy" for name in ("scheduler", "triggerer", "dag_processor")):
                    return
            if time.monotonic() > deadline:
                raise RuntimeError(f"Airflow is not healthy after {PATIENCE:.0f} s:\n{self._tail('scheduler')}")
            time.sleep(0.5)

    def _tail(self, component: str) -> str:
        return "\n".join(self.log_file(component).read_text(errors="replace").splitlines()[-20:])

    def _api(self, method: str, path: str, body: Any = None) -> Any:
        """Call Airflow's API, again when Airflow itself cannot answer."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/auth/token", timeout=30) as answer:
                    token = json.load(answer)["access_token"]
                request = urllib.request.Request(
                    f"{self.url}/api/v2{path}",
                    method=method,
                    headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                    data=None if body is None else json.dumps(body).encode(),
                )
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.loads(answer.read() or "null")
            except OSError as error:
                if getattr(error, "code", 500) < 500 or time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def _sqlite_url(self, seconds: int) -> str:
        """The SQLite database, and how many seconds to wait while somebody else writes to it."""
        return f"sqlite:///{self.home / 'airflow.db'}?timeout={seconds}"


def _session_of(process: psutil.Process) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(process.pid)
    return None
