"""Progress logs and the outage limit of waits."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from airflow_provider_ads.discovery import statuses
from airflow_provider_ads.discovery.import_table import describe_counts
from airflow_provider_ads.discovery.import_task import ImportTask
from airflow_provider_ads.exceptions import AdsCallError
from airflow_provider_ads.polling import Poll

__all__ = ["LONGEST_OUTAGE", "QUIET_LOG_INTERVAL", "Outage", "ProgressLog"]

#: Seconds for which a wait without a deadline tolerates failed polls.
LONGEST_OUTAGE = 3_600.0

#: Seconds between two log lines of a wait in which nothing changes.
QUIET_LOG_INTERVAL = 600.0


class Outage:
    """
    End a wait without a deadline once the service could not be polled for :data:`LONGEST_OUTAGE`.

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
    Log the counts so far whenever they change during a wait, and periodically while nothing changes.

    The end of the wait is not logged, because the task itself logs the outcome.

    :param log: the task's logger.
    :param is_running: returns True for a status that the wait continues for.
    :param last_poll: the poll that the log already shows.
    """

    def __init__(self, log: Any, is_running: Callable[[str | None], bool], last_poll: Poll | None = None) -> None:
        self._log = log
        self._is_running = is_running
        self._last_poll = last_poll or Poll({})
        self._started = self._last_line = time.monotonic()

    def write(self, poll: Poll) -> None:
        """Log the differences between this poll and the last one."""
        tasks, last_tasks = list(poll.tasks.values()), list(self._last_poll.tasks.values())
        running = [task for task in tasks if self._is_running(task.status)]
        last_error = self._last_poll.error
        if poll.error is not None:
            if last_error is None or last_error.code != poll.error.code:
                self._write(logging.WARNING, f"Polling again soon; the last poll failed.\n{poll.error}")
        elif running and [str(task) for task in tasks] != [str(task) for task in last_tasks]:
            self._write(logging.INFO, self._progress(tasks, running))
        if (running or not tasks) and time.monotonic() - self._last_line > QUIET_LOG_INTERVAL:
            self._write(logging.INFO, self._progress(tasks, running))
        self._last_poll = poll

    def _progress(self, tasks: Sequence[ImportTask], running: Sequence[ImportTask]) -> str:
        if not running:
            return "No import is listed yet; waiting for it"
        ages = [task.age for task in running if statuses.is_running(task.status) and task.age is not None]
        waited = timedelta(seconds=int(time.monotonic() - self._started))
        elapsed = f"requested {max(ages)} ago" if ages else f"waiting for {waited}"
        if len(tasks) == 1:
            return tasks[0].describe(elapsed)
        counts = Counter(str(task.status) for task in tasks)
        return (
            f"{len(tasks) - len(running):,} of {len(tasks):,} ended: {describe_counts(tasks)}, {elapsed}. "
            + ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items()))
        )

    def _write(self, level: int, line: str) -> None:
        self._log.log(level, "%s", line)
        self._last_line = time.monotonic()
