"""Progress logs and the outage limit of waits."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Any

from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.exceptions import AdsCallError
from airflow_provider_ads.polling import Poll

__all__ = ["LONGEST_OUTAGE", "QUIET_LOG_INTERVAL", "Outage", "ProgressLog"]

#: Seconds for which a wait without a deadline tolerates that the service cannot be polled.
LONGEST_OUTAGE = 3_600.0

#: Seconds between two log lines of a wait in which nothing changes.
QUIET_LOG_INTERVAL = 600.0


class Outage:
    """
    The rule that a wait without a deadline ends when the service could not be polled for :data:`LONGEST_OUTAGE`.

    An outage starts with the first failed poll, not with the last successful one: otherwise one throttled poll would
    end a wait whose interval is longer than that.
    """

    def __init__(self) -> None:
        self._started: float | None = None

    def check(self, error: AdsCallError | None) -> None:
        """
        Record the result of a poll; at least one earlier poll must have succeeded.

        :param error: the reason why the poll failed; None if it succeeded.
        :raises AdsCallError: ``error``, if it is final or the outage has lasted too long.
        """
        if error is None:
            self._started = None
            return
        now = time.monotonic()
        self._started = self._started or now
        if not error.is_outage(has_polled=True) or now - self._started > LONGEST_OUTAGE:
            raise error


class ProgressLog:
    """
    Log each change during a wait, and a periodic line while nothing changes.

    :param log: the task's logger.
    :param last_poll: the poll that the log already shows.
    """

    def __init__(self, log: Any, last_poll: Poll | None = None) -> None:
        self._log = log
        self._last_poll = last_poll or Poll({})
        self._last_line = time.monotonic()

    def write(self, poll: Poll) -> None:
        """Log the differences between this poll and the last one."""
        for key, import_task in poll.import_tasks.items():
            last = self._last_poll.import_tasks.get(key)
            if last != import_task and str(last) != str(import_task):
                self._write(logging.INFO, f"{'Import ' if isinstance(import_task, ImportTask) else ''}{import_task}")
        last_error = self._last_poll.error
        if poll.error is not None and (last_error is None or last_error.code != poll.error.code):
            self._write(logging.WARNING, f"Polling again soon: {poll.error}")
        if time.monotonic() - self._last_line > QUIET_LOG_INTERVAL:
            counts = Counter(str(task.status) for task in poll.import_tasks.values())
            seen = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none listed yet"
            self._write(logging.INFO, f"Still waiting; imports: {seen}")
        self._last_poll = poll

    def _write(self, level: int, line: str) -> None:
        self._log.log(level, "%s", line)
        self._last_line = time.monotonic()
