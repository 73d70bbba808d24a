"""A whole Airflow on this machine: its processes, and a folder with its database, settings and logs."""

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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg2
from cryptography.fernet import Fernet
from packaging.version import Version

from tests.support.free_ports import free_ports

__all__ = ["AIRFLOW_3_1", "AIRFLOW_3_4", "COMPONENTS", "LocalAirflow", "TaskInstance"]

#: Seconds for Airflow to become healthy, to answer, or to end.
TIMEOUT = 300.0

#: Read from the distribution's metadata, because importing Airflow creates files in the user's home.
AIRFLOW_3 = Version(version("apache-airflow")).major == 3
AIRFLOW_3_1 = Version(version("apache-airflow")).release >= (3, 1)
AIRFLOW_3_4 = Version(version("apache-airflow")).release >= (3, 4)

#: The SQL expressions to read task instances and XComs from. Airflow 3.4 calls the map index region_index, keeps
#: earlier attempts in the same table, and stores XComs for an attempt.
TASK_INSTANCES, XCOMS = "task_instance", "xcom"
if AIRFLOW_3_4:
    TASK_INSTANCES = "(select *, region_index as map_index from task_instance where working_set) as latest"
    XCOMS = f"(select * from {TASK_INSTANCES} join xcom_v2 on xcom_v2.task_instance_id = latest.id) as xcom"

#: The components, each with the arguments of ``airflow`` that start it. On Airflow 2, nothing here needs the API.
COMPONENTS = {
    **({"api-server": ["api-server", "--workers", "1"], "dag-processor": ["dag-processor"]} if AIRFLOW_3 else {}),
    "scheduler": ["scheduler"],
    "triggerer": ["triggerer"],
}

#: The types of the jobs that Airflow's database lists while its components are healthy.
JOBS = {"SchedulerJob", "TriggererJob"}


@dataclass(frozen=True)
class TaskInstance:
    """
    A row of Airflow's table of task instances.

    :param id: its id, which is in the title of the task's process; empty on Airflow 2, which has no such id.
    :param task_id: the task.
    :param map_index: its map index; -1 if the task is not mapped.
    :param state: its state; None before it is scheduled.
    :param duration: seconds from its first start to its end; None before its end.
    :param try_number: the number of its latest attempt.
    """

    id: str
    task_id: str
    map_index: int
    state: str | None
    duration: float | None
    try_number: int


