"""The import deleter: ends the deletions of imports."""

from __future__ import annotations

import logging
from threading import Thread

from airflow_provider_ads.emulator.import_tasks import ImportTasks
from airflow_provider_ads.emulator.storage import Storage

__all__ = ["ImportDeleter"]

_log = logging.getLogger(__name__)


class ImportDeleter(Thread):
    """
    A thread that ends each deletion when its time is up.

    The emulator's own choice: deletions do not wait for each other nor for imports, and an import's error archive is
    deleted with its records, so that links to it lead nowhere from then on.

    :param tasks: the tasks; closing them ends the thread.
    :param storage: S3.
    """

    def __init__(self, tasks: ImportTasks, storage: Storage) -> None:
        super().__init__(name="ads-emulator-deletions", daemon=True)
        self._tasks = tasks
        self._storage = storage

    def run(self) -> None:
        """End deletions until the tasks are closed."""
        while (task := self._tasks.next_deletion()) is not None:
            try:
                if task.has_archive:
                    self._storage.delete_archive(task.id)
                self._tasks.complete_deletion(task)
            except Exception:
                _log.exception("%s: the deletion broke down", task.id)
                self._tasks.update_import_task(task.id, {"status": "DELETE_FAILED"})
            _log.info("%s: %s", task.id, task.fields["status"])
