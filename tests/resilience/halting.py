"""Halt the first attempt of a task at a kill point, so that a test can kill it exactly there."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import BaseSessionFactory
from airflow.sdk import get_current_context

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
            session.events.register("after-call", _after_call)
        return session


class HaltsWhenResumed:
    """Makes an operator halt when it resumes after a deferral."""

    def execute_complete(self, context: Any, event: Any = None) -> Any:
        _halt(Moment.WAITING)
        return super().execute_complete(context, event)  # type: ignore[misc]


def _before_call(model: Any, **_: Any) -> None:
    _calls[model.name] += 1
    if _changes_something(model.name):
        _halt(Moment.BEFORE_CALL)
        # The process continues here: the emulator holds the answer back.
        _announce(Moment.BETWEEN)
    elif model.name == "DescribeImportTasks" and _calls["BatchDeleteImportData"] and not _context()["task"].deferrable:
        _halt(Moment.WAITING)


def _after_call(model: Any, **_: Any) -> None:
    if _changes_something(model.name):
        _halt(Moment.AFTER_ANSWER)


def _changes_something(operation: str) -> bool:
    """Return True for a call that starts or deletes imports, and for the upload that the run's configuration names."""
    if operation == "PutObject":
        return bool(_calls[operation] == _context()["dag_run"].conf["upload"])
    return operation in {"StartImportTask", "BatchDeleteImportData"}


def _announce(moment: Moment) -> bool:
    """Create a file named after the process and the Dag if this is where the run's first attempt is to be killed."""
    context = _context()
    if (context["dag_run"].conf["halt"], context["ti"].try_number) != (moment, 1):
        return False
    Path(os.environ[HALT_FOLDER], f"{os.getpid()} {context['ti'].dag_id}").touch()
    return True


def _halt(moment: Moment) -> None:
    """Wait to be killed if this is where the run's first attempt is to be killed."""
    if _announce(moment):
        time.sleep(600)


def _context() -> Any:
    return get_current_context()
