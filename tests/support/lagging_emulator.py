"""An emulator that shows the result of an earlier deletion for a while after another deletion was requested."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_provider_ads.emulator import AdsEmulator

__all__ = ["LaggingEmulator"]


class LaggingEmulator(AdsEmulator):
    """
    The emulator, whose deletions have an effect only after some polls.

    :param stale_polls: the number of calls of DescribeImportTasks that return the old status after a deletion was
        requested. After the last of them, the data is deleted.
    """

    def __init__(self, stale_polls: int) -> None:
        super().__init__(delete_seconds=60)
        self._stale_polls = stale_polls
        self._deleted: list[str] = []

    def answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        before = {task["importTaskId"]: task["status"] for task in self.import_tasks()}
        body = [*super().answer(environ, start_response)]
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if operation == "BatchDeleteImportData":
            for task in self.import_tasks():
                import_task_id = task["importTaskId"]
                if task["status"] != before[import_task_id]:
                    self.update_import_task(import_task_id, status=before[import_task_id])
                    self._deleted.append(import_task_id)
        elif operation == "DescribeImportTasks" and self._deleted:
            self._stale_polls -= 1
            if self._stale_polls == 0:
                for import_task_id in self._deleted:
                    self.update_import_task(import_task_id, status="DELETE_COMPLETE")
        return body
