"""The log lines of a wait, on a worker and in the triggerer."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Any

from airflow_provider_ads.polling import Poll

__all__ = ["QUIET_LOG_INTERVAL", "ChangeLog"]

#: Seconds between two log lines of a wait in which nothing changes.
QUIET_LOG_INTERVAL = 600.0


class ChangeLog:
    """
    Log what a wait sees when it changes, and seldom otherwise.

    :param log: the task's logger.
    :param told: what need not be told.
    """

    def __init__(self, log: Any, told: Poll | None = None) -> None:
        self._log = log
        self._told = told or Poll({})
        self._last_line = time.monotonic()

    def write(self, poll: Poll) -> None:
        """Log what is new since the last look."""
        for import_task_id, import_task in poll.import_tasks.items():
            told = self._told.import_tasks.get(import_task_id)
            if told != import_task and str(told) != str(import_task):
                self._write(logging.INFO, f"Import {import_task}")
        if poll.error is not None and (self._told.error is None or self._told.error.code != poll.error.code):
            self._write(logging.WARNING, f"Looking again soon: {poll.error}")
        if time.monotonic() - self._last_line > QUIET_LOG_INTERVAL:
            counts = Counter(str(task.status) for task in poll.import_tasks.values())
            seen = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none seen yet"
            self._write(logging.INFO, f"Still waiting; imports: {seen}")
        self._told = poll

    def _write(self, level: int, line: str) -> None:
        self._log.log(level, "%s", line)
        self._last_line = time.monotonic()
