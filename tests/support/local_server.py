"""A server process from a package of the package index, with a folder and a port of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from tests.support.free_ports import free_ports

__all__ = ["LocalServer", "package_folder"]

#: Seconds for the server to answer, or to end.
TIMEOUT = 60


class LocalServer:
    """
    Base class for a server that is started and stopped with a ``with`` statement.

    :ivar port: its port on the loopback interface.
    :ivar folder: its folder, which exists while the server does.
    """

    #: The server's name in an error message.
    name: str

    #: Further arguments of :class:`subprocess.Popen`.
    popen_arguments: dict[str, Any] = {}

    def __init__(self) -> None:
        (self.port,) = free_ports(1)

    def __enter__(self) -> Self:
        # Not a folder of pytest's, which other users cannot read.
        self.folder = Path(tempfile.mkdtemp(prefix="airflow-provider-ads-"))
        try:
            self.prepare()
            self.start()
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    def prepare(self) -> None:
        """Do what must be done once before the server starts."""

    def command(self) -> list[str | Path]:
        """Return the command that runs the server."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Return True if a client can connect."""
        raise NotImplementedError

    def start(self) -> None:
        """
        Start the server and wait until it answers.

        :raises RuntimeError: it does not; the message quotes its log.
        """
        log_file = self.folder / "server.log"
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self.popen_arguments,
            )
        deadline = time.monotonic() + TIMEOUT
        try:
            while not self.answers():
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{self.name} does not answer:\n{log_file.read_text(errors='replace')}")
                time.sleep(0.1)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        self._process.kill()
        self._process.wait(TIMEOUT)


def package_folder(package: str) -> Path:
    """Return the folder of a package without importing it: both packages would set up a server when imported."""
    return Path(str(find_spec(package).origin)).parent  # type: ignore[union-attr]
