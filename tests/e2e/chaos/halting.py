"""An operator whose first try halts at a chosen instant, for somebody to kill it there."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from airflow.sdk import get_current_context

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.hooks import AdsHook
from airflow_provider_ads.operators import AdsStartImportTaskOperator
from tests.e2e.chaos.points import AFTER, BEFORE, BETWEEN

__all__ = ["HaltingOperator"]


def halts_here(point: str) -> bool:
    """Leave the process's id in a file if the run's configuration says that its first try halts here."""
    context: Any = get_current_context()
    if (context["dag_run"].conf["halt"], context["ti"].try_number) != (point, 1):
        return False
    Path(os.environ["CHAOS_FOLDER"], str(os.getpid())).touch()
    return True


class HaltingHook(AdsHook):
    """A hook that halts around its call; in between, it is the emulator that holds the answer back."""

    def start_import_task(self, name: str, import_url: str, client_request_token: str | None = None) -> ImportTask:
        if halts_here(BEFORE):
            time.sleep(600)
        halts_here(BETWEEN)
        task = super().start_import_task(name, import_url, client_request_token)
        if halts_here(AFTER):
            time.sleep(600)
        return task


class HaltingOperator(AdsStartImportTaskOperator):
    """The operator, with that hook."""

    aws_hook_class = HaltingHook
