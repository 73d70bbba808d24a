"""Halt the first attempt of a task at a kill point, so that a test can kill it exactly there."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import BaseSessionFactory
from airflow.sdk import get_current_context
from botocore.httpsession import URLLib3Session

from tests.resilience.kill_points import HALT_FOLDER, Moment

__all__ = ["HaltingSessionFactory", "HaltsWhenResumed"]

#: Number of calls of each operation in this process.
_calls: Counter[str] = Counter()


class HaltingSessionFactory(BaseSessionFactory):
    """
    Creates boto3 sessions that halt around calls.

    Airflow uses it for every connection, because its option ``[aws] session_factory`` names it, so the operators under
    test are the ones that users have.
    """

    def create_session(self, deferrable: bool = False) -> Any:
        session: Any = super().create_session(deferrable)
        if not deferrable:
            session.events.register("before-call", _before_call)
            session.events.register("before-send", _before_send)
            session.events.register("after-call", _after_call)
        return session


class HaltsWhenResumed:
    """Makes an operator halt when it resumes after a deferral."""

    def execute_complete(self, context: Any, event: Any = None) -> Any:
        _halt(Moment.WAITING)
        return super().execute_complete(context, event)  # type: ignore[misc]


def _before_call(model: Any, **_: Any) -> None:
    _calls[model.name] += 1
    has_changed_something = _calls["BatchDeleteImportData"] or _calls["StartImportTask"]
    if _is_configured_call(model.name):
        _halt(Moment.BEFORE_CALL)
    elif model.name == "DescribeImportTasks" and has_changed_something and not _context()["task"].deferrable:
        _halt(Moment.WAITING)


def _before_send(request: Any, event_name: str, **_: Any) -> None:
    if _is_configured_call(event_name.rpartition(".")[2]) and _is_kill_point(Moment.BETWEEN):
        # The call arrives, and the task never learns the answer.
        URLLib3Session().send(request)
        _halt(Moment.BETWEEN)


def _after_call(model: Any, **_: Any) -> None:
    if _is_configured_call(model.name):
        _halt(Moment.AFTER_ANSWER)


def _is_configured_call(operation: str) -> bool:
    """Return True if this is the call at which to halt: the run's configuration has its number among changing calls."""
    is_change = operation in {"StartImportTask", "BatchDeleteImportData", "PutObject"}
    return is_change and bool(_calls[operation] == _context()["dag_run"].conf["call"])


def _is_kill_point(moment: Moment) -> bool:
    """Return True if this is where the run's first attempt is to be killed."""
    context = _context()
    return bool((context["dag_run"].conf["halt"], context["ti"].try_number) == (moment, 1))


def _halt(moment: Moment) -> None:
    """At the kill point, announce the process and its Dag, and wait to be killed."""
    if _is_kill_point(moment):
        Path(os.environ[HALT_FOLDER], f"{os.getpid()} {_context()['ti'].dag_id}").touch()
        time.sleep(600)


def _context() -> Any:
    return get_current_context()
