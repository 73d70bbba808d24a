"""An emulator that records the caller and the import tasks of each call."""

from __future__ import annotations

import io
import json
import logging
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from typing import Any

from airflow_provider_ads.emulator import AdsEmulator

__all__ = ["Call", "RecordingEmulator", "emulator_process"]


@dataclass
class Call:
    """
    A call to the service.

    :param time: when it arrived, in seconds since the epoch.
    :param operation: the operation, such as ``DescribeImportTasks``.
    :param app_id: the caller's ``AWS_SDK_UA_APP_ID``, which :class:`tests.support.airflow.LocalAirflow` sets to the
        name of the component; empty if the caller has none.
    :param key: the access key that signed it.
    :param role: the ARN of the assumed role that the key belongs to; empty if it belongs to none.
    :param import_task_ids: the import tasks that it names, by their ids or names.
    :param answer: ``ok``, an error code, or ``dropped``; empty while there is no answer yet.
    """

    time: float
    operation: str
    app_id: str
    key: str
    role: str
    import_task_ids: list[str]
    answer: str = ""


class RecordingEmulator(AdsEmulator):
    """
    The emulator, which also records calls and lets access keys expire.

    :ivar recorded: the calls, oldest first.
    :ivar deletions: for each import that a call asked to delete, its id and its status when the call arrived.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.recorded: list[Call] = []
        self.deletions: list[tuple[str, str | None]] = []
        self._expired_keys: set[str] = set()

    def expire(self, key: str) -> None:
        """Refuse an access key from now on."""
        self._expired_keys.add(key)

    def connection_with(self, key: str) -> str:
        """Return the Airflow connection to this emulator with another access key."""
        return json.dumps({**json.loads(self.airflow_connection), "login": key})

    def answered_calls(self) -> list[Call]:
        """Return the recorded calls that have been answered."""
        return [call for call in self.recorded if call.answer]

    def answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if not target:
            return super().answer(environ, start_response)
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        environ["wsgi.input"] = io.BytesIO(body)
        call = self._record(target.rpartition(".")[2], json.loads(body), environ)
        if call.key in self._expired_keys:
            call.answer = "ExpiredTokenException"
            start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.1")])
            return [json.dumps({"__type": call.answer, "message": "The key has expired."}).encode()]
        try:
            answer = b"".join(super().answer(environ, start_response))
        except ConnectionError:
            call.answer = "dropped"
            raise
        call.answer = json.loads(answer).get("__type", "ok")
        return [answer]

    def _record(self, operation: str, parameters: dict[str, Any], environ: dict[str, Any]) -> Call:
        app_id = re.search(r"\bapp/(\S+)", environ.get("HTTP_USER_AGENT", ""))
        found = re.search("Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        key = found[1] if found else ""
        ids = [*parameters.get("importTaskIds", [])]
        if operation == "BatchDeleteImportData":
            statuses = {task["importTaskId"]: task["status"] for task in self.import_tasks()}
            self.deletions += [(import_task_id, statuses.get(import_task_id)) for import_task_id in ids]
        for each in parameters.get("filters", []):
            ids += each["values"] if each["name"] in ("IMPORT_TASK_ID", "NAME") else []
        call = Call(time.time(), operation, app_id[1] if app_id else "", key, self.role_of(key) or "", ids)
        self.recorded.append(call)
        return call


@contextmanager
def emulator_process() -> Iterator[Any]:
    """Run an emulator in a process of its own, so that it does not slow down its callers, and yield a proxy of it."""
    manager: Any = _Manager(ctx=get_context("spawn"))
    # Tests break connections on purpose.
    manager.start(logging.disable)
    with manager:
        emulator = manager.RecordingEmulator()
        emulator.start()
        yield emulator


class _Manager(BaseManager):
    pass


_Manager.register(
    "RecordingEmulator",
    RecordingEmulator,
    exposed=[
        *("start", "inject", "add_import_task", "update_import_task"),
        *("expire", "connection_with", "answered_calls"),
    ],
)