class LocalAirflow:
    """
    Airflow, started and stopped with a ``with`` statement.

    On Airflow 2 it has no API, so runs can be triggered, but not cleared or deleted.

    :param home: the folder for settings, logs and the SQLite database; its contents are removed first.
    :param dags_folder: the folder with the Dags.
    :param environment: further environment variables of its processes.
    :param database_url: an empty PostgreSQL database; None for SQLite, on which Airflow 2 runs one task at a time.
    :param components: its components, each with the arguments of ``airflow`` that start it.
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
            # Because of a race in Airflow, a worker can notice this many seconds late that its task has ended.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            **environment,
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._unpaused: set[str] = set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """
        Create the database, start all components, and wait until they are healthy.

        :raises RuntimeError: a component ended or did not become healthy in time; the message quotes its log.
        """
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        (self.home / "logs").mkdir(parents=True)
        try:
            self.command("db", "migrate")
            if not self._database_url:
                with contextlib.closing(sqlite3.connect(self.home / "airflow.db")) as database:
                    # Readers and writers do not block each other then.
                    database.execute("PRAGMA journal_mode=WAL")
            self.start_components()
        except BaseException:
            self.stop()
            raise

    def start_components(self) -> None:
        """Start all components and wait until they are healthy."""
        for name in self.components:
            self.start_component(name)
        self._wait_until_healthy()

    def start_component(self, name: str) -> None:
        """
        Start a component, such as ``triggerer``. Its output goes to :meth:`log_file`.

        Its processes send the component's name to AWS in the user agent.
        """
        environment = {**self.environment, "AWS_SDK_UA_APP_ID": name}
        if name == "api-server" and not self._database_url:
            # Concurrent requests can lock each other out. With a short timeout, the API server answers with an error
            # and the client retries. Other components would exit on that error, so they wait longer.
            environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = self._sqlite_url(2)
        with self.log_file(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "airflow", *self.components[name]],
                cwd=self.home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C must reach only the process that started Airflow, which then stops it in order.
                start_new_session=True,
            )

    def stop(self) -> None:
        """Stop every process of this Airflow, including those that an earlier run in the same folder left behind."""
        for component in self._running.values():
            component.terminate()
        psutil.wait_procs(self.processes(), timeout=10 if self._running else 0)
        self.kill()

    def kill(self) -> None:
        """Kill every process of this Airflow with SIGKILL, including those that an earlier run left behind."""
        self._kill_processes(lambda process: True)
        for component in self._running.values():
            component.wait()
        self._running.clear()

    def kill_component(self, name: str) -> None:
        """Kill a component with SIGKILL. The processes that it started survive, except the scheduler's idle workers."""
        component = self._running.pop(name)
        component.kill()
        component.wait()
        for process in self.idle_workers() if name == "scheduler" else []:
            with contextlib.suppress(psutil.Error):
                # They would wait for a task forever.
                process.kill()

    def stop_component(self, name: str) -> float:
        """Stop a component with SIGTERM, and return the number of seconds until its end."""
        started = time.monotonic()
        component = self._running.pop(name)
        component.terminate()
        component.wait(TIMEOUT)
        return time.monotonic() - started

    def kill_machine(self, name: str) -> None:
        """Kill a component and every process that it started with SIGKILL, as if its machine had failed."""
        session = self._running[name].pid
        self.kill_component(name)
        self._kill_processes(lambda process: _session_of(process) == session)

    def processes(self) -> list[psutil.Process]:
        """
        Return every process of this Airflow, or of an earlier one in the same folder.

        Interpreter and working directory identify them, because the titles of Airflow's workers overwrite their
        environment and arguments.
        """
        interpreter = os.path.realpath(sys.executable)
        found = []
        for process in psutil.process_iter():
            # psutil passes on FileNotFoundError for a process that ends while its files are read.
            with contextlib.suppress(psutil.Error, FileNotFoundError):
                if process.cwd() == str(self.home) and process.exe() == interpreter:
                    found.append(process)
        return found

    def idle_workers(self) -> list[psutil.Process]:
        """Return the scheduler's worker processes that wait for a task; each starts a process for the task."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if "<idle>" in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def log_file(self, component: str) -> Path:
        """Return the file with a component's output."""
        return self.home / f"{component}.log"

    def command(self, *arguments: str) -> str:
        """
        Run the ``airflow`` command and return its output.

        :raises RuntimeError: it failed; the message quotes its output.
        """
        run = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            cwd=self.home,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
        if run.returncode:
            raise RuntimeError(f"airflow {' '.join(arguments)} failed:\n{run.stdout}")
        return run.stdout

    def trigger(self, dag_id: str, run_id: str | None = None, **conf: Any) -> str:
        """
        Wait until a Dag is parsed, unpause it, and trigger a run.

        :param run_id: the run's id; None for a generated one.
        :param conf: the run's configuration.
        :return: the run's id.
        :raises RuntimeError: Airflow does not find the Dag in time; the message quotes import errors.
        """
        run_id = run_id or f"manual__{datetime.now(UTC).isoformat()}"
        deadline = time.monotonic() + TIMEOUT
        while not self.query("select 1 from dag where dag_id = ?", dag_id):
            self.check_components()
            if time.monotonic() > deadline:
                errors = "\n".join(text for (text,) in self.query("select stacktrace from import_error"))
                raise RuntimeError(f"Airflow did not find the Dag {dag_id}. {errors}")
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
            # A retry of the request finds the run that the first request created.
        return run_id

    def page(self, dag_id: str, run_id: str | None = None, tab: str = "Imports") -> str:
        """
        Return the URL of a plugin's tab on the page of a Dag or of a run; without such a tab, that of the page.

        :param dag_id: the Dag.
        :param run_id: the run; None for the Dag's own page.
        :param tab: the name of the tab.
        """
        page = f"{self.url}/dags/{dag_id}" + (f"/runs/{urllib.parse.quote(run_id)}" if run_id else "")
        for plugin in self._api("GET", "/plugins")["plugins"]:
            # Airflow 3.0 has no external views.
            for view in plugin.get("external_views", []):
                if (view["name"], view["destination"]) == (tab, "dag_run" if run_id else "dag"):
                    return f"{page}/plugin/{view['url_route']}"
        return page

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task of a run, so that it runs again."""
        body = {"dry_run": False, "only_failed": False, "dag_run_id": run_id, "task_ids": [task_id]}
        self._api("POST", f"/dags/{dag_id}/clearTaskInstances", body)

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Delete a run, so that another can have its id."""
        self._api("DELETE", f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}")

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run: queued, running, success or failed."""
        ((state,),) = self.query("select state from dag_run where dag_id = ? and run_id = ?", dag_id, run_id)
        return str(state)

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Return the task instances of a run in the order in which they started."""
        rows = self.query(
            f"select {'id' if AIRFLOW_3 else 'null'}, task_id, map_index, state, duration, try_number "
            f"from {TASK_INSTANCES} where dag_id = ? and run_id = ? "
            "order by start_date is null, start_date, task_id, map_index",
            dag_id,
            run_id,
        )
        return [TaskInstance(str(uuid.UUID(row[0])) if row[0] else "", *row[1:]) for row in rows]

    def events(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[str]:
        """
        Return the events of a task instance in Airflow's audit log, oldest first: running, deferred, success and so on.

        Each ``running`` is a worker process that started to execute the task.
        """
        statement = (
            "select event from log where dag_id = ? and run_id = ? and task_id = ? and map_index = ? order by id"
        )
        return [event for (event,) in self.query(statement, dag_id, run_id, task_id, map_index)]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return an XCom of a task."""
        statement = (
            f"select {'cast(value as text)' if AIRFLOW_3 else 'value'} from {XCOMS} "
            "where dag_id = ? and run_id = ? and task_id = ? and map_index = ? and key = ?"
        )
        ((value,),) = self.query(statement, dag_id, run_id, task_id, map_index, key)
        return json.loads(value if isinstance(value, str) else bytes(value))

    def processes_of(self, task_instance: TaskInstance) -> list[psutil.Process]:
        """Return the processes that work on a task instance."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if task_instance.id in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def kill_task(self, task_instance: TaskInstance) -> bool:
        """
        Kill the process that executes a task instance with SIGKILL; its supervisor survives.

        :return: True if there was such a process.
        """
        for process in self.processes_of(task_instance):
            with contextlib.suppress(psutil.Error):
                if " ".join(process.cmdline()).strip() == f"airflow worker -- {task_instance.id}":
                    process.kill()
                    return True
        return False

    def query(self, statement: str, *parameters: str | int) -> list[tuple[Any, ...]]:
        """Query Airflow's database. The placeholder for a parameter is a question mark."""
        if self._database_url:
            url = self._database_url.replace("+psycopg2", "")
            with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
                cursor.execute(statement.replace("?", "%s"), parameters)
                return cursor.fetchall()
        with contextlib.closing(sqlite3.connect(f"file:{self.home / 'airflow.db'}?mode=ro", uri=True)) as database:
            return database.execute(statement, parameters).fetchall()

    def check_components(self) -> None:
        """
        Check that every component that was started is still running.

        :raises RuntimeError: one of them ended; the message quotes its log.
        """
        for name, component in self._running.items():
            if component.poll() is not None:
                raise RuntimeError(f"Airflow's {name} ended:\n{self._tail(name)}")

    def watch(self, dag_id: str, run_id: str, seconds: float) -> Iterator[list[TaskInstance]]:
        """
        Yield the task instances of a run twice a second until the run has ended.

        :param seconds: timeout for the run.
        :raises TimeoutError: the run did not end in time.
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

    def _kill_processes(self, condition: Callable[[psutil.Process], bool]) -> None:
        """Kill processes until none meets a condition; those that are killed can have started others."""
        while processes := list(filter(condition, self.processes())):
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes, timeout=5)

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + TIMEOUT
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
                raise RuntimeError(f"Airflow did not become healthy within {TIMEOUT:.0f} s:\n{self._tail('scheduler')}")
            time.sleep(0.5)

    def _tail(self, component: str) -> str:
        return "\n".join(self.log_file(component).read_text(errors="replace").splitlines()[-20:])

    def _api(self, method: str, path: str, body: Any = None) -> Any:
        """Call Airflow's API; retry if it cannot be reached or answers with a server error."""
        deadline = time.monotonic() + TIMEOUT
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
        """Return the URL of the SQLite database, with the seconds to wait while another process writes to it."""
        return f"sqlite:///{self.home / 'airflow.db'}?timeout={seconds}"


def _session_of(process: psutil.Process) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(process.pid)
    return None
