"""An emulator that remembers what it was asked to delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_ads.emulator import AdsEmulator

__all__ = ["RecordingEmulator"]


class RecordingEmulator(AdsEmulator):
    """
    The emulator, and what it was asked to delete.

    :ivar asked: the id of each import that a call named, and the import's status when the call arrived.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.asked: list[tuple[str, str | None]] = []
        operations = self._application._operations
        self._delete = operations["BatchDeleteImportData"]
        operations["BatchDeleteImportData"] = self._delete_and_remember

    def _delete_and_remember(self, parameters: Mapping[str, Any], region: str) -> dict[str, Any]:
        statuses = {task["importTaskId"]: task["status"] for task in self.import_tasks()}
        self.asked += [(import_task_id, statuses.get(import_task_id)) for import_task_id in parameters["importTaskIds"]]
        return self._delete(parameters, region)
