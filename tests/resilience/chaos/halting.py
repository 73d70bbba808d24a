"""Operators whose first try halts at a chosen instant, for somebody to kill it there."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from airflow.sdk import get_current_context

from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.operators import (
    AdsDeleteImportDataOperator,
    AdsFailedRecordsToS3Operator,
    AdsPrepareImportFileOperator,
    AdsPruneImportTasksOperator,
    AdsStartImportTaskOperator,
)
from airflow_provider_ads.operators.deleting import AdsDeletingOperator
from tests.resilience.chaos.points import AFTER, BEFORE, BETWEEN, WAITING

__all__ = ["HaltingDeletion", "HaltingFetch", "HaltingPrepare", "HaltingPrune", "HaltingStart"]


def halts_here(point: str) -> bool:
    """Leave the ids of process and Dag in a file's name if the run's configuration says that its first try halts."""
    context: Any = get_current_context()
    if (context["dag_run"].conf["halt"], context["ti"].try_number) != (point, 1):
        return False
    Path(os.environ["CHAOS_FOLDER"], f"{os.getpid()} {context['ti'].dag_id}").touch()
    return True


def halt(point: str) -> None:
    """Wait to be killed, if this is the point."""
    if halts_here(point):
        time.sleep(600)


class HaltingHook(AdsHook):
    """A hook that halts around the calls that change something; in between, the emulator holds the answer back."""

    def _call(self, operation: str, about: str, call: Any) -> Any:
        if operation == "DescribeImportTasks":
            return super()._call(operation, about, call)
        halt(BEFORE)
        halts_here(BETWEEN)
        answer = super()._call(operation, about, call)
        halt(AFTER)
        return answer


class HaltingStart(AdsStartImportTaskOperator):
    """The operator, with that hook."""

    aws_hook_class = HaltingHook


class HaltingFetch(AdsFailedRecordsToS3Operator):
    """The operator, halting around the upload of its first file."""

    def upload(self, *args: Any) -> str:
        halt(BEFORE)
        s3_url = super().upload(*args)
        halt(AFTER)
        return s3_url


class HaltingPrepare(AdsPrepareImportFileOperator):
    """The operator, halting around the upload of that file which the run's configuration tells by its number."""

    uploads = 0

    def upload(self, *args: Any) -> str:
        context: Any = get_current_context()
        self.uploads += 1
        chosen = self.uploads == context["dag_run"].conf["upload"]
        if chosen:
            halt(BEFORE)
        s3_url = super().upload(*args)
        if chosen:
            halt(AFTER)
        return s3_url


class HaltingWait(AdsDeletingOperator):
    """What operators that delete have in common, with that hook, and halting where they wait."""

    aws_hook_class = HaltingHook

    def wait(self, *args: Any) -> Any:
        if not self.deferrable:
            halt(WAITING)
        return super().wait(*args)

    def execute_complete(self, context: Any, event: Any = None) -> Any:
        halt(WAITING)
        return super().execute_complete(context, event)


class HaltingDeletion(HaltingWait, AdsDeleteImportDataOperator):
    """The operator, with those halts."""


class HaltingPrune(HaltingWait, AdsPruneImportTasksOperator):
    """The operator, with those halts."""
