"""An emulator in a process of its own, so that it and those who call it share no interpreter."""

from __future__ import annotations

import io
import json
import logging
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from airflow_provider_ads.emulator import AdsEmulator
from airflow_provider_ads.emulator.errors import ServiceError
from airflow_provider_ads.emulator.protocol import error_response

__all__ = ["Call", "EmulatorProcess"]

ROOT = Path(__file__).parents[2]


@dataclass
class Call:
    """
    A call of ``DescribeImportTasks``.

    :param time: when it arrived, in seconds since the epoch.
    :param key: the access key that signed it.
    :param looks: how many import tasks it asked for.
    :param answer: ``tasks``, the code of an error, or ``dropped``.
    """

    time: float
    key: str
    looks: int
    answer: str = ""


class WatchedEmulator(AdsEmulator):
    """An emulator that notes the calls that it gets, and for which access keys expire."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Call] = []
        self._expired_keys: set[str] = set()

    def expire(self, key: str) -> None:
        """Refuse an access key from now on."""
        self._expired_keys.add(key)

    def noted_calls(self) -> list[dict[str, Any]]:
        """What it noted about the calls that it has answered, oldest first."""
        return [vars(call) for call in self._calls if call.answer]

    def connection(self, key: str) -> str:
        """The Airflow connection to it, with another access key."""
        return json.dumps({**json.loads(self.airflow_connection), "login": key})

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if not environ.get("HTTP_X_AMZ_TARGET", "").endswith(".DescribeImportTasks"):
            return super()._answer(environ, start_response)
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        environ["wsgi.input"] = io.BytesIO(body)
        (key,) = re.findall("Credential=([^/]+)/", environ["HTTP_AUTHORIZATION"])
        call = Call(time.time(), key, sum(len(each["values"]) for each in json.loads(body)["filters"]))
        self._calls.append(call)
        if key in self._expired_keys:
            call.answer = "ExpiredTokenException"
            return error_response(ServiceError(call.answer, "The key has expired."))(environ, start_response)
        try:
            answer = b"".join(super()._answer(environ, start_response))
        except ConnectionError:
            call.answer = "dropped"
            raise
        call.answer = json.loads(answer).get("__type", "tasks")
        return [answer]


class EmulatorProcess:
    """
    Starts that emulator in a process of its own, which ends with the one that started it, however that ends.

    It is a context manager; :meth:`ask` calls the emulator's methods.
    """

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._process:
            self._process.stdin.close()  # type: ignore[union-attr]

    def ask(self, method: str, **arguments: Any) -> Any:
        """Call a method of the emulator, and return what it returns, as JSON has it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([method, arguments]), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def calls(self) -> list[Call]:
        """The calls of ``DescribeImportTasks`` that it has answered, oldest first."""
        return [Call(**noted) for noted in self.ask("noted_calls")]


def main() -> None:
    """Do what the standard input says, a line for each call of a method, until it ends."""
    # A Ctrl-C is for the one who asks, who then closes the input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Connections break down here because they are meant to.
    logging.disable(logging.CRITICAL)
    with WatchedEmulator() as emulator:
        for line in sys.stdin:
            method, arguments = json.loads(line)
            print(json.dumps(getattr(emulator, method)(**arguments)), flush=True)


if __name__ == "__main__":
    main()
